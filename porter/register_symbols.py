"""Symbols that stand for registers: ``.set port, %dx`` and ``inb port, %al``.

The assembler knows them (binutils manual, .set), the grammar does not. What is written with them is told, not ported.
"""

from __future__ import annotations

import re

REASON = "a symbol stands for a register in it: write the register"

_SIGNED = r"%[ \t]*\w+"
# Where registers need no sign, a symbol that is set to any other name is none of ours.
_NAKED = rf"{_SIGNED}|(?:e?(?:[abcd]x|[sd]i|[bs]p)|[abcd][hl]|[c-gs]s|cr\d|d[rb]\d)(?![\w.$])"
_ANY = re.compile(r"=[ \t]*%|\.(?:set|equ|equiv|eqv)\b[^\n%]*%")  # most texts have none, and are large
_SYMBOL = r"(?:\.(?:set|equ|equiv|eqv)[ \t]+([\w.$]+)[ \t]*,|(?<![\w.$])([\w.$]+)[ \t]*==?)[ \t]*"
_DEFINITION = {naked: re.compile(f"{_SYMBOL}({register})", re.IGNORECASE)
               for naked, register in ((False, _SIGNED), (True, _NAKED))}


class RegisterSymbols:
    """The symbols of one text that stand for registers. `naked`: some of it has registers without a sign."""

    def __init__(self, text: str, naked: bool = False) -> None:
        found = _DEFINITION[naked].finditer(text) if naked or _ANY.search(text) else ()
        self._registers = {match[1] or match[2]: match[3] for match in found}
        names = "|".join(map(re.escape, self._registers))
        self._uses = re.compile(rf"(?<![\w.$%])(?:{names})(?![\w.$])") if names else None

    def __bool__(self) -> bool:
        return bool(self._registers)

    def uses(self, text: str) -> list[int]:
        """Offsets at which one is written."""
        return [match.start() for match in self._uses.finditer(text)] if self._uses else []

    def resolved(self, piece: str) -> str:
        """A piece of text with the registers in their places."""
        return self._uses.sub(lambda match: self._registers[match[0]], piece) if self._uses else piece
