"""Symbols that stand for registers: ``.set port, %dx`` and ``inb port, %al``.

The assembler knows them (binutils manual, .set), the grammar does not. What is written with them is told, not ported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

REASON = "a symbol stands for a register in it: write the register"

# The directives are looked for first, and by their beginnings: most texts have none, and are large.
_DIRECTIVES = (".set", ".equ", ".eqv")
_DIRECTIVE = re.compile(r"\.(?:set|equ|equiv|eqv)[ \t]+([\w.$]+)[ \t]*,[ \t]*(%[ \t]*\w+)", re.IGNORECASE)
_VALUE = re.compile(r"=[ \t]*(%[ \t]*\w+)")
_ALIAS = re.compile(
    r"(?:\.(?:set|equ|equiv|eqv)[ \t]+([\w.$]+)[ \t]*,|([\w.$]+)[ \t]*==?)[ \t]*([\w.$]+)[ \t]*(?=[\n;#]|\Z)",
    re.IGNORECASE)
# Where registers need no sign, a symbol that is set to any other name is none of ours.
_REGISTER = re.compile(r"(?:e?(?:[abcd]x|[sd]i|[bs]p)|[abcd][hl]|[c-gs]s|cr\d|d[rb]\d)\Z", re.IGNORECASE)
_NAME = re.compile(r"(?:\A|[;:])[ \t]*([\w.$]+)[ \t]*=?\Z")


def _definitions(text: str) -> Iterator[tuple[str, str]]:
    lower = text.lower()
    if any(directive in lower for directive in _DIRECTIVES):
        yield from ((match[1], match[2]) for match in _DIRECTIVE.finditer(text))
    for match in _VALUE.finditer(text):
        name = _NAME.search(text, text.rfind("\n", 0, match.start()) + 1, match.start())
        if name:
            yield name[1], match[1]


class RegisterSymbols:
    """The symbols of one text that stand for registers. `naked`: some of it has registers without a sign."""

    def __init__(self, text: str, naked: bool = False) -> None:
        self._registers = dict(_definitions(text))
        look = naked or self._registers
        aliases = [(match[1] or match[2], match[3]) for match in _ALIAS.finditer(text)] if look else []
        if naked:
            self._registers.update((name, other) for name, other in aliases if _REGISTER.match(other))
        while new := {name: self._registers[other] for name, other in aliases
                      if other in self._registers and name not in self._registers}:
            self._registers.update(new)
        names = "|".join(map(re.escape, self._registers))
        self._uses = re.compile(rf"(?<![\w.$%])(?:{names})(?![\w.$]|[ \t]*=)") if names else None

    def __bool__(self) -> bool:
        return bool(self._registers)

    def uses(self, text: str) -> list[int]:
        """Offsets at which one is written."""
        return [match.start() for match in self._uses.finditer(text)] if self._uses else []

    def resolved(self, piece: str) -> str:
        """A piece of text with the registers in their places."""
        return self._uses.sub(lambda match: self._registers[match[0]], piece) if self._uses else piece
