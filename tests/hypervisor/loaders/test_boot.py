"""Loading kernels: what lies where afterwards, and every refusal."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from hypercalls.layout import host_selector
from hypervisor.errors import RingError
from hypervisor.loaders.boot import plan_boot, set_boot_state
from hypervisor.loaders.handover import BootRequest, ModuleFile, Protocol
from hypervisor.memory_map import EBDA, HIGH, MIB
from tests.hypervisor.fakes import FakeMemory, FakeState
from tests.hypervisor.loaders.booted import boot, machine
from tests.hypervisor.loaders.elves import CODE, EHDR, EM_ARM, ET_REL, PHDR, Part, elf, multiboot_header


def test_a_plain_elf_starts_with_no_information(tmp_path: Path) -> None:
    memory = FakeMemory(4 * MIB)
    memory.data[HIGH + 64 : HIGH + 80] = b"\0" * 16
    loaded = boot(tmp_path, elf(Part(CODE, HIGH, memsz=4096)), memory=memory)
    assert (loaded.image.entry, loaded.eax, loaded.ebx) == (HIGH, 0, 0)
    assert memory.read(HIGH, 65) == CODE + b"\0"


def test_a_virtual_entry_becomes_physical(tmp_path: Path) -> None:
    image = elf(Part(CODE, HIGH, vaddr=0xC010_0000), entry=0xC010_0010)
    assert boot(tmp_path, image).image.entry == HIGH + 0x10


def test_a_physical_entry_stays(tmp_path: Path) -> None:
    image = elf(Part(CODE, HIGH, vaddr=0xC010_0000), entry=HIGH + 4)
    assert boot(tmp_path, image).image.entry == HIGH + 4


def test_physical_addresses_that_were_left_out_are_the_virtual_ones(tmp_path: Path) -> None:
    image = bytearray(elf(Part(CODE, HIGH), Part(CODE, 2 * MIB), entry=HIGH))
    for number in range(2):
        struct.pack_into("<I", image, 52 + 32 * number + 12, 0)
    memory = FakeMemory(4 * MIB)
    assert boot(tmp_path, bytes(image), memory=memory).image.entry == HIGH
    assert memory.read(2 * MIB, 64) == memory.read(HIGH, 64) == CODE


def test_a_segment_without_bytes_claims_nothing(tmp_path: Path) -> None:
    assert boot(tmp_path, elf(Part(CODE, HIGH), Part(b"", HIGH), Part(b"", 0))).image.entry == HIGH


# --- flat binaries


@pytest.mark.parametrize("whole", [True, False])
def test_notes_that_a_linker_script_forgot_are_left_out(tmp_path: Path, whole: bool) -> None:
    """GNU ld puts .note.gnu.build-id at the virtual address, for want of a physical one, in a segment of its own."""
    high = 0xC010_0000
    image = bytearray(elf(Part(CODE, HIGH, vaddr=high), Part(b"note" * 9, high), Part(b"", high), entry=HIGH))
    offset = struct.unpack_from("<I", image, EHDR + PHDR + 4)[0]
    struct.pack_into("<6I", image, EHDR + 2 * PHDR, 4, offset, high, high, 36 if whole else 20, 36 if whole else 20)
    if whole:
        assert [part.address for part in boot(tmp_path, bytes(image)).image.segments] == [HIGH]
    else:  # other things are in the segment, too
        with pytest.raises(RingError, match="does not fit"):
            boot(tmp_path, bytes(image))


@pytest.mark.parametrize(("at", "entry"), [(0x7C00, None), (HIGH, HIGH + 12), (0x500, 0x53F)])
def test_a_flat_binary(tmp_path: Path, at: int, entry: int | None) -> None:
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, multiboot_header() + CODE, memory=memory, load_at=at, entry=entry)
    assert plan.image.entry == (at if entry is None else entry)
    assert (plan.eax, plan.ebx, plan.esi) == (0, 0, 0)
    assert memory.read(at, 76) == multiboot_header() + CODE


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"load_at": 0x100}, "overlaps the BIOS data area"),
        ({"load_at": 0x9_FBFF}, "overlaps the extended BIOS data area"),
        ({"load_at": 4 * MIB - 63}, "does not fit into 4 MiB"),
        ({"load_at": 0xFFFF_FFC0}, "where a PC has no memory"),
        ({"load_at": HIGH, "entry": HIGH + 64}, "has no entry: 0x100040 lies in no segment"),
        ({"load_at": HIGH, "entry": HIGH - 1}, "has no entry"),
        ({"entry": HIGH}, "--entry goes with it"),
        ({"protocol": Protocol.FLAT}, "flat binaries, and they need it"),
        ({"load_at": HIGH, "protocol": Protocol.LINUX}, "--load-at ADDRESS is for flat binaries"),
        ({"load_at": HIGH, "initrd": Path("x")}, "started by flat, which knows no initrd; leave out --initrd"),
        ({"load_at": HIGH, "modules": (ModuleFile(Path("x"), "x"),)}, "takes no modules; leave out --module"),
    ],
)  # fmt: skip
def test_flat_binaries_that_are_refused(tmp_path: Path, request_: dict[str, Any], message: str) -> None:
    memory = FakeMemory(4 * MIB)
    with pytest.raises(RingError, match=message):
        boot(tmp_path, CODE, memory=memory, **request_)
    assert not any(memory.data)


def test_an_empty_binary_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="is empty"):
        boot(tmp_path, b"", load_at=HIGH)


@pytest.mark.parametrize("protocol", [Protocol.MULTIBOOT, Protocol.MULTIBOOT2])
def test_a_protocol_that_the_file_does_not_have(tmp_path: Path, protocol: Protocol) -> None:
    with pytest.raises(RingError, match=f"has no {protocol.value} header; leave out --protocol"):
        boot(tmp_path, GOOD, protocol=protocol)


def test_a_multiboot_kernel_can_be_started_as_plain_elf(tmp_path: Path) -> None:
    assert boot(tmp_path, elf(Part(multiboot_header() + CODE, HIGH)), protocol=Protocol.ELF).eax == 0


def test_a_multiboot_kernel_takes_no_initrd(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="started by multiboot, which knows no initrd; give --module"):
        boot(tmp_path, elf(Part(multiboot_header() + CODE, HIGH)), initrd=tmp_path / "initrd")


def test_the_boot_state_is_that_of_the_specification(tmp_path: Path) -> None:
    memory, state = FakeMemory(4 * MIB), FakeState()
    loaded = boot(tmp_path, elf(Part(CODE, HIGH)), memory=memory)
    set_boot_state(state, loaded)
    vcpu = state.vcpu
    assert state.shared.cr0 & 0x8000_0001 == 1 and state.shared.upcall_mask == 1
    assert (vcpu.cs.base, vcpu.cs.limit, vcpu.ss.base, vcpu.ss.limit) == (0, 0xFFFF_FFFF, 0, 0xFFFF_FFFF)
    assert vcpu.host_cs == host_selector(8) | 3 and vcpu.host_ds == host_selector(0x10)
    assert not vcpu.eflags & 0x200 and vcpu.cpl == 0
    null, code, data = struct.unpack("<3Q", memory.read(vcpu.gdt_base, vcpu.gdt_limit + 1))
    assert (null, code, data) == (0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)
    assert vcpu.esp < EBDA and vcpu.esp % 16 == 0


GOOD = elf(Part(CODE, HIGH))

REFUSALS = {
    "empty": (b"", "is not an ELF file"),
    "text": (b"#!/bin/sh\n", "is not an ELF file"),
    "cut in the header": (GOOD[:20], "truncated or damaged"),
    "cut in the program headers": (GOOD[:60], "truncated or damaged"),
    "cut in a segment": (GOOD[:-10], "is truncated"),
    "64-bit": (GOOD[:4] + b"\2" + GOOD[5:], "64-bit|damaged"),
    "arm": (elf(Part(CODE, HIGH), machine=EM_ARM), "32-bit ARM file; ring3 runs 32-bit i386"),
    "object file": (elf(Part(CODE, HIGH), kind=ET_REL), "is not an executable"),
    "no segment": (elf(), "nothing to load"),
    "no entry": (elf(Part(CODE, HIGH), entry=0), "has no entry"),
    "file size above memory size": (elf(Part(CODE, HIGH, memsz=8)), "is truncated"),
    "overlap": (elf(Part(CODE, HIGH), Part(CODE, HIGH + 63)), "segment 1 .* overlaps .* segment 0"),
    "video memory": (elf(Part(CODE, 0xA_0000), entry=0xA_0000), "overlaps video memory and BIOS"),
    "into video memory": (elf(Part(CODE, 0x9_0000, memsz=0x20000), entry=0x9_0000), "overlaps"),
    "bios data": (elf(Part(CODE, 0x400), entry=0x400), "overlaps the BIOS data area"),
    "leaves memory": (elf(Part(CODE, HIGH, memsz=8 * MIB)), "not fit into 4 MiB of memory; give more with --memory"),
    "far above memory": (elf(Part(CODE, 0xC010_0000), entry=0xC010_0000), "does not fit"),
    "where no memory is": (elf(Part(CODE, 0xFFFF_0000), entry=0xFFFF_0000), "give .* physical addresses"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_name_the_fault_and_write_nothing(tmp_path: Path, what: str) -> None:
    data, message = REFUSALS[what]
    memory = FakeMemory(4 * MIB)
    with pytest.raises(RingError, match=message) as refusal:
        boot(tmp_path, data, memory=memory)
    assert "\n" not in str(refusal.value)
    assert not any(memory.data)


def test_a_missing_kernel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="does not exist"):
        plan_boot(BootRequest(tmp_path / "nothing"), machine(4 * MIB))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="cannot read kernel"):
        plan_boot(BootRequest(tmp_path), machine(4 * MIB))


def test_a_missing_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RingError, match=r"module .*initrd does not exist"):
        boot(tmp_path, elf(Part(multiboot_header() + CODE, HIGH)), modules=[ModuleFile(tmp_path / "initrd", "initrd")])


def test_modules_need_a_multiboot_kernel(tmp_path: Path) -> None:
    module = tmp_path / "initrd"
    module.write_bytes(b"x")
    with pytest.raises(RingError, match="takes no modules"):
        boot(tmp_path, GOOD, modules=[ModuleFile(module, "initrd")])


def test_a_module_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    module = tmp_path / "initrd"
    module.write_bytes(b"x" * (3 * MIB))
    with pytest.raises(RingError, match=r"no room for module .*give more with --memory"):
        boot(tmp_path, elf(Part(multiboot_header() + CODE, HIGH)), modules=[ModuleFile(module, "initrd")])


@pytest.mark.parametrize("data", [GOOD[:cut] for cut in range(0, len(GOOD), 7)])
def test_no_truncation_escapes_as_another_error(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(RingError):
        boot(tmp_path, data)


def test_real_elf_with_flipped_bytes_is_loaded_or_refused(tmp_path: Path) -> None:
    for at in range(52 + 32):
        for value in (0, 0x7F, 0xFF):
            damaged = bytearray(GOOD)
            damaged[at] = value
            try:
                boot(tmp_path, bytes(damaged))
            except RingError as refusal:
                assert "\n" not in str(refusal)
