"""One counter of an 8254, tick by tick, written from the data sheet's description of each mode.

It keeps a count and an output and changes them at each tick, where the monitor's has formulas. A count that is
written is in the counting element at once, which is the one liberty that both take.
"""

from __future__ import annotations


class Counter:
    """A counter with a gate; `output` and `value` are what its pin and a read of it show."""

    def __init__(self, mode: int, bcd: bool = False, gate: bool = True) -> None:
        self.mode, self.bcd, self.gate = mode, bcd, gate
        self.modulus = 10_000 if bcd else 0x1_0000
        self.output = mode != 0
        self.edges = 0  # times that the output has risen since the mode was set
        self.reload: int | None = None  # what was last written, 1 to modulus
        self.count: int | None = None  # in the counting element; None: nothing was loaded yet
        self.null = True
        self.expired = False  # mode 0 and the strobes, which strike once
        self.counting = False
        self._half_of = 0  # mode 3: the count of the half that is being counted

    @property
    def value(self) -> int:
        """The count as a read shows it (in BCD where it counts so)."""
        value = (self.count or 0) % self.modulus
        return int(str(value), 16) if self.bcd else value

    def _set_output(self, high: bool) -> None:
        self.edges += high and not self.output
        self.output = high

    def _load(self) -> None:
        assert self.reload is not None
        self.count, self.null, self.counting, self.expired = self.reload, False, True, False
        if self.mode == 3:
            self._half_of = self.count
            self.count &= ~1

    def write(self, count: int) -> None:
        """Write a whole count; 0 is the largest."""
        first = self.count is None
        self.reload, self.null = count or self.modulus, True
        if self.mode in (0, 4) or (self.mode in (2, 3) and (first or not self.gate)):
            self._load()
            self.output = self.mode != 0

    def write_first_byte(self) -> None:
        """In mode 0 the first of two bytes stops the count and lowers the output."""
        if self.mode == 0:
            self.output, self.count, self.counting = False, None, False

    def set_gate(self, gate: bool) -> None:
        """The gate's level; its rise triggers modes 1, 2, 3 and 5."""
        rises, self.gate = gate and not self.gate, gate
        if self.mode in (2, 3):
            if not gate:
                self._set_output(True)
            elif rises and self.reload is not None:
                self._load()
        elif self.mode in (1, 5) and rises and self.reload is not None:
            self._load()
            self.output = self.mode == 5

    def tick(self) -> None:
        """One pulse of the clock."""
        if self.count is None or not self.counting or not (self.gate or self.mode in (1, 5)):
            return
        if self.mode == 2:
            self._tick_rate()
        elif self.mode == 3:
            self._tick_square()
        else:
            self._tick_once()

    def _tick_once(self) -> None:
        assert self.count is not None
        if self.mode in (4, 5) and not self.output:
            self._set_output(True)
        self.count = (self.count - 1) % self.modulus
        if self.count == 0 and not self.expired:
            self.expired = True
            self._set_output(self.mode in (0, 1))

    def _tick_rate(self) -> None:
        assert self.count is not None
        if self.count <= 1:
            self._load()
            self._set_output(True)
            return
        self.count -= 1
        if self.count == 1:
            self._set_output(False)

    def _tick_square(self) -> None:
        """By two. An odd count keeps the output high for one more tick, in which 0 is shown."""
        assert self.count is not None
        lowest = 0 if self._half_of & 1 and self.output else 2
        if self.count > lowest:
            self.count -= 2
            return
        self._load()
        self._set_output(not self.output)
