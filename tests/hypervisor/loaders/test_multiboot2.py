"""Multiboot 2: header tags, boot information as a kernel reads it, moving, refusals."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypervisor.errors import RingError
from hypervisor.loaders.handover import ModuleFile, Protocol
from hypervisor.memory_map import EBDA, HIGH, MIB
from tests.hypervisor.fakes import FakeMemory
from tests.hypervisor.loaders.booted import boot, machine
from tests.hypervisor.loaders.elves import CODE, Part, elf, multiboot_header, with_sections

OPTIONAL = 1


def tag(kind: int, *values: int, flags: int = 0) -> bytes:
    """A header tag of 32-bit values."""
    body = struct.pack(f"<{len(values)}I", *values)
    return (struct.pack("<HHI", kind, flags, 8 + len(body)) + body).ljust((8 + len(body) + 7) & ~7, b"\0")


def header(*tags: bytes, architecture: int = 0, end: bytes = tag(0)) -> bytes:
    """A multiboot 2 header with a correct checksum."""
    body = b"".join(tags) + end
    length, magic = 16 + len(body), 0xE852_50D6
    return struct.pack("<4I", magic, architecture, length, -(magic + architecture + length) & 0xFFFF_FFFF) + body


def kernel(*tags: bytes, address: int = HIGH) -> bytes:
    """An ELF kernel, entered behind its header."""
    start = header(*tags)
    return elf(Part(bytes(-52 - 32 & 7) + start + CODE, address), entry=address + 4 + len(start))


def information(memory: FakeMemory, address: int) -> dict[int, list[bytes]]:
    """The contents of all tags at `address`, by type; the last tag is the end."""
    assert address % 8 == 0
    total, reserved = struct.unpack("<II", memory.read(address, 8))
    at, found = 8, dict[int, list[bytes]]()
    assert reserved == 0
    while at < total:
        kind, size = struct.unpack("<II", memory.read(address + at, 8))
        assert size >= 8
        found.setdefault(kind, []).append(memory.read(address + at + 8, size - 8))
        at = (at + size + 7) & ~7
    assert at == total and kind == 0 and found.pop(0) == [b""]
    return found


def test_what_every_kernel_is_told(tmp_path: Path) -> None:
    memory = FakeMemory(8 * MIB)
    plan = boot(tmp_path, kernel(), memory=memory, append="root=/dev/hda")
    told = information(memory, plan.ebx)
    assert plan.eax == 0x36D7_6289 and memory.read(plan.image.entry, 8) == CODE[:8]
    assert told.keys() == {1, 2, 4, 5, 6, 8, 13, 14, 15}
    assert all(len(contents) == 1 for contents in told.values())
    assert (told[1], told[2]) == ([b"kernel root=/dev/hda\0"], [b"ring3\0"])
    assert struct.unpack("<II", told[4][0]) == (639, 7 * 1024)
    assert struct.unpack("<3I", told[5][0]) == (0x80, 0xFFFF_FFFF, 0xFFFF_FFFF)
    assert struct.unpack_from("<QIIIBB", told[8][0]) == (0xB8000, 160, 80, 25, 16, 2)


def test_the_memory_map(tmp_path: Path) -> None:
    memory = FakeMemory(8 * MIB)
    (mmap,) = information(memory, boot(tmp_path, kernel(), memory=memory).ebx)[6]
    size, version = struct.unpack_from("<II", mmap)
    assert (size, version) == (24, 0) and (len(mmap) - 8) % size == 0
    entries = [struct.unpack_from("<QQII", mmap, at) for at in range(8, len(mmap), size)]
    assert [entry[:2] for entry in entries if entry[2] == 1] == [(0, EBDA), (HIGH, 7 * MIB)]
    assert not any(entry[3] for entry in entries)


def test_the_firmware_s_tables_are_passed_on(tmp_path: Path) -> None:
    memory = FakeMemory(8 * MIB)
    told = information(memory, boot(tmp_path, kernel(), memory=memory).ebx)
    pc = machine(8 * MIB)
    assert told[15] == [pc.rsdp] and told[14] == [pc.rsdp[:20]]
    assert len(pc.rsdp) == 36 and sum(pc.rsdp[:20]) & 0xFF == 0
    assert told[13][0][:2] == b"\2\x08" and told[13][0][8:] == pc.smbios_entry


def test_modules_and_symbols(tmp_path: Path) -> None:
    memory = FakeMemory(8 * MIB)
    files = []
    for name in ("one", "two"):
        (tmp_path / name).write_bytes(name.encode() * 1000)
        files.append(ModuleFile(tmp_path / name, f"{name} a=b"))
    image = with_sections(kernel(tag(6)), [("debug", 1, 0, b"debug!")])
    told = information(memory, boot(tmp_path, image, memory=memory, modules=tuple(files)).ebx)
    for content, file in zip(told[3], files, strict=True):
        start, end = struct.unpack_from("<II", content)
        assert start % 4096 == 0 and memory.read(start, end - start) == file.path.read_bytes()
        assert content[8:] == file.text.encode() + b"\0"
    count, size, names = struct.unpack_from("<III", told[9][0])
    headers = told[9][0][12:]
    assert (count, size, names) == (3, 40, 2) and len(headers) == count * size
    assert memory.read(struct.unpack_from("<I", headers, 40 + 12)[0], 6) == b"debug!"


# --- where it is loaded and entered


def test_an_entry_tag(tmp_path: Path) -> None:
    assert boot(tmp_path, kernel(tag(3, HIGH + 0x50))).image.entry == HIGH + 0x50


@pytest.mark.parametrize("load", [HIGH, 0xFFFF_FFFF])
def test_address_and_entry_tags_load_what_is_no_elf(tmp_path: Path, load: int) -> None:
    tags = [tag(2, HIGH + 8, load, 0, HIGH + 0x1000), tag(3, HIGH + 0x60)]
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, b"8 bytes." + header(*tags) + CODE, memory=memory)
    assert plan.image.entry == HIGH + 0x60 and plan.image.end == HIGH + 0x1000
    assert memory.read(HIGH, 8) == b"8 bytes." and memory.read(HIGH + 0x60, 4) == CODE[:4]
    assert 9 not in information(memory, plan.ebx)


@pytest.mark.parametrize(
    ("movable", "base"),
    [
        ((HIGH, 0xFFFF_FFFF, 0x1000, 0), HIGH),  # where it is linked
        ((2 * MIB, 0xFFFF_FFFF, 0x1000, 0), 2 * MIB),  # not allowed there
        ((HIGH + 1, 0xFFFF_FFFF, 0x20_0000, 1), 2 * MIB),
        ((HIGH, 0xFFFF_FFFF, 0x1000, 2), 4 * MIB - 0x1000),
        ((HIGH, 3 * MIB - 1, 0x1000, 2), 3 * MIB - 0x1000),
        ((0, HIGH - 1, 0x1000, 2), EBDA & ~0xFFF),
        ((0, 0xFFFF_FFFF, 0x1000, 1), 0x1000),
    ],
)
def test_a_kernel_that_can_be_moved(tmp_path: Path, movable: tuple[int, ...], base: int) -> None:
    image = kernel(tag(10, *movable))
    size = len(image) - 52 - 32
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, image, memory=memory)
    assert plan.image.start == base and memory.read(base, size) == image[-size:]
    assert plan.image.entry == base + size - len(CODE)
    assert struct.unpack("<I", information(memory, plan.ebx)[21][0]) == (base,)


ranges = st.tuples(st.integers(0, 5 * MIB), st.integers(0, 5 * MIB), st.integers(0, 22), st.integers(0, 3))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(ranges, st.integers(1, 2 * MIB))
def test_wherever_it_is_moved_it_is_allowed_and_free(
    tmp_path: Path, movable: tuple[int, int, int, int], size: int
) -> None:
    lowest, highest, shift, preference = movable
    start = header(tag(10, lowest, highest, 1 << shift, preference))
    image = elf(Part(bytes(4) + start + CODE, HIGH, memsz=size + 200), entry=HIGH + 20 + len(start))
    memory = FakeMemory(4 * MIB)
    try:
        plan = boot(tmp_path, image, memory=memory)
    except RingError as refusal:
        assert "no room" in str(refusal) or "contradicts itself" in str(refusal)
        return
    assert lowest <= plan.image.start and plan.image.end - 1 <= highest and plan.image.start % (1 << shift) == 0
    taken = [(at, at + len(data)) for at, data in plan.parts]
    assert all(end <= plan.image.start or plan.image.end <= at for at, end in taken)
    assert plan.image.end <= EBDA or plan.image.start >= HIGH


# --- video


def test_a_framebuffer(tmp_path: Path) -> None:
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, kernel(tag(5, 800, 600, 32), tag(4, 1)), memory=memory)
    told = information(memory, plan.ebx)
    assert struct.unpack_from("<QIIIBB", told[8][0]) == (4 * MIB, 3200, 800, 600, 32, 1)
    assert told[8][0][24:] == bytes([16, 8, 8, 8, 0, 8])
    assert len(told[7][0]) == 8 + 512 + 256 and told[7][0][8:12] == b"VESA"
    address = struct.unpack_from("<I", told[7][0], 8 + 512 + 0x28)[0]
    assert address == 4 * MIB and plan.framebuffer


# --- what is asked for


@pytest.mark.parametrize(
    "tags",
    [
        [tag(1, 1, 3, 6, 8)],
        [tag(1, 7, 10, 16)],  # no VBE, APM or network here: left out, as on a PC that has none
        [tag(1, 12, 99, flags=OPTIONAL)],
        [tag(7), tag(8, HIGH), tag(9, HIGH)],  # what it could do under EFI
        [tag(99, flags=OPTIONAL), tag(4, 3)],
    ],
)
def test_wishes_that_can_be_met_or_left(tmp_path: Path, tags: list[bytes]) -> None:
    assert boot(tmp_path, kernel(*tags)).eax == 0x36D7_6289


def test_a_kernel_of_both_multiboots_is_started_by_the_first_unless_asked(tmp_path: Path) -> None:
    image = elf(Part(bytes(4) + header() + multiboot_header(), HIGH))
    assert boot(tmp_path, image).eax == 0x2BAD_B002
    assert boot(tmp_path, image, protocol=Protocol.MULTIBOOT2).eax == 0x36D7_6289


def test_a_header_behind_32_kib_is_none(tmp_path: Path) -> None:
    assert boot(tmp_path, elf(Part(bytes(4 + 32768) + header() + CODE, HIGH))).eax == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (kernel(tag(1, 12)), "requires multiboot 2 information 12, which is EFI's; .* mark the request as optional"),
        (kernel(tag(1, 3, 22)), "requires multiboot 2 information 22, which is unknown"),
        (kernel(tag(11)), "requires multiboot 2 header tag 11, which is unknown"),
        (kernel(tag(4, 1)), "requires a console and names none"),
        (kernel(tag(2, HIGH, HIGH, 0, 0)), "has an address tag, but no entry; add an entry tag"),
        (kernel(tag(2, HIGH, HIGH, 0, 0), tag(9, HIGH)), "no entry; EFI entries are of no use here"),
        (kernel(tag(3, HIGH - 1)), "has no entry: 0xfffff lies in no segment"),
        (kernel(tag(10, HIGH, HIGH - 1, 1, 0)), "contradicts itself"),
        (kernel(tag(10, HIGH, 2 * MIB, 3, 0)), "contradicts itself"),
        (kernel(tag(10, 0xA0000, 0xBFFFF, 1, 0)), "no room for .* between 0xa0000 and 0xc0000"),
        (kernel(tag(3)), "tag 3 of its multiboot 2 header has size 8"),
        (header(tag(3, HIGH)[:4] + b"\0\1\0\0" + bytes(8)) + CODE, "tag 3 of its multiboot 2 header has size 256"),
        (header(end=b""), "has no end tag"),
        (header(tag(2, HIGH, HIGH, 0, 0))[:-4], "truncated within its multiboot 2 header"),
        (header(architecture=4) + CODE, "architecture 4, not 0"),
        (header(tag(2, HIGH - 8, HIGH, 0, 0), tag(3, HIGH)) + CODE, "do not fit the file"),
    ],
)
def test_refusals(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(RingError, match=message) as refusal:
        boot(tmp_path, data)
    assert "\n" not in str(refusal.value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damaged_headers_are_booted_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    whole = kernel(tag(1, 1), tag(3, HIGH + 0x70), tag(4, 3), tag(5, 0, 0, 0), tag(10, HIGH, 3 * MIB, 4096, 1))
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(100, 240))] = data.draw(st.integers(0, 255))
    try:
        boot(tmp_path, bytes(damaged))
    except RingError as refusal:
        assert "\n" not in str(refusal)
