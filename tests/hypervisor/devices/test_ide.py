"""The IDE channel as drivers use it: task file, PIO protocols, errors, absent drives, number of exits."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from hypervisor.devices.ata import AtaDrive
from hypervisor.devices.disk import SECTOR, DiskImage
from hypervisor.devices.ide import ide_channels
from tests.hypervisor.devices.machine import Machine

BASE, CONTROL, IRQ = 0x1F0, 0x3F6, 14
SECTORS = 2100
READ, WRITE, READ_MULTIPLE, WRITE_MULTIPLE, SET_MULTIPLE = 0x20, 0x30, 0xC4, 0xC5, 0xC6
IDENTIFY, SET_FEATURES, FLUSH, DIAGNOSTIC = 0xEC, 0xEF, 0xE7, 0x90


def pattern(sector: int) -> bytes:
    return struct.pack("<I", sector) * (SECTOR // 4)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "disk.img"
    path.write_bytes(b"".join(map(pattern, range(SECTORS))))
    return path


def image_of(path: Path, name: str) -> Path:
    """A copy beside it."""
    copy = path.with_name(name)
    copy.write_bytes(path.read_bytes())
    return copy


def machine(*images: Path, read_only: bool = False) -> Machine:
    drives = [AtaDrive(DiskImage(path, read_only=read_only), f"S{number}") for number, path in enumerate(images)]
    return Machine(*ide_channels(drives))


def command(guest: Machine, code: int, sector: int = 0, count: int = 1, drive: int = 0) -> None:
    guest.out(BASE + 2, count & 0xFF)
    for byte in range(3):
        guest.out(BASE + 3 + byte, sector >> 8 * byte & 0xFF)
    guest.out(BASE + 6, 0xE0 | drive << 4 | sector >> 24)
    guest.out(BASE + 7, code)


def status(guest: Machine) -> int:
    assert guest.in_(BASE + 7) == guest.in_(CONTROL), "status and alternate status differ"
    return guest.in_(BASE + 7)


@pytest.mark.parametrize("count", [1, 2, 255, 256])
def test_read_sectors(image: Path, count: int) -> None:
    guest = machine(image)
    command(guest, READ, 7, count)
    assert status(guest) == 0x58
    data = b"".join(guest.rep_in(BASE, SECTOR) for _ in range(count))
    assert data == b"".join(map(pattern, range(7, 7 + count)))
    assert status(guest) == 0x50
    assert guest.irqs == [IRQ] * count, "one interrupt for each block"


def test_reads_and_writes_cost_one_exit(image: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.img"
    second.write_bytes(bytes(SECTOR * 10))
    guest = machine(image, second)
    for code in (READ, WRITE, WRITE):
        guest.ports.exits = 0
        guest.out(CONTROL, 0)
        command(guest, code, 3, 1)
        assert status(guest) == 0x58
        guest.rep_in(BASE, SECTOR) if code == READ else guest.rep_out(BASE, bytes(SECTOR))
        assert status(guest) == 0x50
        assert guest.ports.exits == 1


def test_a_write_that_the_monitor_begins_goes_where_the_registers_say(image: Path) -> None:
    guest = machine(image, image_of(image, "second"))
    for sector, count in ((SECTORS - 1, 1), (0, 3)):
        command(guest, WRITE, sector, count, drive=1)
        for part in range(count):
            guest.rep_out(BASE, bytes([part + 1]) * SECTOR)
        assert status(guest) == 0x50
    written = (image.parent / "second").read_bytes()
    assert written[-SECTOR:] == b"\1" * SECTOR and written[SECTOR : 2 * SECTOR] == b"\2" * SECTOR
    assert image.read_bytes() == b"".join(map(pattern, range(SECTORS)))


def test_a_reset_is_seen_by_the_next_write(image: Path) -> None:
    guest = machine(image, image_of(image, "second"))
    command(guest, SET_FEATURES, 0, 69)
    guest.out(CONTROL, 4)
    guest.out(CONTROL, 0)
    guest.out(BASE + 6, 0xE0)
    guest.out(BASE + 7, WRITE)  # one sector, as the signature says: at LBA 1
    guest.rep_out(BASE, b"r" * SECTOR)
    assert status(guest) == 0x50 and image.read_bytes()[SECTOR : 2 * SECTOR] == b"r" * SECTOR


@pytest.mark.parametrize("register", [0x00, 0xE0, 0xFF])
@pytest.mark.parametrize("read_only", [True, False])
def test_a_forged_beginning_writes_nothing_outside(image: Path, register: int, read_only: bool) -> None:
    guest = machine(image, read_only=read_only)
    channel, fifo = guest.state.control.ide[0], guest.state.control.fifo[0]
    channel.task[:] = [register] * 8
    channel.moving, channel.writing, channel.first, channel.left = 1, 1, register << 40 | SECTORS, register << 24
    fifo.end = register << 9
    before = image.read_bytes()
    guest.ports._exit(reason=5, port=0)
    assert image.read_bytes() == before


def test_write_sectors(image: Path) -> None:
    guest = machine(image)
    command(guest, WRITE, 5, 2)
    assert status(guest) == 0x58 and guest.irqs == [], "the first block is asked for without an interrupt"
    guest.rep_out(BASE, b"a" * SECTOR)
    assert guest.irqs == [IRQ] and status(guest) == 0x58
    guest.rep_out(BASE, b"b" * SECTOR)
    assert guest.irqs == [IRQ, IRQ] and status(guest) == 0x50
    data = image.read_bytes()
    assert data[5 * SECTOR : 7 * SECTOR] == b"a" * SECTOR + b"b" * SECTOR
    assert data[4 * SECTOR : 5 * SECTOR] == pattern(4) and data[7 * SECTOR : 8 * SECTOR] == pattern(7)


def test_multiple_needs_to_be_set_and_saves_interrupts(image: Path) -> None:
    guest = machine(image)
    command(guest, READ_MULTIPLE, 0, 4)
    assert status(guest) & 1 and guest.in_(BASE + 1) == 0x04
    command(guest, SET_MULTIPLE, 0, 4)
    assert status(guest) == 0x50
    guest.irqs.clear()
    command(guest, READ_MULTIPLE, 0, 10)
    assert guest.rep_in(BASE, 10 * SECTOR) == b"".join(map(pattern, range(10)))
    assert guest.irqs == [IRQ] * 3
    guest.irqs.clear()
    command(guest, WRITE_MULTIPLE, 0, 8)
    guest.rep_out(BASE, b"x" * 8 * SECTOR)
    assert guest.irqs == [IRQ] * 2 and image.read_bytes()[: 8 * SECTOR] == b"x" * 8 * SECTOR


@pytest.mark.parametrize("count", [3, 129, 255])
def test_bad_block_sizes_are_aborted(image: Path, count: int) -> None:
    guest = machine(image)
    command(guest, SET_MULTIPLE, 0, count)
    assert status(guest) == 0x51 and guest.in_(BASE + 1) == 0x04


def test_identify(image: Path) -> None:
    guest = machine(image)
    command(guest, IDENTIFY)
    words = struct.unpack("<256H", guest.rep_in(BASE, SECTOR))
    assert words[60] | words[61] << 16 == SECTORS
    assert words[49] & 0x0300 == 0x0300, "LBA, DMA"
    assert words[83] & 1 << 10 and words[100] | words[101] << 16 == SECTORS, "48-bit addresses"
    assert words[1] * words[3] * words[6] <= SECTORS
    model = struct.pack(">20H", *words[27:47]).decode()
    assert model.strip() == "RING3 DISK"


def test_chs_addresses(image: Path) -> None:
    guest = machine(image)
    for register, value in ((2, 1), (3, 4), (4, 0), (5, 0), (6, 0xA1)):  # sector 4, cylinder 0, head 1
        guest.out(BASE + register, value)
    guest.out(BASE + 7, READ)
    assert guest.rep_in(BASE, SECTOR) == pattern(63 + 3)


@pytest.mark.parametrize(("sector", "count"), [(SECTORS, 1), (SECTORS - 1, 2), (SECTORS - 255, 256), (0x0FFF_FFFF, 1)])
@pytest.mark.parametrize("code", [READ, WRITE])
def test_beyond_the_end_is_not_found(image: Path, sector: int, count: int, code: int) -> None:
    guest = machine(image)
    command(guest, code, sector, count)
    assert status(guest) == 0x51 and guest.in_(BASE + 1) == 0x10 and guest.irqs == [IRQ]


def test_read_only_disks_abort_writes(image: Path) -> None:
    guest = machine(image, read_only=True)
    before = image.read_bytes()
    command(guest, WRITE)
    assert status(guest) == 0x51 and guest.in_(BASE + 1) == 0x04
    assert image.read_bytes() == before


@pytest.mark.parametrize("code", [0x00, 0x08, 0x26, 0xA0, 0xA1, 0xC7, 0xCC, 0xB0, 0xFF])
def test_commands_that_the_disk_does_not_know_are_aborted(image: Path, code: int) -> None:
    guest = machine(image)
    command(guest, code)
    assert status(guest) == 0x51 and guest.in_(BASE + 1) == 0x04


@pytest.mark.parametrize("code", [0x10, 0x70, 0x40, 0x91, 0xE0, 0xE5, FLUSH])
def test_commands_without_data_interrupt_once(image: Path, code: int) -> None:
    guest = machine(image)
    command(guest, code)
    assert status(guest) == 0x50 and guest.irqs == [IRQ]


@pytest.mark.parametrize(("feature", "count", "expected"), [
    (3, 12, 0x50), (3, 34, 0x50), (3, 69, 0x50), (3, 70, 0x51), (2, 0, 0x50), (99, 0, 0x51)])
def test_set_features(image: Path, feature: int, count: int, expected: int) -> None:
    guest = machine(image)
    guest.out(BASE + 1, feature)
    command(guest, SET_FEATURES, 0, count)
    assert status(guest) == expected


def test_interrupts_can_be_disabled(image: Path) -> None:
    guest = machine(image)
    guest.out(CONTROL, 2)
    command(guest, READ, 0, 3)
    guest.rep_in(BASE, 3 * SECTOR)
    assert guest.irqs == []


def test_an_absent_slave_reads_zero(image: Path) -> None:
    guest = machine(image)
    guest.out(BASE + 6, 0xF0)
    assert guest.in_(BASE + 7) == 0
    guest.out(BASE + 7, IDENTIFY)
    assert guest.in_(BASE + 7) == 0 and guest.irqs == []
    guest.out(BASE + 6, 0xE0)
    assert guest.in_(BASE + 7) == 0x50


def test_a_channel_without_drives_reads_zero(image: Path) -> None:
    guest = machine(image)
    guest.out(0x176, 0xA0)
    assert [guest.in_(0x170 + register) for register in range(1, 8)] == [0] * 7


def test_the_slave_is_a_disk_of_its_own(image: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.img"
    second.write_bytes(b"2" * SECTOR * 4)
    guest = machine(image, second)
    command(guest, READ, 0, 1, drive=1)
    assert guest.rep_in(BASE, SECTOR) == b"2" * SECTOR
    command(guest, READ, 0, 1, drive=0)
    assert guest.rep_in(BASE, SECTOR) == pattern(0)


@pytest.mark.parametrize("how", ["srst", "diagnostic"])
def test_reset_shows_the_signature_of_a_disk(image: Path, how: str) -> None:
    guest = machine(image)
    command(guest, READ, 9, 2)
    if how == "srst":
        guest.out(CONTROL, 4)
        guest.out(CONTROL, 0)
    else:
        guest.out(BASE + 7, DIAGNOSTIC)
    assert [guest.in_(BASE + register) for register in range(1, 6)] == [1, 1, 1, 0, 0]
    assert status(guest) == 0x50


def test_a_new_command_abandons_a_transfer(image: Path) -> None:
    guest = machine(image)
    command(guest, WRITE, 1, 2)
    guest.rep_out(BASE, b"z" * SECTOR)
    command(guest, READ, 3)
    assert guest.rep_in(BASE, SECTOR) == pattern(3)
    assert image.read_bytes()[SECTOR : 2 * SECTOR] == pattern(1), "an unfinished write reaches no sector"


def test_a_reported_end_without_transfer_does_nothing(image: Path) -> None:
    guest = machine(image)
    before = image.read_bytes()
    for window in range(9):
        guest.ports._exit(reason=5, port=window)
    assert image.read_bytes() == before and guest.irqs == []


def test_host_errors_become_drive_errors(image: Path) -> None:
    disk = DiskImage(image)
    guest = Machine(*ide_channels([AtaDrive(disk, "S")]))
    command(guest, WRITE, 0, 1)
    disk.close()  # from here on every access fails with EBADF
    guest.rep_out(BASE, bytes(SECTOR))
    assert status(guest) == 0x71 and guest.in_(BASE + 1) == 0x40
    command(guest, READ, 0, 1)
    assert status(guest) == 0x51 and guest.in_(BASE + 1) == 0x40
