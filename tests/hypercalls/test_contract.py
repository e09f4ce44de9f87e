"""The contract: declared once, generated files in step with it, macros that assemble."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path

import pytest

from hypercalls import HYPERCALLS, by_name, gas, layout, nasm
from hypercalls.__main__ import GENERATED, ROOT, stale
from hypercalls.structs import STRUCTS, Field, Struct
from hypercalls.table import Operand
from tests.porter.nasm_toolchain import needs_nasm


def test_generated_files_are_in_step() -> None:
    assert stale() == [], "run python -m hypercalls"


def test_a_stale_file_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    path = next(iter(GENERATED))
    monkeypatch.setitem(GENERATED, path, lambda: "something else")
    assert stale() == [path]


def test_numbers_are_unique_and_fit_the_gate_table() -> None:
    numbers = [row.number for row in HYPERCALLS]
    assert len(set(numbers)) == len(numbers)
    assert all(0 <= number < layout.LANDING_COUNT for number in numbers)


def test_every_hypercall_is_documented() -> None:
    page = (ROOT / "docs/hypercalls.md").read_text()
    for row in HYPERCALLS:
        assert row.summary
        assert f"| {row.number} | `{row.name}` |" in page


def test_hidden_padding_is_refused() -> None:
    with pytest.raises(ValueError, match="padding"):
        Struct("padded_for_test", "", Field("a", "u8", ""), Field("b", "u32", ""))
    STRUCTS.pop("padded_for_test", None)


def test_selectors_round_trip() -> None:
    mirrored = 0
    for selector in range(0x10000):
        host = layout.host_selector(selector)
        if host >> 3 == layout.HOST_LDT_ENTRIES - 1:
            continue
        mirrored += 1
        assert layout.guest_selector(host) == selector
        assert host & 4 or selector & 0xFFFC == 0
        assert host & 3 == selector & 3
    assert mirrored > 0x7000


def test_parts_of_the_state_file_do_not_overlap() -> None:
    parts = [
        (layout.SHARED_OFFSET, layout.PAGE_SIZE), (layout.GATES_OFFSET, layout.PAGE_SIZE),
        (layout.SELMAP_OFFSET, 0x20000), (layout.REVMAP_OFFSET, 0x20000),
        (layout.LANDING_OFFSET, layout.LANDING_COUNT * layout.LANDING_STUB_SIZE),
        (layout.CONTROL_OFFSET, STRUCTS["control_block"].size), (layout.IN_MAP_OFFSET, 0x20000),
        (layout.OUT_MAP_OFFSET, 0x20000), (layout.EXIT_DATA_OFFSET, layout.EXIT_DATA_SIZE),
        (layout.CONSOLE_OUT_OFFSET, layout.CONSOLE_OUT_SIZE), (layout.CONSOLE_IN_OFFSET, layout.CONSOLE_IN_SIZE),
        (layout.POSTED_OFFSET, layout.POSTED_COUNT * STRUCTS["posted_write"].size),
        (layout.LAPIC_PAGE_OFFSET, layout.PAGE_SIZE), (layout.FIFO_OFFSET, layout.FIFO_SIZE * layout.FIFO_COUNT),
        (layout.VCPU_OFFSET, STRUCTS["vcpu"].size), (layout.TRAPS_OFFSET, layout.TRAPS_SIZE),
        (layout.TRACE_OFFSET, layout.TRACE_RECORD_SIZE),
    ]
    parts.sort()
    for (start, size), (following, _) in itertools.pairwise(parts):
        assert start + size <= following


def _invocations() -> list[str]:
    """One line per macro, with operands that suit it."""
    operands = {Operand.NONE: "", Operand.CARRIER: "%eax", Operand.CARRIER2: "%ebx,4(%eax,%ecx,2)"}
    lines = [f"r3_{row.name} {operands[row.operand]}" for row in HYPERCALLS
             if row.group not in ("xen", "port", "interrupt", "coverage") and row.operand in operands]
    special = ("cli sti sti_hlt hlt pushf pushfw popf popfw rep_insl outsb push_ds pop_gs push_cs pushw_es popw_fs "
               "pop_ss popw_ss wbinvd invd stac clac int3 into iretw lretw")
    lines += [f"r3_{name}" for name in special.split()]
    return [*lines, "r3_in %dx,%al", "r3_in $0x60,%eax", "r3_out %ax,%dx", "r3_out %al,$0x20", "r3_int $0x80",
            "r3_ljmp $8,$0x1000", "r3_lcall $8,$0x1000", "r3_lret_n $8", "r3_outsl %fs", "r3_load_ds %ax",
            "r3_load_es 4(%esp)", "r3_store_fs %ebx", "r3_store_gs %cx", "r3_read_cr3 %edx"]


def test_gas_macros_assemble_once_however_often_they_are_included(tmp_path: Path) -> None:
    source = tmp_path / "all.S"
    header = tmp_path / "ring3.h"
    header.write_text(gas.c_header())
    source.write_text('#include "ring3.h"\n#include "ring3.h"\n' + "\n".join(_invocations()) + "\n")
    subprocess.run(["gcc", "-m32", "-c", str(source), "-o", str(tmp_path / "all.o")], check=True)


def test_port_macros_refuse_other_registers(tmp_path: Path) -> None:
    """Nothing would be assembled in their place otherwise."""
    source = tmp_path / "one"
    (tmp_path / "ring3.h").write_text(gas.c_header())
    for direction, operands in (("in", "%dx,%bl"), ("out", "%bl,%dx"), ("in", "$4,%ah")):
        register = "%ah" if "%ah" in operands else "%bl"
        for name, text in (("one.s", f"{gas.macros()}r3_{direction} {operands}\n"),
                           ("one.c", f'#include "ring3.h"\nasm("r3_{direction} {operands}");\n')):
            source.with_name(name).write_text(text)
            run = subprocess.run(["gcc", "-m32", "-c", name], cwd=tmp_path, capture_output=True, text=True)
            assert run.returncode and f"r3_{direction}: {register} is none of %al, %ax, %eax" in run.stderr


@needs_nasm
@pytest.mark.parametrize(("direction", "operands"), [("in", "bl,dx"), ("out", "dx,bl"), ("in", "ah,4")])
def test_nasm_s_port_macros_refuse_other_registers(direction: str, operands: str, tmp_path: Path) -> None:
    (tmp_path / "ring3.nasm").write_text(nasm.macros())
    (tmp_path / "one.asm").write_text(f'%include "ring3.nasm"\nr3_{direction} {operands}\n')
    run = subprocess.run(["nasm", "-f", "elf32", "one.asm"], cwd=tmp_path, capture_output=True, text=True)
    register = operands.split(",")[direction == "out"]
    assert run.returncode and f"r3_{direction}: {register} is none of al, ax, eax" in run.stderr


def test_a_gate_reaches_its_own_number(tmp_path: Path) -> None:
    source = tmp_path / "one.s"
    source.write_text(gas.macros() + "r3_write_cr3 %ebx\n")
    subprocess.run(["as", "--32", str(source), "-o", str(tmp_path / "one.o")], check=True)
    listing = subprocess.run(["objdump", "-d", str(tmp_path / "one.o")], check=True, capture_output=True, text=True)
    target = gas.gate_address(by_name["write_cr3"].number)
    assert re.search(rf"call\s+\*%cs:{target:#x}\n.*nop\s+%ebx", listing.stdout)


def test_nasm_and_gas_have_the_same_macros() -> None:
    def names(text: str, pattern: str) -> set[str]:
        return set(re.findall(pattern, text, re.MULTILINE))

    suffixes = re.compile(r"(ins|outs)l$")
    gas_names = {suffixes.sub(r"\1d", name) for name in names(gas.macros(), r"^\.macro (r3_\w+)")}
    assert gas_names == names(nasm.macros(), r"^%macro (r3_\w+)")
