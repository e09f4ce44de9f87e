"""The first look at an assembly text: may anything in it be sensitive at all?

Most files of a build have nothing, and the answer must cost as little as the file: this module needs no
regular expressions, whose import alone takes longer than the look.
"""

from __future__ import annotations

from porter.memo import remembered

TYPE_CHECKING = False  # as `typing` has it: see wrapper.py on imports
if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE = 1 << 16  # characters
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


def _pieces(text: str) -> Iterator[str]:
    """The text in pieces of whole lines: such as fit a processor's cache, and the first may be enough."""
    start = 0
    while start < len(text):
        end = text.find("\n", start + _PIECE) + 1 or len(text)
        yield text[start:end]
        start = end


def _is_sensitive(lower: str, only_att: bool) -> bool:
    words = lower
    for character in _BETWEEN:
        words = words.replace(character, " ")
    # A colon stays with the word in front of it, which so is a label or a segment override and no operand.
    found = frozenset(words.replace(":", ": ").split())
    if not found.isdisjoint(remembered("words", _words)):
        return True
    # What the assembler takes for blanks may stand behind a percent sign.
    if any(split in lower for split in ("% ", "%\t", "%\r", "%/*")):
        return True
    if not only_att:
        if not found.isdisjoint(remembered("registers", _registers)):
            return True
        for word in ("jmp", "call"):
            for rest in lower.split(word)[1:]:
                operand = rest.partition("\n")[0]
                if ":" in operand or "," in operand or "far" in operand or "fword" in operand:
                    return True
    return any(rest.lstrip("lw.sd823").lstrip().startswith(("$", "/*"))
               for word in ("jmp", "call") for rest in lower.split(word)[1:])


def may_be_sensitive(text: str, only_att: bool = True) -> bool:
    """False: no statement of `text` is sensitive. `only_att`: it begins in AT&T syntax, with a % before registers."""
    lower = text.lower()
    if "\\" in lower and (".macro" in lower or ".irp" in lower):
        return True
    only_att = only_att and "_syntax" not in lower
    return any(_is_sensitive(piece, only_att) for piece in _pieces(lower))
