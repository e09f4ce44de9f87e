"""The catalogue of sensitive i386 instructions: which they are, why, and what replaces them.

The rows are data, in ``catalogue_rows``; their model is in ``catalogue_model``; this module looks up. A
row is found by *decoded* mnemonic and operand kinds, so one row covers all spellings of an operation:
size suffixes, upper case, prefixes and implied operands are resolved before the look-up.

Source of facts: Intel SDM volume 2 (instruction reference), volume 3A section 5.9 (privileged
instructions) and 2.8; "ring 3 today" was measured on Linux in compatibility mode.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from porter.catalogue_model import ACCEPTS, Form, Kind, Row, Treatment
from porter.catalogue_rows import ROWS


class Spelling(NamedTuple):
    """A mnemonic as written, decoded: the rows that it may mean, and its size suffix or ''."""

    rows: tuple[Row, ...]
    suffix: str


class Match(NamedTuple):
    """A row and the form of it that a statement's operands fit; `form` is None where nothing replaces it."""

    row: Row
    form: Form | None


# CS cannot be loaded so: undefined opcodes, which stay, as ud2 does.
INVALID = frozenset({"load_cs", "pop_cs", "popw_cs"})

BY_KEY: dict[str, Row] = {row.key: row for row in ROWS}


def _spellings(letters: Mapping[str, str]) -> dict[str, Spelling]:
    """The mnemonics as written, where a size suffix is written with the letter that `letters` gives for it."""
    table: dict[str, Spelling] = {}
    for row in ROWS:
        for mnemonic in row.mnemonics:
            for suffix in ("", *row.suffixes):
                written = mnemonic + letters.get(suffix, suffix)
                known = table.get(written)
                table[written] = Spelling((*(known.rows if known else ()), row), suffix)
    return table


SPELLINGS: dict[str, Spelling] = _spellings({})  # in AT&T syntax
INTEL_SPELLINGS: dict[str, Spelling] = _spellings({"l": "d"})
# What the suffix of 64 bits makes of those: in 64-bit mode only, and so refused.
LONG_SPELLINGS: dict[str, Spelling] = {
    f"{row.mnemonics[0]}q": SPELLINGS[row.mnemonics[0]]
    for row in ROWS if row.treatment is Treatment.PORT and "l" in row.suffixes and "b" not in row.suffixes
    and f"{row.mnemonics[0]}q" not in BY_KEY["x86-64"].mnemonics
}
ALL_SPELLINGS: dict[str, Spelling] = LONG_SPELLINGS | INTEL_SPELLINGS | SPELLINGS


def find(spelling: Spelling, kinds: Sequence[Kind]) -> Match | None:
    """Find what a mnemonic with operands of `kinds` (AT&T order) means. None: not a sensitive instruction."""
    for row in spelling.rows:
        for form in row.forms:
            if len(form.slots) == len(kinds) and all(
                kind in ACCEPTS[slot] for slot, kind in zip(form.slots, kinds, strict=True)
            ):
                return Match(row, form if row.treatment is Treatment.PORT else None)
        if row.treatment is not Treatment.PORT and not row.forms:
            return Match(row, None)
    return None
