"""VGA registers and screen, power ports, POST code, firmware tables; and no port write breaks anything."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercalls.structs import ExitReason
from hypervisor.bus import MachineStop
from hypervisor.devices.ata import AtaDrive
from hypervisor.devices.bios import write_firmware_data
from hypervisor.devices.cmos import Cmos
from hypervisor.devices.disk import DiskImage
from hypervisor.devices.i8042 import I8042
from hypervisor.devices.ide import ide_channels
from hypervisor.devices.mptable import POINTER, write_mp_tables
from hypervisor.devices.post import PostCode
from hypervisor.devices.power import DebugExit, PowerOff, ResetControl
from hypervisor.devices.vga import Vga
from hypervisor.memory_map import MIB
from tests.hypervisor.devices.machine import Machine
from tests.hypervisor.fakes import FakeMemory

# --- VGA


@pytest.fixture
def vga() -> Machine:
    return Machine(Vga())


def set_crtc(guest: Machine, index: int, value: int) -> None:
    guest.out(0x3D4, index)
    guest.out(0x3D5, value)


def test_the_cursor_is_read_back(vga: Machine) -> None:
    set_crtc(vga, 14, 0x01)
    set_crtc(vga, 15, 0x92)
    assert vga.ports.exits == 0
    vga.out(0x3D4, 14)
    assert vga.in_(0x3D5) == 0x01
    device = vga.bus.devices[0]
    assert isinstance(device, Vga) and device.cursor == divmod(0x192, 80)


def test_a_word_write_sets_index_and_data(vga: Machine) -> None:
    vga.out(0x3D4, 0x550F, size=2)
    assert vga.in_(0x3D5) == 0x55 and vga.in_(0x3D4) == 0x0F


def test_waiting_for_a_retrace_ends(vga: Machine) -> None:
    seen = {vga.in_(0x3DA) & 8 for _ in range(4)}
    assert seen == {0, 8}


def test_the_attribute_flip_flop(vga: Machine) -> None:
    vga.in_(0x3DA)
    vga.out(0x3C0, 0x30)
    vga.out(0x3C0, 0x0C)
    assert vga.in_(0x3C0) == 0x30 and vga.in_(0x3C1) == 0x0C


def test_the_palette_advances(vga: Machine) -> None:
    vga.out(0x3C8, 5)
    for value in (1, 2, 3):
        vga.out(0x3C9, value)
    vga.out(0x3C7, 5)
    assert [vga.in_(0x3C9) for _ in range(3)] == [1, 2, 3]


def test_the_screen_as_text(vga: Machine) -> None:
    vga.memory.write(0xB8000, b"H\7i\7" + b"\0\7" * 78 + b"y\7o\7\x80\7")
    device = vga.bus.devices[0]
    assert isinstance(device, Vga)
    assert device.text(vga.memory) == "Hi\nyo\u00c7"
    set_crtc(vga, 13, 80)
    vga.bus.settle()
    assert device.text(vga.memory) == "yo\u00c7"


# --- power


@pytest.mark.parametrize(
    ("port", "size", "value", "action", "status"),
    [(0xF4, 1, 0, "exit", 1), (0xF4, 4, 0x21, "exit", 0x43), (0xCF9, 1, 6, "reset", 0), (0x92, 1, 1, "reset", 0),
     (0x604, 2, 0x2000, "poweroff", 0), (0xB004, 2, 0x2000, "poweroff", 0), (0x4004, 2, 0x3400, "poweroff", 0)],
)  # fmt: skip
def test_ports_that_end_the_run(port: int, size: int, value: int, action: str, status: int) -> None:
    guest = Machine(DebugExit(), ResetControl(), PowerOff())
    with pytest.raises(MachineStop) as stop:
        guest.out(port, value, size)
    assert (stop.value.action, stop.value.status) == (action, status)


def test_writes_that_end_nothing() -> None:
    guest = Machine(DebugExit(), ResetControl(), PowerOff())
    for port, size, value in ((0xCF9, 1, 2), (0x92, 1, 2), (0x604, 2, 0x0001), (0x604, 2, 0x3400)):
        guest.out(port, value, size)
    assert guest.in_(0x92) == 2 and guest.in_(0xCF9) == 2


def test_the_post_code_costs_no_exit() -> None:
    guest = Machine(PostCode())
    guest.out(0x80, 0x42)
    assert guest.ports.exits == 0
    assert guest.in_(0x80) == 0x42


# --- firmware tables


def test_mp_tables_are_found_and_sum_to_zero() -> None:
    memory = FakeMemory()
    write_mp_tables(memory)
    pointer = memory.read(POINTER, 16)
    signature, table, length, revision, _, feature1, feature2 = struct.unpack("<4sIBBBBB", pointer[:13])
    assert signature == b"_MP_" and POINTER % 16 == 0 and sum(pointer) & 0xFF == 0
    assert (length, revision, feature1, feature2) == (1, 4, 0, 0)
    size = struct.unpack("<H", memory.read(table + 4, 2))[0]
    config = memory.read(table, size)
    assert config[:4] == b"PCMP" and sum(config) & 0xFF == 0
    assert struct.unpack_from("<I", config, 36)[0] == 0xFEE0_0000
    at, entries = 44, []
    while at < size:
        length = 20 if config[at] == 0 else 8
        entries.append(config[at : at + length])
        at += length
    assert at == size and len(entries) == struct.unpack_from("<H", config, 34)[0]
    assert [entry[0] for entry in entries].count(0) == 1
    ioapic = next(entry for entry in entries if entry[0] == 2)
    assert ioapic[1] == 1 and struct.unpack_from("<I", ioapic, 4)[0] == 0xFEC0_0000
    routes = {entry[5]: entry[7] for entry in entries if entry[0] == 3}
    assert routes == {0: 2} | {irq: irq for irq in range(16) if irq not in (0, 2)}
    assert sum(entry[0] == 4 for entry in entries) == 2


def test_the_bios_data_area() -> None:
    memory = FakeMemory()
    write_firmware_data(memory, disks=2)
    word = lambda at: int.from_bytes(memory.read(at, 2), "little")  # noqa: E731
    assert (word(0x400), word(0x413), word(0x40E), word(0x463)) == (0x3F8, 639, 0x9FC0, 0x3D4)
    assert word(0x41A) == word(0x41C), "the keyboard buffer is empty"
    assert memory.read(0x475, 1) == b"\2" and memory.read(0x449, 1) == b"\3"
    offset, segment = struct.unpack("<HH", memory.read(0x21 * 4, 4))
    assert memory.read(segment * 16 + offset, 1) == b"\xcf", "interrupt vectors lead to an IRET"


# --- everything at once


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fuzz") / "disk"
    path.write_bytes(bytes(512 * 64))
    return path


ports = st.sampled_from(
    [0x60, 0x64, 0x70, 0x71, 0x80, 0x92, *range(0x170, 0x178), *range(0x1F0, 0x1F8), 0x376, *range(0x3C0, 0x3E0), 0x3F6,
     0x604, 0xCF8, 0xCF9, 0xCFC, 0xFFFF]
)  # fmt: skip
accesses = st.lists(
    st.tuples(
        st.sampled_from([1, 2, 3, 4, 5, 6, 7]), ports, st.sampled_from([0, 1, 2, 4, 8, 0xFFFF_FFFF]),
        st.integers(0, 0xFFFF_FFFF), st.integers(0, 0xFFFF_FFFF),
    ),
    max_size=60,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(accesses)
def test_no_access_breaks_a_device(disk: Path, actions: list[tuple[int, int, int, int, int]]) -> None:
    image = DiskImage(disk)
    devices = (I8042(), Cmos(32 * MIB), Vga(), PostCode(), DebugExit(), ResetControl(), PowerOff())
    guest = Machine(*devices, *ide_channels([AtaDrive(image, "S"), None]))
    try:
        for reason, port, size, value, count in actions:
            try:
                result = guest.ports._exit(
                    reason=reason, port=port, size=size, value=value, count=min(count, 0x1000) if count % 7 else count,
                    address=value,
                )
            except MachineStop:
                continue
            assert 0 <= result <= 0xFFFF_FFFF
            if reason == ExitReason.PORT_IN and size in (1, 2, 4):
                assert result < 1 << 8 * size
    finally:
        image.close()
