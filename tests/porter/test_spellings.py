"""Every row of the catalogue, in every spelling."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from porter.asm_port import port_assembly
from porter.binary import Survey, survey
from porter.binary.sensitive import Effect
from porter.catalogue import BY_KEY, SPELLINGS
from porter.catalogue_model import NO_MACRO, Ring3, Treatment
from tests.porter.spellings import LONG_MODE, LONG_OPERANDS, ORDINARY, PORTED, UNDECODED
from tests.porter.toolchain import assemble, disassemble, with_macros

CASES = [tuple(part.strip() for part in line.split("->")) for line in PORTED.strip().splitlines()]
_SYMBOL = ".set SYM,0x34\n"


def _ids(value: str) -> str:
    return value.replace(" ", "_")


@pytest.mark.parametrize(("written", "expected"), CASES, ids=_ids)
def test_each_spelling(written: str, expected: str, tmp_path: Path) -> None:
    ported = port_assembly(f"\t{written}\n", "x.s")
    unchanged = expected in ("left", "same")
    assert ported.text == (f"\t{written}\n" if unchanged else f"\t{expected}\n")
    treatments = [site.treatment for site in ported.sites]
    if expected == "same":
        assert treatments == []
    elif expected == "left":
        assert treatments in (["left"], ["stays"], ["refused"])
        assert ported.sites[0].item.reason
    else:
        assert treatments == ["ported"]
    assemble(_SYMBOL + written + "\n", tmp_path, "original")
    assemble(with_macros(_SYMBOL + ported.text), tmp_path, "ported")


@pytest.mark.parametrize(("written", "expected"), [c for c in CASES if re.search(r"r3_\w+ .*\(.*%e", c[1])], ids=_ids)
def test_memory_operands_reach_the_macro_whole(written: str, expected: str, tmp_path: Path) -> None:
    """The operand that the original instruction has is that of some instruction of the replacement."""
    (before,) = disassemble(assemble(_SYMBOL + written + "\n", tmp_path, "original"))
    memory = re.search(r"(?:%\ws:)?-?(?:0x[0-9a-f]+)?\([^)]*\)", before)
    assert memory, before
    after = disassemble(assemble(with_macros(f"{_SYMBOL}{expected}\n"), tmp_path, "ported"))
    assert any(memory[0] in line for line in after), after


@pytest.mark.parametrize("written", ORDINARY.strip().splitlines(), ids=_ids)
def test_ordinary_statements_are_not_touched(written: str, tmp_path: Path) -> None:
    ported = port_assembly(f"\t{written}\n", "x.s")
    assert ported == (f"\t{written}\n", ())
    assemble(f"{_SYMBOL}\t{written}\n", tmp_path)


def test_the_table_covers_the_catalogue() -> None:
    heads = {re.sub(r"^(?:\{\w+\} *|(?:data16|addr16|rep\w*|[c-gs]s) +)+", "", written.lower()).split()[0]
             for written, _ in CASES}
    unknown_to_gas = {"icebp", "sysexitl", "movq", "xsavec64", "xsaves64", "xrstors64"}
    assert set(SPELLINGS) - heads - unknown_to_gas - set(LONG_MODE) == set()


@pytest.mark.parametrize("mnemonic", LONG_MODE)
def test_long_mode_is_refused(mnemonic: str) -> None:
    operand = " %cr8,%rax" if mnemonic == "movq" else ""
    (site,) = port_assembly(f"\t{mnemonic}{operand}\n", "x.s").sites
    assert site.treatment == "refused"
    assert "64-bit" in site.item.reason


@pytest.mark.parametrize("written", LONG_OPERANDS.strip().splitlines())
def test_long_operands_are_refused(written: str, tmp_path: Path) -> None:
    """What is sensitive with 32-bit operands is told of with 64-bit ones, where it otherwise would pass unseen."""
    text = f"\t{written}\n"
    assemble(f".code64\n{text}", tmp_path)
    ported = port_assembly(text, "x.s")
    assert ported.text == text
    (site,) = ported.sites
    assert (site.treatment, site.text) == ("refused", written)
    assert "64-bit" in site.item.reason


@pytest.mark.parametrize("written", ["movq %mm0,%mm1", "movq %rax,%rbx", "push %rax", "pushq $1", "mov %rax,(%rbx)",
                                     "lea (%rax),%rbx", "call *%rax", "xchg %rax,%rbx"])
def test_ordinary_long_operands_are_not_told_of(written: str, tmp_path: Path) -> None:
    text = f"\t{written}\n"
    assemble(f".code64\n{text}", tmp_path)
    assert port_assembly(text, "x.s") == (text, ())


def test_every_macro_of_the_catalogue_exists() -> None:
    """The names that the porter emits are names that the contract defines."""
    defined = set(re.findall(r"^\.macro (r3_\w+)", with_macros(""), re.MULTILINE))
    registers = {"sreg": ["ds", "es", "ss", "fs", "gs"], "cr": ["cr0", "cr2", "cr3", "cr4"],
                 "dr": [f"dr{n}" for n in range(8)]}
    for row in BY_KEY.values():
        if row.treatment is not Treatment.PORT:
            continue
        for form in row.forms:
            variable = next((slot.value for slot in form.slots if slot.value in registers), None)
            for template in {form.macro, form.word} - {NO_MACRO, "="}:
                for register in registers.get(variable or "", [""]):
                    for size in "bwl" if "{size}" in template else "l":
                        name = template.format(register, register, size=size)
                        names = {name, f"rep_{name}"} if row.string else {name}
                        assert {f"r3_{n}" for n in names} <= defined


def test_rows_say_why() -> None:
    for row in BY_KEY.values():
        assert row.why and row.group, row.key
        assert (row.treatment is Treatment.PORT) == (row.cost.value != "none"), row.key


def _surveyed(written: str, folder: Path) -> Survey:
    return survey(assemble(f"{_SYMBOL}.globl f\n.type f, @function\nf: {written}\n", folder))


# In 32-bit code, GAS writes %cr8 as AMD does: as %cr0 with a lock prefix.
_CLASSIFIED = [written for written, expected in CASES if expected != "same" and "%cr8" not in written
               and written.split()[0] not in UNDECODED]


@pytest.mark.parametrize("written", _CLASSIFIED, ids=_ids)
def test_source_and_binary_agree_on_what_each_is(written: str, tmp_path: Path) -> None:
    """The instruction that GAS makes of a statement is of the class that the porter took the statement for."""
    (site,) = port_assembly(f"\t{written}\n", "x.s").sites
    found = _surveyed(written, tmp_path)
    kinds = {one.kind for one in (*found.left, *found.native)}
    assert {kind.name for kind in kinds} == {site.item.row.group}
    if site.item.row.group != "software interrupts":  # whether those trap depends on the vector
        silent = site.item.row.ring3 is not Ring3.TRAPS and site.item.row.treatment is Treatment.PORT
        assert {kind.effect is Effect.SILENT for kind in kinds} == {silent}


@pytest.mark.parametrize("written", [written for written, _ in CASES if written.split()[0] in UNDECODED], ids=_ids)
def test_check_tells_of_what_it_cannot_decode(written: str, tmp_path: Path) -> None:
    assert _surveyed(written, tmp_path).undecodable == [(".text", 0)]
