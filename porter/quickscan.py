"""The first look at an assembly text: may anything in it be sensitive at all?

Most files of a build have nothing, and the answer must cost as little as the file: this module needs no
regular expressions, whose import alone takes longer than the look.
"""

from __future__ import annotations

from porter.memo import remembered

_BETWEEN = ";,/(){}\2"  # characters that stand between words


def _words() -> tuple[str, ...]:
    """The words of which a sensitive statement has at least one, but for far jumps by two immediates."""
    from porter.catalogue_model import CONTROL_REGISTERS, DEBUG_REGISTERS, SEGMENT_REGISTERS
    from porter.prefilter import mnemonics

    registers = (*SEGMENT_REGISTERS, *CONTROL_REGISTERS, "cr8", *DEBUG_REGISTERS)
    return (*mnemonics(), *(f"%{name}" for name in registers))


def may_be_sensitive(text: str) -> bool:
    """False: no statement of `text` is sensitive."""
    lower = text.lower()
    words = lower
    for character in _BETWEEN:
        words = words.replace(character, " ")
    # A colon stays with the word in front of it, which so is a label or a segment override and no operand.
    if not frozenset(words.replace(":", ": ").split()).isdisjoint(remembered("words", _words)):
        return True
    if "\\" in lower and (".macro" in lower or ".irp" in lower):
        return True
    return any(rest.lstrip("lw").lstrip().startswith("$") for word in ("jmp", "call") for rest in lower.split(word)[1:])
