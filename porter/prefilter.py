"""Finding candidates in raw text, so that only they need a parser.

A compiler's output is megabytes with a handful of sensitive instructions in it. Small regular expressions
and the set of the catalogue's mnemonics skip the rest. They may find too much, never too little.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from porter.memo import remembered
from porter.prefixes import PREFIX

# A statement begins after a separator, a label, a closed comment, a prefix in braces, or
# a C macro. The one-character class in front, and the look at the next letter, are what makes the scan fast.
_MNEMONIC = re.compile(
    rf"[\n;:/}}\x02][ \t\r\f]*+(?=[a-z])(?:{PREFIX})*([a-z][a-z0-9]*)")
_WORD = re.compile(r"\b[a-z][a-z0-9]*\b")
# Statements that are sensitive by their operands. A constant beginning makes an expression ten times as fast.
_REGISTER = re.compile(r"%[ \t]*(?:[c-gs]s|cr\d|d[rb]\d)(?![\w:]|[ \t]+:)")
_FAR_JUMP, _FAR_CALL = (re.compile(word + r"[wl]?(?:\.(?:s|d8|d32))?[ \t]+\$") for word in ("jmp", "call"))
# The same in Intel syntax, and where registers have no %.
_NAKED_REGISTER = re.compile(r"[ \t,(\[](?:[c-gs]s|cr\d|d[rb]\d)(?![\w.$@:]|[ \t]+:)")
_INTEL_FAR = re.compile(r"(?:jmp|call)[wd]?(?:\.(?:s|d8|d32))?[ \t]+[^\n]*?(?:[:,]|\b(?:far|fword)\b)")
_MACRO_MNEMONIC = re.compile(rf"[\n;:/}}][ \t]*(?:{PREFIX})*[a-z0-9]*\\[\w(@]")
_MACRO_ARGUMENT = re.compile(r"(?:mov|push|pop)[wlbd]?[ \t][^\n;\"]*[\\\x02]")

_MODE = re.compile(
    r"[\n;:/][ \t]*\.(code(?:16gcc|16|32|64)|(?:intel|att)_syntax|(?:no)?altmacro)\b(?:[ \t]+((?:no)?prefix)\b)?")
_OF_MODES = (".code", "_syntax", "altmacro")  # one of these is in each


def modes(text: str) -> Iterable[re.Match[str]]:
    """The directives that change what the assembler makes of what follows; offsets are those into `text`, plus one."""
    lower = "\n" + text.lower()
    return _MODE.finditer(lower) if any(part in lower for part in _OF_MODES) else ()


def mnemonics() -> tuple[str, ...]:
    """The mnemonics that are sensitive whatever their operands, or that the expressions above do not tell."""
    from porter.catalogue import ALL_SPELLINGS
    from porter.catalogue_model import Slot

    by_operand = {Slot.SREG, Slot.CR, Slot.CR8, Slot.DR, Slot.FAR}
    return tuple(
        name for name, spelling in ALL_SPELLINGS.items()
        if not all(by_operand.intersection(form.slots) or form.slots == (Slot.IMM, Slot.IMM)
                   for row in spelling.rows for form in row.forms) or not spelling.rows[0].forms
    )


def mentions(text: str) -> bool:
    """Whether a text has any word in it that could be part of something sensitive, wherever it stands."""
    lower = text.lower()
    return not frozenset(_WORD.findall(lower)).isdisjoint(remembered("mnemonics", mnemonics)) or any(
        expression.search(lower)
        for expression in (_REGISTER, _FAR_JUMP, _FAR_CALL, _MACRO_ARGUMENT, _MACRO_MNEMONIC, _NAKED_REGISTER,
                           _INTEL_FAR))


def candidates(text: str, only_att: bool = True) -> list[int]:
    """Offsets into `text`, ascending, at which something sensitive may be written.

    `only_att`: all of it is in AT&T syntax with a % in front of each register.
    """
    names = frozenset(remembered("mnemonics", mnemonics))
    lower = "\n" + text.lower()
    found = [match.start(1) - 1 for match in _MNEMONIC.finditer(lower) if match[1] in names]
    expressions = (_REGISTER, _FAR_JUMP, _FAR_CALL)
    for expression in expressions if only_att else (*expressions, _NAKED_REGISTER, _INTEL_FAR):
        found += [match.end() - 2 for match in expression.finditer(lower)]
    for start, end in _lines_of_macros(lower):
        for expression in (_MACRO_ARGUMENT, _MACRO_MNEMONIC):
            found += [match.end() - 2 for match in expression.finditer(lower, start, end)]
    return sorted(found)


def _lines_of_macros(text: str) -> Iterator[tuple[int, int]]:
    """The bounds of lines with a macro argument or a C macro in them, each with the line feed in front."""
    for sign in "\\\2":
        position = text.find(sign)
        while position >= 0:
            end = text.find("\n", position)
            end = end if end >= 0 else len(text)
            yield text.rfind("\n", 0, position), end
            position = text.find(sign, end)
