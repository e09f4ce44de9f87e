"""The table of inline sequences is what the macros assemble to."""

from __future__ import annotations

from pathlib import Path

import capstone
import pytest
from elftools.elf.elffile import ELFFile

from hypercalls.sequences import GENERAL, MAX_BYTES, MAX_STEPS, SEGMENTS, SEQUENCES, Action, Sequence, interrupt
from tests.porter.toolchain import assemble, with_macros

_NAMES = {number: name for name, number in GENERAL.items()}
_SEGMENT_NAMES = {number: name for name, number in SEGMENTS.items()}


def macro(one: Sequence) -> str:
    """The macro that the sequence is the text of."""
    segment, suffix = _SEGMENT_NAMES.get(one.segment, ""), "" if one.size == 4 else "w"
    register = f"%{'e' if one.size == 4 else ''}{_NAMES.get(one.reg, 'sp')}"
    return {
        Action.CLI: "r3_cli", Action.STI: "r3_sti", Action.PUSHF: "r3_pushf", Action.POPF: "r3_popf",
        Action.LOAD: f"r3_load_{segment} {register}", Action.STORE: f"r3_store_{segment} {register}",
        Action.PUSH: f"r3_push{suffix}_{segment}", Action.POP: f"r3_pop{suffix}_{segment}",
        Action.INT: "r3_into" if len(one.steps) == 4 else "r3_int $4",
        Action.READ_CR: f"r3_read_cr{one.segment} {register}", Action.SYSENTER: "r3_sysenter",
    }[one.action]


def code(text: str, folder: Path) -> bytes:
    """What the macros make of `text`."""
    with assemble(with_macros(f"{text}\n"), folder).open("rb") as file:
        section = ELFFile(file).get_section_by_name(".text")
        assert section is not None
        return bytes(section.data())


@pytest.mark.parametrize("action", Action)
def test_sequences_are_the_macros(action: Action, tmp_path: Path) -> None:
    mine = [one for one in SEQUENCES if one.action is action]
    assert mine
    whole = code("\n".join(macro(one) for one in mine), tmp_path)
    for one in mine:
        begin, whole = whole[: len(one.code)], whole[len(one.code):]
        assert begin == one.code, macro(one)
        if action is Action.INT:  # the vector and the jump back are no part of it
            assert whole[:4] == b"\x6a\x04\xeb\xee"
            whole = whole[4:]
    assert whole == b""


@pytest.mark.parametrize("vector", [3, 0x40, 0x7F, 0x80, 0xFF])
def test_software_interrupts_are_the_macro(vector: int, tmp_path: Path) -> None:
    assert code(f"r3_int ${vector}", tmp_path) == interrupt(vector)


def test_steps_are_instructions() -> None:
    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_32)
    for one in SEQUENCES:
        lengths = [instruction.size for instruction in decoder.disasm(one.code, 0)]
        assert lengths == [len(step.code) for step in one.steps], one
        assert len(one.steps) <= MAX_STEPS and len(one.code) <= MAX_BYTES


def test_every_inline_macro_that_can_fault_is_known() -> None:
    """Whatever touches the hole or the stack inline is in the table."""
    known = {macro(one).split()[0] for one in SEQUENCES}
    inline = {line.split()[1] for part in with_macros("").split(".endm")
              if "%ss:0xfef" in part and "call *%cs" not in part.replace("call *%cs:0xfef01100", "")
              for line in part.splitlines() if line.startswith(".macro")}
    assert inline - known == set()
