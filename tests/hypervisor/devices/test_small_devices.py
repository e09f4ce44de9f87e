"""VGA registers and screen, power ports, POST code; and no port write breaks anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercalls.structs import ExitReason
from hypervisor.bus import MachineStop
from hypervisor.devices.ata import AtaDrive
from hypervisor.devices.cmos import Cmos
from hypervisor.devices.disk import DiskImage
from hypervisor.devices.i8042 import I8042
from hypervisor.devices.ide import ide_channels
from hypervisor.devices.post import PostCode
from hypervisor.devices.power import DebugExit, PowerOff, ResetControl
from hypervisor.devices.vga import Vga
from hypervisor.memory_map import MIB
from tests.hypervisor.devices.machine import Machine

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


@pytest.mark.parametrize("size", [1, 2])
def test_pm1_control_keeps_the_sleep_type_and_is_in_acpi_mode(size: int) -> None:
    guest = Machine(PowerOff())
    for at, byte in ((0, 0xFF), (1, 0x1C)) if size == 1 else ((0, 0x1CFF),):
        guest.out(0x604 + at, byte, size)
    assert guest.in_(0x604, 2) == 0x1C03
    assert [guest.in_(0x604), guest.in_(0x605)] == [0x03, 0x1C]


def test_a_sleep_type_written_byte_by_byte_powers_off() -> None:
    guest = Machine(PowerOff())
    guest.out(0x604, 0, 1)
    with pytest.raises(MachineStop):
        guest.out(0x605, 0x20, 1)


def test_the_post_code_costs_no_exit() -> None:
    guest = Machine(PostCode())
    guest.out(0x80, 0x42)
    assert guest.ports.exits == 0
    assert guest.in_(0x80) == 0x42


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
