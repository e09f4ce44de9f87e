"""The first look at an assembly text: may anything in it be sensitive at all?

Most files of a build have nothing, and the answer must cost as little as the file: this module needs no
regular expressions, whose import alone takes longer than the look.
"""

from __future__ import annotations

from porter.memo import remembered

_BETWEEN = ";,/(){}#\2"  # characters that stand between words


def _words() -> tuple[str, ...]:
    """The words of which a sensitive statement has at least one, but for far jumps."""
    from porter.catalogue_model import ENCODING_SUFFIXES
    from porter.prefilter import mnemonics

    return (*(f"{name}{suffix}" for name in mnemonics() for suffix in ("", *ENCODING_SUFFIXES)),
            *(f"%{name}" for name in _registers()))


def _registers() -> tuple[str, ...]:
    from porter.catalogue_model import CONTROL_REGISTERS, DEBUG_REGISTERS, SEGMENT_REGISTERS

    return (*SEGMENT_REGISTERS, *CONTROL_REGISTERS, "cr8", *DEBUG_REGISTERS)


def may_be_sensitive(text: str, only_att: bool = True) -> bool:
    """False: no statement of `text` is sensitive. `only_att`: it begins in AT&T syntax, with a % before registers."""
    lower = text.lower()
    words = lower
    for character in _BETWEEN:
        words = words.replace(character, " ")
    # A colon stays with the word in front of it, which so is a label or a segment override and no operand.
    found = frozenset(words.replace(":", ": ").split())
    if not found.isdisjoint(remembered("words", _words)):
        return True
    if "% " in lower or "%\t" in lower:  # a register with a blank behind its percent sign, as the assembler takes it
        return True
    if "\\" in lower and (".macro" in lower or ".irp" in lower):
        return True
    if not only_att or "_syntax" in lower:
        if not found.isdisjoint(remembered("registers", _registers)):
            return True
        for word in ("jmp", "call"):
            for rest in lower.split(word)[1:]:
                operand = rest.partition("\n")[0]
                if ":" in operand or "," in operand or "far" in operand or "fword" in operand:
                    return True
    return any(rest.lstrip("lw.sd823").lstrip().startswith("$")
               for word in ("jmp", "call") for rest in lower.split(word)[1:])
