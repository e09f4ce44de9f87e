"""The 8259As against a model written from the data sheet, with what QEMU leaves out of it: initialisation word by word,
special fully nested mode, spurious interrupts, levels that fall, edges at the cascade."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.hypervisor.chips.chips import NONE, Chips, acknowledge, in_, inta, line, out, pending

CASCADE = 2


class Chip:
    """One 8259A. `ask()` says which line it requests by its INT output; `cycle(spurious)` acknowledges."""

    def __init__(self, master: bool) -> None:
        self.master, self.level = master, 0
        self.lines = 0
        self.base = 8 if master else 0x70
        self._reset(0)
        self.imr, self.due = 0xFF, []

    def _reset(self, icw1: int) -> None:
        self.irr = self.lines & self.level
        self.isr = self.imr = self.lowest = 0
        self.auto_eoi = self.nested = self.rotate = self.special = self.show_isr = self.poll = False
        self.lowest = 7
        self.due = ["icw2"] + ([] if icw1 & 2 else ["icw3"]) + (["icw4"] if icw1 & 1 else [])

    def _order(self) -> list[int]:
        """Lines from the highest priority on."""
        return [(self.lowest + 1 + place) % 8 for place in range(8)]

    def _blocking(self) -> int:
        return self.isr & ~self.imr if self.special else self.isr

    def ask(self) -> int | None:
        for number in self._order():
            served = self._blocking() >> number & 1
            if self.irr & ~self.imr & 1 << number and (not served or self._again(number)):
                return number
            if served:
                return None
        return None

    def _again(self, number: int) -> bool:
        return self.nested and self.master and number == CASCADE

    def set_line(self, number: int, high: bool) -> None:
        bit = 1 << number
        rises, self.lines = high and not self.lines & bit, self.lines | bit if high else self.lines & ~bit
        if not high:
            self.irr &= ~bit
        elif rises or self.level & bit:
            self.irr |= bit

    def serve(self, number: int) -> None:
        if not self.level >> number & 1:
            self.irr &= ~(1 << number)
        if not self.auto_eoi:
            self.isr |= 1 << number
        elif self.rotate:
            self.lowest = number

    def command(self, value: int) -> None:
        if value & 0x10:
            self._reset(value)
        elif value & 8:
            self.poll = self.poll or bool(value & 4)
            if value & 2:
                self.show_isr = bool(value & 1)
            if value & 0x40:
                self.special = bool(value & 0x20)
        else:
            self._ocw2(value >> 5, value & 7)

    def _ocw2(self, kind: int, number: int) -> None:
        if kind in (0, 4):
            self.rotate = kind == 4
        elif kind == 6:
            self.lowest = number
        elif kind & 1:
            if not kind & 2:
                served = [at for at in self._order() if self._blocking() >> at & 1]
                if not served:
                    return
                number = served[0]
            self.isr &= ~(1 << number)
            if kind & 4:
                self.lowest = number

    def data(self, value: int) -> None:
        due = self.due.pop(0) if self.due else "ocw1"
        if due == "ocw1":
            self.imr = value
        elif due == "icw2":
            self.base = value & 0xF8
        elif due == "icw4":
            self.auto_eoi, self.nested = bool(value & 2), bool(value & 0x10)

    def set_level(self, value: int) -> None:
        self.level = value
        self.irr = self.irr & ~value | self.lines & value


class Pair:
    """Two of them, the slave's output at line 2 of the master."""

    def __init__(self) -> None:
        self.chips = [Chip(True), Chip(False)]

    def settle(self) -> None:
        self.chips[0].set_line(CASCADE, self.chips[1].ask() is not None)

    def set_line(self, number: int, high: bool) -> None:
        self.chips[number // 8].set_line(number % 8, high)
        self.settle()

    def _serve(self, which: int, number: int) -> None:
        self.chips[which].serve(number)
        if which:
            self.chips[0].set_line(CASCADE, False)  # the output falls while it is acknowledged
        self.settle()

    def cycle(self) -> int:
        master, slave = self.chips
        number = master.ask()
        if number is None:
            return master.base + 7
        if number != CASCADE:
            self._serve(0, number)
            return master.base + number
        master.serve(number)
        second = slave.ask()
        if second is None:
            return slave.base + 7
        self._serve(1, second)
        return slave.base + second

    def read(self, which: int, data: bool) -> int:
        chip = self.chips[which]
        if chip.poll:
            chip.poll = False
            number = chip.ask()
            if number is None:
                return 0
            self._serve(which, number)
            return 0x80 | number
        return chip.imr if data else chip.isr if chip.show_isr else chip.irr


lines_used = st.sampled_from([1, 4, 7, 8, 9, 11, 12, 14, 15])
initialise = st.tuples(st.just("initialise"), st.integers(0, 1), st.sampled_from([0x10, 0x11, 0x12, 0x13]),
                       st.sampled_from([1, 3, 0x11, 0x13]))
ocw2 = st.builds(lambda kind, number: kind << 5 | number, st.integers(0, 7), st.integers(0, 3))
moves = st.one_of(
    st.tuples(st.just("line"), lines_used, st.booleans()),
    st.tuples(st.just("line"), lines_used, st.just(True)),
    st.tuples(st.just("command"), st.integers(0, 1), ocw2),
    st.tuples(st.just("command"), st.integers(0, 1), st.sampled_from([0x20, 0x20, 0x60 | 3, 0x62, 0xC5, 0xA0, 0xE4])),
    st.tuples(st.just("command"), st.integers(0, 1), st.sampled_from([0x0A, 0x0B, 0x0C, 0x68, 0x48])),
    st.tuples(st.just("mask"), st.integers(0, 1), st.sampled_from([0, 0, 0, 0x08, 0x90, 0x7B])),
    st.tuples(st.just("level"), st.integers(0, 1), st.integers(0, 255)),
    st.tuples(st.just("acknowledge")), st.tuples(st.just("acknowledge")), st.tuples(st.just("acknowledge")),
    st.tuples(st.just("cycle")),
    st.tuples(st.just("let pass"), st.integers(0, 1), st.sampled_from([0x20, 0xA0, 0x08])),
    st.tuples(st.just("rotate"), st.integers(0, 1), st.just(3)),
    initialise,
)  # fmt: skip


@given(st.lists(moves, min_size=40, max_size=120))
def test_they_do_what_the_data_sheet_says(chips: Chips, script: list[tuple[object, ...]]) -> None:
    pair, steps, expected = Pair(), [out(0x4D0, 0), out(0x4D1, 0)], list[int]()

    def write(which: int, data: bool, value: int) -> None:
        steps.append(out((0xA0 if which else 0x20) + data, value))
        (pair.chips[which].data if data else pair.chips[which].command)(value)
        pair.settle()

    for which in (0, 1):
        for data, value in ((False, 0x11), (True, 0x20 + 8 * which), (True, 4 >> which), (True, 1), (True, 0)):
            write(which, data, value)
    for name, *arguments in script:
        first, second, *rest = [*(int(str(argument)) if not isinstance(argument, bool) else argument
                                  for argument in arguments), 0, 0]
        if name == "line":
            steps.append(line(first, bool(second)))
            pair.set_line(first, bool(second))
        elif name == "command":
            write(first, False, second)
        elif name == "mask":
            write(first, True, second)
        elif name == "level":
            second &= 0xDE if first else 0xF8
            steps.append(out(0x4D0 + first, second))
            pair.chips[first].set_level(second)
            pair.settle()
        elif name == "initialise":
            write(first, False, second)
            for value in (0x20 + 8 * first, *([] if second & 2 else [4 >> first]), *([rest[0]] if second & 1 else [])):
                write(first, True, value)
        elif name == "let pass":  # what is in service is masked, in special mask mode, and then perhaps ends
            write(first, False, 0x68)
            write(first, True, pair.chips[first].isr)
            write(first, False, second)
        elif name == "rotate":  # automatically
            for data, value in ((False, 0x13), (True, 0x20 + 8 * first), (True, second), (False, 0x80)):
                write(first, data, value)
        elif name == "acknowledge":
            steps.append(acknowledge())
            expected.append(NONE if pair.chips[0].ask() is None else pair.cycle())
        else:
            steps.append(inta())
            expected.append(pair.cycle())
        steps += [pending(), *(in_(port) for port in (0x20, 0x21, 0xA0, 0xA1))]
        expected.append(int(pair.chips[0].ask() is not None))
        expected += [pair.read(which, data) for which in (0, 1) for data in (False, True)]
    assert chips.run(steps) == expected


def test_a_request_that_falls_is_forgotten_and_one_at_a_level_comes_again(chips: Chips) -> None:
    start = [out(0x21, 0), line(3, True)]
    assert chips.run([*start, line(3, False), acknowledge()]) == [NONE]
    again = [acknowledge(), out(0x20, 0x20), acknowledge()]
    assert chips.run([*start, *again]) == [0x0B, NONE]
    assert chips.run([out(0x4D0, 8), *start, *again]) == [0x0B, 0x0B]
