"""ACPI's timer and its event against a model of ACPI 6.5, 4.8.3: exact to the tick, for hours of the chips' time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.hypervisor.chips.chips import START_NS, Chips, Step, advance, in_, jump, lines, out

STATUS, ENABLE, TIMER, SCI = 0x600, 0x602, 0x608, 9
HZ = 3579545
KEPT = 0x421  # of the enable register
HALF_NS = (1 << 23) * 10**9 / HZ


class Model:
    """The registers as bytes, and what the interrupt line must be."""

    def __init__(self) -> None:
        self.now, self.enable, self.seen = START_NS, 0, self._halves(START_NS)

    @staticmethod
    def _halves(now: int) -> int:
        return (now * HZ // 10**9) >> 23

    @property
    def status(self) -> int:
        return int(self._halves(self.now) != self.seen)

    def read(self, port: int) -> int:
        value = self.now * HZ // 10**9 & 0xFF_FFFF if port >= TIMER else self.status | self.enable << 16
        return value >> (port & 3) * 8 & 0xFF

    def write(self, port: int, value: int) -> None:
        if port == STATUS and value & 1:
            self.seen = self._halves(self.now)
        elif port in (ENABLE, ENABLE + 1):
            shift = (port - ENABLE) * 8
            self.enable = (self.enable & ~(0xFF << shift) | value << shift) & KEPT

    @property
    def line(self) -> int:
        return (self.status & self.enable) << SCI


ports = st.sampled_from([*range(STATUS, STATUS + 4), *range(TIMER, TIMER + 4)])
actions = st.one_of(
    st.tuples(st.just("out"), ports, st.sampled_from([0, 1, 0x20, 0x21, 4, 0xFF]) | st.integers(0, 255)),
    st.tuples(st.just("pass"), st.sampled_from([advance, jump]), st.integers(0, round(3 * HALF_NS))),
    st.tuples(st.just("pass"), st.just(advance), st.sampled_from([1, 279, 280, round(HALF_NS) - 1, round(HALF_NS)])),
)


@given(st.lists(actions, max_size=40))
def test_any_script(chips: Chips, script: list[tuple[str, object, int]]) -> None:
    model, steps, expected = Model(), list[Step](), list[int]()
    for kind, what, value in script:
        if kind == "out":
            assert isinstance(what, int)
            model.write(what, value)
            steps.append(out(what, value))
        else:
            assert callable(what)
            model.now += value
            steps.append(what(value))
        for port in (*range(STATUS, STATUS + 4), *range(TIMER, TIMER + 4)):
            steps.append(in_(port))
            expected.append(model.read(port))
        steps.append(lines())
        expected.append(model.line)
    answers = chips.run(steps)
    assert [answer & 1 << SCI if place % 9 == 8 else answer for place, answer in enumerate(answers)] == expected
