"""Multiboot 1: header, boot information as a kernel reads it, refusals."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.errors import RingError
from hypervisor.loaders.handover import ModuleFile
from hypervisor.memory_map import EBDA, HIGH, KIB, MIB
from tests.hypervisor.fakes import FakeMemory
from tests.hypervisor.loaders.booted import boot, text
from tests.hypervisor.loaders.elves import CODE, Part, elf, multiboot_header, with_sections

FIELDS = ("mem_lower", "mem_upper", "boot_device", "cmdline", "mods_count", "mods_addr", "sh_num", "sh_size",
          "sh_addr", "sh_shndx", "mmap_length", "mmap_addr", "drives_length", "drives_addr", "config_table",
          "boot_loader_name", "apm_table", "vbe_control_info", "vbe_mode_info")  # fmt: skip


def information(memory: FakeMemory, address: int) -> dict[str, Any]:
    """The structure at `address`: its fields by name, as far as its flags say that they are there."""
    raw = memory.read(address, 116)
    flags = struct.unpack_from("<I", raw)[0]
    values = dict(zip(FIELDS, struct.unpack_from("<19I", raw, 4), strict=True))
    known = {0: ("mem_lower", "mem_upper"), 1: ("boot_device",), 2: ("cmdline",), 3: ("mods_count", "mods_addr"),
             5: ("sh_num", "sh_size", "sh_addr", "sh_shndx"), 6: ("mmap_length", "mmap_addr"),
             9: ("boot_loader_name",), 11: ("vbe_control_info", "vbe_mode_info"), 12: ()}  # fmt: skip
    assert not flags & ~sum(1 << bit for bit in known)
    told: dict[str, Any] = {name: values[name] for bit in known if flags >> bit & 1 for name in known[bit]}
    if flags >> 11 & 1:
        told["vbe_mode"] = struct.unpack_from("<H", raw, 80)[0]
    if flags >> 12 & 1:
        at, pitch, width, height, depth, kind = struct.unpack_from("<QIIIBB", raw, 88)
        told["framebuffer"] = (at, pitch, width, height, depth, kind, raw[110:116] if kind == 1 else b"")
    return told


def regions(memory: FakeMemory, told: dict[str, Any]) -> list[tuple[int, int, int]]:
    """Base, length and type of the memory map's entries."""
    at, end, found = told["mmap_addr"], told["mmap_addr"] + told["mmap_length"], []
    while at < end:
        size, base, length, kind = struct.unpack("<IQQI", memory.read(at, 24))
        found.append((base, length, kind))
        at += size + 4
    assert at == end
    return found


KERNEL = elf(Part(multiboot_header() + CODE, HIGH))


def test_what_every_kernel_is_told(tmp_path: Path) -> None:
    memory = FakeMemory(8 * MIB)
    plan = boot(tmp_path, KERNEL, memory=memory, append="root=/dev/hda")
    told = information(memory, plan.ebx)
    assert plan.eax == 0x2BADB002 and plan.ebx % 4 == 0
    assert (told["mem_lower"], told["mem_upper"]) == (639, 7 * 1024)
    assert told["boot_device"] == 0x80FF_FFFF
    assert text(memory, told["cmdline"]) == "kernel root=/dev/hda"
    assert text(memory, told["boot_loader_name"]) == "ring3"
    assert told["mods_count"] == 0 and "sh_num" not in told and "vbe_mode" not in told
    assert told["framebuffer"] == (0xB8000, 160, 80, 25, 16, 2, b"")


def test_modules(tmp_path: Path) -> None:
    memory = FakeMemory(8 * MIB)
    files = []
    for name, content in (("one", b"x" * 5000), ("empty", b""), ("two", b"module contents")):
        (tmp_path / name).write_bytes(content)
        files.append(ModuleFile(tmp_path / name, f"{name} a=b"))
    told = information(memory, boot(tmp_path, KERNEL, memory=memory, modules=tuple(files)).ebx)
    assert told["mods_count"] == 3
    for number, file in enumerate(files):
        start, end, string, reserved = struct.unpack("<4I", memory.read(told["mods_addr"] + 16 * number, 16))
        assert start % 4096 == 0 and memory.read(start, end - start) == file.path.read_bytes()
        assert text(memory, string) == file.text and reserved == 0


def test_the_memory_map_covers_all_ram(tmp_path: Path) -> None:
    memory = FakeMemory(8 * MIB)
    told = information(memory, boot(tmp_path, KERNEL, memory=memory).ebx)
    found = regions(memory, told)
    assert [part[:2] for part in found if part[2] == 1] == [(0, EBDA), (HIGH, 7 * MIB)]
    assert (0xF_0000, 0x1_0000, 2) in found and found == sorted(found)


# --- symbols


def test_sections_that_nobody_loads_are_placed(tmp_path: Path) -> None:
    memory = FakeMemory(8 * MIB)
    code = multiboot_header() + CODE
    image = with_sections(elf(Part(code, HIGH)), [("text", 1, HIGH, code), ("symtab", 2, 0, b"symbols"),
                                                  ("debug", 1, 0, b"d" * 100), ("bss", 8, 0, bytes(64))])  # fmt: skip
    told = information(memory, boot(tmp_path, image, memory=memory).ebx)
    assert (told["sh_num"], told["sh_size"], told["sh_shndx"]) == (6, 40, 5)
    headers = [struct.unpack("<10I", memory.read(told["sh_addr"] + 40 * number, 40)) for number in range(6)]
    names = memory.read(headers[5][3], headers[5][5])
    where = {names[one[0] :].partition(b"\0")[0].decode(): (one[3], one[5]) for one in headers[1:]}
    assert where["text"] == (HIGH, len(code)) and where["bss"] == (0, 64)
    assert memory.read(*where["symtab"]) == b"symbols" and memory.read(*where["debug"]) == b"d" * 100


def test_symbols_that_do_not_fit_are_left_out(tmp_path: Path) -> None:
    image = with_sections(elf(Part(multiboot_header() + CODE, HIGH)), [("debug", 1, 0, bytes(2 * MIB))])
    memory = FakeMemory(2 * MIB)
    assert "sh_num" not in information(memory, boot(tmp_path, image, memory=memory).ebx)


def test_damaged_section_headers_are_left_out(tmp_path: Path) -> None:
    whole = with_sections(elf(Part(multiboot_header() + CODE, HIGH)), [("debug", 1, 0, b"x")])
    beyond = bytearray(whole)
    at = struct.unpack_from("<I", whole, 32)[0]
    struct.pack_into("<I", beyond, at + 40 + 16, len(whole))
    for damaged in (bytes(beyond), whole[:-41]):
        memory = FakeMemory(4 * MIB)
        assert "sh_num" not in information(memory, boot(tmp_path, damaged, memory=memory).ebx)


# --- address fields


def test_address_fields_load_what_is_no_elf(tmp_path: Path) -> None:
    header = multiboot_header(0x10000, HIGH + 8, HIGH, 0, HIGH + 0x1000, HIGH + 0x28)
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, b"8 bytes." + header + CODE, memory=memory)
    assert plan.image.entry == HIGH + 0x28
    assert memory.read(HIGH, 8) == b"8 bytes." and memory.read(HIGH + 0x28, 4) == CODE[:4]


def test_address_fields_count_for_elf_files_too(tmp_path: Path) -> None:
    """Specification 3.1.3: they are used instead of the fields in the executable's header."""
    header = multiboot_header(0x10000, 2 * MIB, 2 * MIB, 2 * MIB + 96, 0, 2 * MIB + 32)
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, elf(Part(header + CODE, HIGH)), memory=memory)
    assert plan.image.entry == 2 * MIB + 32
    assert memory.read(2 * MIB, 96) == header + CODE and not any(memory.read(HIGH, 96))


def test_a_load_end_cuts_and_a_bss_end_clears(tmp_path: Path) -> None:
    header = multiboot_header(0x10000, HIGH, HIGH, HIGH + 40, HIGH + 0x2000, HIGH + 32)
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, header + CODE, memory=memory)
    assert memory.read(HIGH + 32, 16) == CODE[:8] + bytes(8) and plan.image.end == HIGH + 0x2000


# --- video


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ((0, 800, 600, 32), (800, 600, 3200, 32)),
        ((0, 640, 480, 16), (640, 480, 1280, 16)),
        ((0, 640, 480, 15), (640, 480, 1280, 15)),
        ((0, 1280, 1024, 24), (1280, 1024, 3840, 24)),
        ((0, 0, 0, 0), (1024, 768, 4096, 32)),
        ((0, 320, 200, 8), (320, 200, 1280, 32)),
    ],
)
def test_a_graphics_mode_is_a_framebuffer_behind_the_ram(
    tmp_path: Path, asked: tuple[int, ...], answered: tuple[int, ...]
) -> None:
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, elf(Part(multiboot_header(7, 0, 0, 0, 0, 0, *asked) + CODE, HIGH)), memory=memory)
    told = information(memory, plan.ebx)
    width, height, pitch, depth = answered
    at, *shape, kind, colours = told["framebuffer"]
    assert (at, shape, kind) == (4 * MIB, [pitch, width, height, depth], 1)
    red, green, blue = colours[:2], colours[2:4], colours[4:]
    bits = {15: (5, 5, 5), 16: (5, 6, 5), 24: (8, 8, 8), 32: (8, 8, 8)}[depth]
    assert (blue, green, red) == (bytes([0, bits[2]]), bytes([bits[2], bits[1]]), bytes([sum(bits[1:]), bits[0]]))
    size = plan.framebuffer.size if plan.framebuffer else 0
    assert size >= pitch * height and (4 * MIB, size, 2) in regions(memory, told)
    assert [part for part in regions(memory, told) if part[2] == 1][-1][:2] == (HIGH, 3 * MIB)

    control, mode = memory.read(told["vbe_control_info"], 512), memory.read(told["vbe_mode_info"], 256)
    version, _, _, modes, units = struct.unpack_from("<HIIIH", control, 4)
    assert (control[:4], version, units * 64 * KIB) == (b"VESA", 0x300, size)
    listed = memory.read((modes >> 16) * 16 + (modes & 0xFFFF), 4)
    assert listed == struct.pack("<HH", told["vbe_mode"] & 0x1FF, 0xFFFF) and told["vbe_mode"] & 0x4000
    attributes, line = struct.unpack_from("<H14xH", mode)
    assert attributes & 0x91 == 0x91 and line == struct.unpack_from("<H", mode, 0x32)[0] == pitch
    assert struct.unpack_from("<HH", mode, 0x12) == (width, height) and (mode[0x19], mode[0x1B]) == (depth, 6)
    masks = bytes([red[1], red[0], green[1], green[0], blue[1], blue[0]])
    assert mode[0x1F:0x25] == mode[0x36:0x3C] == masks
    assert struct.unpack_from("<I", mode, 0x28)[0] == 4 * MIB


def test_a_text_mode_is_the_vga_s(tmp_path: Path) -> None:
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, elf(Part(multiboot_header(4, 0, 0, 0, 0, 0, 1, 132, 43, 0) + CODE, HIGH)), memory=memory)
    assert plan.framebuffer is None and information(memory, plan.ebx)["framebuffer"][0] == 0xB8000


modes = st.tuples(*[st.integers(0, 0xFFFF_FFFF)] * 3)


@given(modes, st.sampled_from([2 * MIB, 64 * MIB, 0xE000_0000]))
def test_no_wish_makes_a_framebuffer_that_cannot_be(mode: tuple[int, int, int], memory: int) -> None:
    from hypervisor.devices.framebuffer import linear_framebuffer

    shown = linear_framebuffer(memory, *mode)
    if shown is None:
        assert memory == 0xE000_0000, "no room below what is not RAM"
        return
    assert shown.address == memory and shown.address + shown.size <= 0xE000_0000
    assert 0 < shown.width <= 4096 and 0 < shown.height <= 4096 and shown.pitch * 8 >= shown.width * shown.depth


# --- headers that are none, and refusals


def test_a_header_with_a_wrong_checksum_is_none(tmp_path: Path) -> None:
    broken = multiboot_header()[:8] + b"\0\0\0\0"
    assert boot(tmp_path, elf(Part(broken + CODE, HIGH))).eax == 0


def test_a_header_behind_8_kib_is_none(tmp_path: Path) -> None:
    assert boot(tmp_path, elf(Part(b"\0" * 8192 + multiboot_header() + CODE, HIGH))).eax == 0


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (elf(Part(multiboot_header(0x8) + CODE, HIGH)), "unknown multiboot features 0x8"),
        (multiboot_header(0x10000, HIGH, HIGH, HIGH + 0x10_0000, 0, HIGH) + CODE, "do not fit the file"),
        (multiboot_header(0x10000, HIGH - 8, HIGH, 0, 0, HIGH) + CODE, "do not fit the file"),
        (multiboot_header(0x10000, HIGH, HIGH, 0, 0, 0) + CODE, "has no entry"),
        (multiboot_header(0x10000, HIGH), "truncated within its multiboot header"),
        (multiboot_header(0x10004, HIGH, HIGH, 0, 0, HIGH), "truncated within its multiboot header"),
    ],
)
def test_refusals(tmp_path: Path, data: bytes, message: str) -> None:
    with pytest.raises(RingError, match=message) as refusal:
        boot(tmp_path, data)
    assert "\n" not in str(refusal.value)
