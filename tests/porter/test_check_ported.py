"""Replacements of the contract count as ported, and hide nothing beside them."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hypercalls import gas
from porter.binary import Survey, survey
from tests.porter import compiled

# Arguments that fit the macros which take any; everything else takes what its parameter is called.
ARGUMENTS = {
    "op": ["%eax", "%cx", "(%eax)", "%gs:8(%ebx,%ecx,4)"],
    "dst": ["%eax", "%edi"],
    "src": ["%eax", "%esi"],
    "vector": ["$0x40", "$0x80"],
    "n": ["$8"],
    "seg": ["%ds", "%fs"],
    "sel,off": ["$8,$1f"],
    "reg,port": ["%al,%dx", "%ax,$0x20", "%eax,(%dx)"],
    "port,reg": ["%dx,%al", "$0x20,%ax", "(%dx),%eax"],
    "reg,op": ["%ecx,(%eax)", "%cx,4(%ebp)"],
    "": [""],
}
MEMORY_ONLY = {"lgdt", "lidt", "sgdt", "sidt", "invlpg", "ljmp_mem", "lcall_mem", "lds", "les", "lss", "lfs", "lgs"}
HELPERS = {"carrier"}
EMPTY = {"wbinvd", "invd", "stac", "clac"}  # nothing to do: they leave no trace in the code


def _invocations() -> list[tuple[str, str]]:
    out = []
    for name, parameters in re.findall(r"^\.macro r3_(\w+)(.*)$", gas.macros(), re.MULTILINE):
        names = ",".join(re.sub(r"[:=].*", "", part).strip() for part in parameters.split(","))
        if name not in HELPERS:
            out += [(name, text) for text in ARGUMENTS[names] if "(" in text or name not in MEMORY_ONLY]
    return out


def _survey(folder: Path, body: str) -> Survey:
    lines = (gas.macros(), ".globl start", "start:", body, "")
    return survey(compiled.kernel(folder, "\n".join(lines)))


def test_every_macro_is_recognised(tmp_path: Path) -> None:
    body, expected = [], 0
    for name, argument in _invocations():
        body.append(f"jz 1f; r3_{name} {argument}; 1:")
        expected += name not in EMPTY
    result = _survey(tmp_path, "\n".join([*body, "ret"]))
    assert expected > 200
    assert not result.left
    assert not result.native
    assert not result.unreached
    assert result.ported.total() == expected


def test_macros_are_counted_by_name(tmp_path: Path) -> None:
    result = _survey(
        tmp_path,
        "r3_cli\nr3_sti\nr3_cli\nr3_pushf\nr3_popf\nr3_int $0x40\nr3_load_ds %ax\nr3_pop_ds\nr3_write_cr3 %eax\n"
        "r3_read_cr2 %eax\nr3_out %al,%dx\nr3_push_cs\nr3_push_es\nr3_lgdt (%eax)\nr3_iret\n",
    )
    assert dict(result.ported) == {
        "cli": 2, "sti": 1, "pushf": 1, "popf": 1, "int": 1, "load_ds": 2, "write_cr3": 1, "read_cr2": 1,
        "out8": 1, "store_cs": 1, "store_es": 1, "lgdt": 1, "iret": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("ported", "native"),
    [
        ("r3_pushf", "pushf"),
        ("r3_popf", "popf"),
        ("r3_push_ds", "push %ds"),
        ("r3_pop_ds", "pop %ds"),
        ("r3_load_es %ax", "mov %ax, %es"),
        ("r3_store_fs %eax", "mov %fs, %eax"),
        ("r3_int $0x40", "int $0x40"),
        ("r3_sti", "sti"),
    ],
)
@pytest.mark.parametrize("order", ["{native}\n{ported}", "{ported}\n{native}", "{ported}\n{native}\n{ported}"])
def test_unported_neighbour_is_left(tmp_path: Path, ported: str, native: str, order: str) -> None:
    result = _survey(tmp_path, order.format(native=native, ported=ported) + "\nret\n")
    assert len(result.left) == 1
    assert result.ported.total() == order.count("ported")


@pytest.mark.parametrize("name", ["iret", "lret", "sysexit"])
def test_flow_ends_at_a_gate_that_does_not_return(tmp_path: Path, name: str) -> None:
    result = _survey(tmp_path, f"r3_{name}\n.byte 0xfa, 0xf4, 0xc3\n")
    assert not result.left


def test_flow_goes_on_at_the_target_of_a_far_jump(tmp_path: Path) -> None:
    result = _survey(tmp_path, "r3_ljmp $8,$1f\n.byte 0xe9\n1: cli\nret\n")
    assert [site.text for site in result.left] == ["cli"]


@pytest.mark.parametrize("jump", ["ljmp $0x28,$0", "r3_ljmp $0x28,$0"])
def test_flow_goes_on_behind_a_jump_to_a_task(tmp_path: Path, jump: str) -> None:
    """Its offset means nothing, and another task's jump comes back."""
    result = _survey(tmp_path, f"{jump}\ncli\nret\n")
    assert [site.text for site in result.left][-1] == "cli"


def test_far_jump_to_another_place_is_left(tmp_path: Path) -> None:
    result = _survey(tmp_path, "ljmp $0x33,$0x1000\n")
    assert [site.text for site in result.left] == ["ljmp 0x33:0x1000"]
