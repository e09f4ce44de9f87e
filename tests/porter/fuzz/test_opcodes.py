"""All i386 opcodes: whatever is privileged or sensitive is known to ``ring3 check``, and so to the catalogue."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from capstone import CS_ARCH_X86, CS_MODE_32, Cs, CsInsn, x86

from porter.binary.opcodes import may_be_sensitive
from porter.binary.sensitive import classify
from porter.catalogue import BY_KEY
from tests.porter.fuzz.opcode_map import sensitive

_MAPS = (b"", b"\x0f", b"\x0f\x38", b"\x0f\x3a")
_PREFIXES = (b"", b"\x66", b"\xf2", b"\xf3", b"\x67", b"\xf0", b"\x2e", b"\x66\xf3", b"\x66\xf2")
# With the operand in memory, each register field once.
_MODRM = (*range(0, 0x40, 8), *range(0xC0, 0x100))
_TAIL = bytes((0x10, 0x08, 0x00, 0x00, 0x08, 0x00)) + bytes(4)
_PRIVILEGED = frozenset((x86.X86_GRP_PRIVILEGE, x86.X86_GRP_INT, x86.X86_GRP_IRET))
# What capstone puts into those groups although any process may do it, and it shows nothing of the host.
_NOT_PRIVILEGED = frozenset((x86.X86_INS_UD2,))


def _codes() -> Iterator[bytes]:
    """Each opcode with prefixes and ModRM bytes, of which many only tell where in memory the operand is."""
    for opcode_map in _MAPS:
        for opcode in range(256):
            for prefix in _PREFIXES:
                head = prefix + opcode_map + bytes((opcode,))
                for modrm in _MODRM:
                    yield head + bytes((modrm,)) + _TAIL


@pytest.fixture(scope="module")
def decoded() -> list[tuple[bytes, CsInsn]]:
    """The instructions that capstone knows."""
    quick, detailed = Cs(CS_ARCH_X86, CS_MODE_32), Cs(CS_ARCH_X86, CS_MODE_32)
    detailed.detail = True
    seen = set()
    found = []
    for code in _codes():
        _, size, _, _ = next(quick.disasm_lite(code, 0, 1), (0, 0, "", ""))
        code = code[:size]
        if code and code not in seen:
            seen.add(code)
            found.append((code, next(detailed.disasm(code, 0, 1))))
    return found


def test_nothing_privileged_is_unknown_to_check(decoded: list[tuple[bytes, CsInsn]]) -> None:
    unknown = [f"{code.hex(' ')}: {insn.mnemonic} {insn.op_str}" for code, insn in decoded
               if _PRIVILEGED.intersection(insn.groups) and insn.id not in _NOT_PRIVILEGED and classify(insn) is None]
    assert not unknown, "\n".join(unknown[:40])


def test_check_and_the_opcode_map_agree(decoded: list[tuple[bytes, CsInsn]]) -> None:
    wrong = []
    for code, insn in decoded:
        key, kind = sensitive(code), classify(insn)
        if kind is not None and kind.name in ("time", "undefined"):
            kind = None
        if (key is None) != (kind is None) or (key in BY_KEY and kind and kind.name != BY_KEY[key].group):
            wrong.append(f"{code.hex(' ')}: {insn.mnemonic} {insn.op_str}: {key} and {kind}")
    assert not wrong, "\n".join(wrong[:60])


def test_discovery_asks_about_all_of_them(decoded: list[tuple[bytes, CsInsn]]) -> None:
    missed = [code.hex(" ") for code, insn in decoded if classify(insn) and not may_be_sensitive(code, 0, len(code))]
    # rdtsc needs nothing, so discovery may pass over it.
    assert all("0f 31" in text for text in missed), missed[:40]
