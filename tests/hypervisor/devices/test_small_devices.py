"""Power ports, POST code; and no port write breaks anything."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hypercalls.structs import ExitReason
from hypervisor.bus import MachineStop
from hypervisor.devices.ata import AtaDrive
from hypervisor.devices.disk import DiskImage
from hypervisor.devices.i8042 import I8042
from hypervisor.devices.ide import ide_channels
from hypervisor.devices.post import PostCode
from hypervisor.devices.power import DebugExit, PowerOff, ResetControl
from tests.hypervisor.devices.machine import Machine

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
    [0x60, 0x64, 0x70, 0x71, 0x80, 0x92, *range(0x170, 0x178), *range(0x1F0, 0x1F8), 0x376, 0x3F6,
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
    devices = (I8042(), PostCode(), DebugExit(), ResetControl(), PowerOff())
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
