"""Finding candidates in raw text, so that only they need a parser.

A compiler's output is megabytes with a handful of sensitive instructions in it: one compiled regular
expression, derived from the catalogue, skips the rest. It may find too much, never too little. The
expressions are in lower case: give them ``text.lower()``, which costs a third of ignoring case.
"""

from __future__ import annotations

import re

from porter.catalogue import SPELLINGS
from porter.catalogue_model import Slot

_REGISTER_SLOTS = frozenset({Slot.SREG, Slot.CR, Slot.CR8, Slot.DR})
_PREFIX = r"(?:rep(?:n?[ez])?|lock|data16|data32|addr16|addr32|[c-gs]s)"


def _alternation(words: list[str]) -> str:
    """Words as a regular expression that shares prefixes, which `re` itself does not do."""
    by_first: dict[str, list[str]] = {}
    for word in sorted(set(words)):
        by_first.setdefault(word[:1], []).append(word[1:])
    branches = []
    for first, rests in by_first.items():
        if first == "":
            continue
        tail = _alternation(rests) if any(rests) else ""
        optional = "?" if "" in rests and tail else ""
        branches.append(re.escape(first) + (f"(?:{tail}){optional}" if tail else ""))
    return "|".join(branches)


def _by_operand(*, registers: bool) -> list[str]:
    """The mnemonics that are sensitive by their operands only: by register, or by two immediates."""
    names = []
    for name, spelling in SPELLINGS.items():
        forms = [form for row in spelling.rows for form in row.forms]
        by_register = bool(forms) and all(_REGISTER_SLOTS & set(form.slots) for form in forms)
        by_immediates = bool(forms) and all(form.slots == (Slot.IMM, Slot.IMM) for form in forms)
        if by_register if registers else by_immediates:
            names.append(name)
    return names


_BY_REGISTER = _by_operand(registers=True)
_BY_IMMEDIATES = _by_operand(registers=False)
_ALONE = [name for name in SPELLINGS if name not in _BY_REGISTER and name not in _BY_IMMEDIATES]

_SENSITIVE = (
    rf"(?:(?:{_alternation(_ALONE)})(?![\w.$:(=]|[ \t]*[:=])"
    rf"|(?:{_alternation(_BY_REGISTER)})[ \t][^\n;]*?(?:%(?:[c-gs]s|cr\d|d[rb]\d)(?!\w|[ \t]*:)|\\|\x02)"
    rf"|(?:{_alternation(_BY_IMMEDIATES)})[ \t]+\$)"
)
_LEADS = rf"(?:{_PREFIX}[ \t]+|\{{\w+\}}[ \t]*)*"

# The text that this scans must begin with a line feed. A statement begins after a separator, a label, or
# a closed comment; the one-character class in front is what makes the scan fast.
STATEMENT = re.compile(rf"[\n;:/][ \t\r\f]*{_LEADS}{_SENSITIVE}")

MODE = re.compile(r"[\n;:/][ \t]*\.(code(?:16gcc|16|32|64)|intel_syntax|att_syntax|(?:no)?altmacro)\b")
