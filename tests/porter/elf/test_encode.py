"""What a trampoline does is, byte by byte, what the macros of the source doors assemble to."""

from __future__ import annotations

from pathlib import Path

import pytest
from capstone import x86
from elftools.elf.elffile import ELFFile

from porter.binary.code import disassembler
from porter.binary.sensitive import Effect, classify
from porter.elf.encode import IN_PLACE, replacement, safe_halt
from tests.porter.spellings import PORTED
from tests.porter.toolchain import assemble, with_macros

_SYMBOL = ".set SYM,0x34\n"
CASES = [tuple(part.strip() for part in line.split("->")) for line in PORTED.strip().splitlines()]
CASES = [case for case in CASES if case[1].startswith("r3_")]
# Left to the monitor, whatever form they have: they #UD, or are rare, or say where they stand.
_OTHERS = {
    x86.X86_INS_MONITOR, x86.X86_INS_MWAIT, x86.X86_INS_INVPCID, x86.X86_INS_RDTSCP, x86.X86_INS_XSETBV,
    x86.X86_INS_XGETBV, x86.X86_INS_STAC, x86.X86_INS_CLAC, x86.X86_INS_SYSENTER, x86.X86_INS_SYSCALL,
    x86.X86_INS_VMCALL, x86.X86_INS_VMMCALL, x86.X86_INS_VMFUNC, x86.X86_INS_INT3, x86.X86_INS_INTO,
    x86.X86_INS_WBNOINVD,
}  # fmt: skip


def text_of(path: Path) -> bytes:
    with path.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".text")
        return bytes(section.data())


def meaning(code: bytes) -> list[tuple[str, str]]:
    """The instructions of `code`, which may be encoded in several ways; a DS prefix changes nothing in most."""
    return [(insn.mnemonic, insn.op_str.replace("ds:[esi]", "[esi]")) for insn in disassembler().disasm(code, 0)]


@pytest.mark.parametrize(("written", "expected"), CASES, ids=lambda value: value.replace(" ", "_"))
def test_as_the_macros(written: str, expected: str, tmp_path: Path) -> None:
    original = text_of(assemble(f"{_SYMBOL}{written}\n", tmp_path, "original"))
    insn = next(disassembler().disasm(original, 0))
    made = replacement(insn)
    if made is None:
        kind = classify(insn)
        odd = insn.prefix[0] or insn.prefix[2] or insn.prefix[3] or len(original) > insn.size
        assert insn.id in (*_OTHERS, *IN_PLACE) or odd, f"{insn.mnemonic} {insn.op_str}: {kind}"
        return
    assert meaning(made) == meaning(text_of(assemble(with_macros(f"{_SYMBOL}{expected}\n"), tmp_path, "ported")))


def test_most_forms_have_a_replacement(tmp_path: Path) -> None:
    """Only so that the test above cannot pass by refusing."""
    made = silent = 0
    for written, _ in CASES:
        insn = next(disassembler().disasm(text_of(assemble(f"{_SYMBOL}{written}\n", tmp_path)), 0))
        kind = classify(insn)
        if kind and kind.effect is Effect.SILENT:
            silent += 1
            made += replacement(insn) is not None
    assert silent > 100 and made >= 0.9 * silent


def test_sti_and_hlt_are_one(tmp_path: Path) -> None:
    assert safe_halt() == text_of(assemble(with_macros("r3_sti_hlt\n"), tmp_path))
