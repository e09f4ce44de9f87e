"""Every row of the catalogue, in every spelling that NASM has for it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from porter.asm_port import port_assembly
from porter.binary import survey
from porter.catalogue_model import Treatment
from porter.nasm_classify import MNEMONICS
from tests.porter import toolchain
from tests.porter.nasm_spellings import LONG_MODE, ORDINARY, PORTED
from tests.porter.nasm_toolchain import assemble, assemble_ported, code, needs_nasm, port
from tests.porter.spellings import UNDECODED

CASES = [tuple(part.strip() for part in line.split("->")) for line in PORTED.strip().splitlines()]
PREFIX = r"(?:\.?\w+:|lab|times .*(?= \S+(?: \S+, \S+)?$)|rep\w*|[oa]\d\d|[c-gs]s) +"
_SYMBOL = "bits 32\nSYM equ 0x34\n"


def _ids(value: str) -> str:
    return value.replace(" ", "_")


def _head(written: str) -> str:
    return re.sub(f"^(?:{PREFIX})+", "", written.lower()).split()[0]


@pytest.mark.parametrize(("written", "expected"), CASES, ids=_ids)
def test_each_spelling(written: str, expected: str) -> None:
    ported = port(f"\t{written} ; note\n")
    assert ported.text(ported.program.root) == f"\t{written if expected == 'left' else expected} ; note\n"
    (site,) = ported.sites
    if expected == "left":
        assert site.treatment in ("left", "stays", "refused")
        assert site.item.reason
    else:
        assert site.treatment == "ported"


@needs_nasm
@pytest.mark.parametrize(("written", "expected"), [c for c in CASES if c[1] != "left"], ids=_ids)
def test_the_bytes_are_those_of_the_port_by_gas(written: str, expected: str, tmp_path: Path) -> None:
    """As GNU's disassembler writes the instruction, the other porter takes it, and comes to the same code."""
    if "word es" in written:
        return  # NASM warns that it ignores the size
    original = assemble(f"{_SYMBOL}{written}\n", tmp_path, "original")
    lines = [line.replace("data16 push ", "pushw ") for line in toolchain.disassemble(original)]
    gas = port_assembly("".join(f"\t{line}\n" for line in lines), "x.s")
    assert {site.treatment for site in gas.sites} == {"ported"}
    by_gas = toolchain.assemble(toolchain.with_macros(gas.text), tmp_path, "by-gas")
    assert code(assemble_ported(f"{_SYMBOL}{expected}\n", tmp_path)) == code(by_gas), lines


@needs_nasm
@pytest.mark.parametrize("written", [written for written, _ in CASES
                                     if "word es" not in written and _head(written) not in UNDECODED], ids=_ids)
def test_source_and_binary_agree_on_what_each_is(written: str, tmp_path: Path) -> None:
    """The instruction that NASM makes of a line is of the class that the porter took the line for."""
    (site,) = port(f"\t{written}\n").sites
    target = assemble(f"{_SYMBOL}global f:function\nf: {written if 'lab' not in written else written[4:]}\n", tmp_path)
    found = survey(target)
    assert {one.kind.name for one in (*found.left, *found.native)} == {site.item.row.group}


@pytest.mark.parametrize("written", ORDINARY.strip().splitlines(), ids=_ids)
def test_ordinary_lines_are_not_touched(written: str) -> None:
    ported = port(f"\t{written}\n")
    assert ported.sites == ()
    assert ported.text(ported.program.root) == f"\t{written}\n"


@needs_nasm
def test_ordinary_lines_are_nasm(tmp_path: Path) -> None:
    assemble(_SYMBOL + ORDINARY, tmp_path)


def test_the_table_covers_the_catalogue() -> None:
    unknown_to_nasm = {"int1", "retfw", "retfd", "sysexitl", "sysretl", "sysretq", "sysexitq", "xsavec64", "xsaves64",
                       "xrstors64", "boundw", "boundl", "lretq", "skinit", "tdcall", "invlpgb", "tlbsync", "wrmsrns"}
    assert set(MNEMONICS) - {_head(written) for written, _ in CASES} - unknown_to_nasm - set(LONG_MODE) == set()


@pytest.mark.parametrize("mnemonic", LONG_MODE)
def test_long_mode_is_refused(mnemonic: str) -> None:
    (site,) = port(f"\t{mnemonic}\n").sites
    assert site.treatment == "refused"
    assert site.item.row.treatment is Treatment.REFUSE and "64-bit" in site.item.reason
