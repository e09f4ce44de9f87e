"""GAS's Intel syntax in assembly files: every row of the catalogue, and what surrounds it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hypercalls import gas_intel
from porter import resolve
from porter.asm_port import port_assembly
from porter.binary import survey
from porter.catalogue import INTEL_SPELLINGS
from tests.porter.intel_spellings import ORDINARY, PORTED
from tests.porter.spellings import LONG_MODE
from tests.porter.toolchain import assemble, contents, with_macros

CASES = [tuple(part.strip() for part in re.split("->|==", line)) for line in PORTED.strip().splitlines()]
SYMBOL = ".set SYM,0x34\n"
NAKED = ".intel_syntax noprefix\n"


def _ids(value: str) -> str:
    return value.replace(" ", "_")


def with_intel_macros(text: str) -> str:
    return gas_intel.macros() + resolve.intel_macros() + with_macros(text)


@pytest.mark.parametrize(("written", "expected", "att"), CASES, ids=_ids)
def test_each_spelling(written: str, expected: str, att: str, tmp_path: Path) -> None:
    text = f"{NAKED}\t{written}\n"
    ported = port_assembly(text, "x.s")
    unchanged = expected in ("left", "same")
    assert ported.text == (text if unchanged else f"{NAKED}\t{expected}\n")
    treatments = [site.treatment for site in ported.sites]
    assert treatments in {"same": ([],), "left": (["left"], ["stays"])}.get(expected, (["ported"],))
    # As unported so ported: the bytes of the same instruction in AT&T syntax.
    assert contents(assemble(SYMBOL + text, tmp_path)) == contents(assemble(f"{SYMBOL}\t{att}\n", tmp_path, "att"))
    theirs = port_assembly(f"\t{att}\n", "x.s")
    assert contents(assemble(with_intel_macros(SYMBOL + ported.text), tmp_path)) == contents(
        assemble(with_macros(SYMBOL + theirs.text), tmp_path, "att"))
    assert [site.item.row.group for site in ported.sites] == [site.item.row.group for site in theirs.sites]


@pytest.mark.parametrize("written", ORDINARY.strip().splitlines(), ids=_ids)
def test_ordinary_statements_are_not_touched(written: str, tmp_path: Path) -> None:
    text = f"{NAKED}\t{written}\n"
    assert port_assembly(text, "x.s") == (text, ())
    assemble(text, tmp_path)


def test_the_table_covers_the_catalogue() -> None:
    heads = {re.sub(r"^(?:\{\w+\} *|(?:data16|addr16|rep\w*|[c-gs]s) +)+", "", written.lower()).split()[0]
             for written, _, _ in CASES}
    rows = {row.key for head in heads if head in INTEL_SPELLINGS for row in INTEL_SPELLINGS[head].rows}
    assert {row.key for spelling in INTEL_SPELLINGS.values() for row in spelling.rows} - rows == {"x86-64"}


@pytest.mark.parametrize("mnemonic", [name for name in LONG_MODE if name != "movq"])
def test_long_mode_is_refused(mnemonic: str) -> None:
    (site,) = port_assembly(f"{NAKED}\t{mnemonic}\n", "x.s").sites
    assert site.treatment == "refused"


@pytest.mark.parametrize(("written", "expected", "att"), [case for case in CASES if case[1] != "same"], ids=_ids)
def test_source_and_binary_agree_on_what_each_is(written: str, expected: str, att: str, tmp_path: Path) -> None:
    (site,) = port_assembly(f"{NAKED}\t{written}\n", "x.s").sites
    found = survey(assemble(f"{SYMBOL}.globl f\n.type f, @function\n{NAKED}f: {written}\n", tmp_path))
    assert {one.kind.name for one in (*found.left, *found.native)} == {site.item.row.group}
