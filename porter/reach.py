"""What of an assembler text a guest can reach, which starts in 32-bit code."""

from __future__ import annotations

from functools import cached_property

from porter.asm_state import States

TYPE_CHECKING = False  # as `typing` has it: see wrapper.py on imports
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from porter.real_mode import AfterRealMode, Line

OTHER_BITS = "code does not run in an i386 guest"  # ends the reason why code of another size is left
_AFTER_REAL_MODE = "32-bit code that only 16-bit code leads to does not run in a guest, which has no real mode"


class Reach:
    """`clean` is the text, `source` the same as the preprocessor will get it, '' where that is past.

    `mentioned` are names that other text refers to.
    """

    def __init__(self, clean: str, source: str, states: States, mentioned: Collection[str] = ()) -> None:
        self._text, self._states, self._mentioned = (clean, source), states, mentioned

    @cached_property
    def _after_real_mode(self) -> AfterRealMode:
        from porter.real_mode import AfterRealMode  # takes Lark, which few files need

        return AfterRealMode(self._lines(), self._states, self._mentioned)

    def _lines(self) -> Iterator[Line]:
        """The statements of the text, in GAS's words."""
        from porter.real_mode import gas_lines

        return gas_lines(*self._text, self._states)

    def obstacle(self, offset: int) -> str:
        """Why the statement at `offset` cannot run in a guest; '' where it can."""
        bits = self._states.at(offset).bits
        if bits != "32":
            return f"{bits}-bit {OTHER_BITS}"
        return _AFTER_REAL_MODE if self._states.has_16_bit and offset in self._after_real_mode else ""
