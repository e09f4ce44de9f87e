"""The CD drive beyond what scripts compare with QEMU: the tray, refusals, long reads, host errors."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from hypervisor.devices.ata import AtaDrive
from hypervisor.devices.atapi import PacketDrive
from hypervisor.devices.cd_commands import BLOCK
from hypervisor.devices.disk import DiskImage
from hypervisor.devices.i440fx import pci_bus
from hypervisor.devices.ide import ide_channels
from hypervisor.devices.piix_ide import PiixIde
from tests.hypervisor.devices.machine import Machine

BASE, IRQ = 0x170, 15
BLOCKS = 200
TABLE, TARGET = 0x1000, 0x2_0000
EJECT, LOAD, LOCK, UNLOCK = b"\x1b\0\0\0\2", b"\x1b\0\0\0\3", b"\x1e\0\0\0\1", b"\x1e"


class Guest(Machine):
    """A machine with a CD drive as the secondary master."""

    def __init__(self, path: Path) -> None:
        self.image = DiskImage(path, read_only=True, padded=True)
        channels, pci = ide_channels([None, None, PacketDrive(self.image, "S")]), pci_bus()
        pci.plug(PiixIde(channels), 1, 1)
        super().__init__(*channels, pci)

    def command(self, code: int, features: int = 0, limit: int = BLOCK) -> None:
        for register, value in ((6, 0xA0), (1, features), (4, limit & 0xFF), (5, limit >> 8), (7, code)):
            self.out(BASE + register, value)

    def packet(self, packet: bytes, features: int = 0, limit: int = BLOCK) -> None:
        self.command(0xA0, features, limit)
        self.rep_out(BASE, packet.ljust(12, b"\0"))

    @property
    def status(self) -> int:
        return self.in_(BASE + 7)

    def sense(self) -> tuple[int, int]:
        """Sense key and code of the last packet."""
        self.packet(b"\x03\0\0\0\x12")
        data = self.rep_in(BASE, 18)
        return data[2], data[12]

    def ok(self, packet: bytes) -> None:
        self.packet(packet)
        assert self.status == 0x50


@pytest.fixture
def guest(tmp_path: Path) -> Guest:
    path = tmp_path / "cd.iso"
    path.write_bytes(b"".join(struct.pack("<I", block) * (BLOCK // 4) for block in range(BLOCKS)))
    return Guest(path)


def read(first: int, count: int) -> bytes:
    return struct.pack(">BxII", 0xA8, first, count)


@pytest.mark.parametrize("limit", [2048, 0xFFFE, 0xFFFF, 6000, 512])
def test_a_long_read_comes_in_blocks_of_the_limit(guest: Guest, limit: int) -> None:
    count, got = 150, b""  # more than a data window holds
    guest.packet(read(10, count), limit=limit)
    while guest.status & 8:
        part = guest.in_(BASE + 4) | guest.in_(BASE + 5) << 8
        assert guest.in_(BASE + 2) & 3 == 2 and 0 < part <= limit
        got += guest.rep_in(BASE, part)
    assert got == guest.image.read(40, count * 4) and guest.status == 0x50 and guest.in_(BASE + 2) & 3 == 3


def test_an_open_tray_has_no_medium(guest: Guest) -> None:
    guest.ok(EJECT)
    for packet in (b"\0", b"\x25", read(0, 1)):
        guest.packet(packet)
        assert guest.status == 0x51 and guest.in_(BASE + 1) == 0x20 and guest.sense() == (2, 0x3A)
    guest.packet(b"\x46\0\0\0\0\0\0\0\x08")
    assert guest.rep_in(BASE, 8)[6:] == b"\0\0", "no profile"
    guest.ok(LOAD)
    guest.ok(b"\0")


def test_a_locked_tray_stays(guest: Guest) -> None:
    guest.ok(LOCK)
    guest.packet(EJECT)
    assert guest.status == 0x51 and guest.sense() == (5, 0x53)
    guest.ok(b"\0")
    guest.ok(UNLOCK)
    guest.ok(EJECT)


@pytest.mark.parametrize(("packet", "code"), [
    (read(BLOCKS, 1), 0x21), (read(BLOCKS - 1, 2), 0x21), (read(0xFFFF_FFFF, 0xFFFF_FFFF), 0x21),
    (b"\x2b\0\xff\xff\xff\xff", 0x21), (b"\xff", 0x20), (b"\x43\0\2\0\0\0\0\0\x10", 0x24),
    (b"\x43\0\0\0\0\0\2\0\x10", 0x24), (b"\x5a\0\xea\0\0\0\0\0\x10", 0x39), (b"\x5a\0\x6a\0\0\0\0\0\x10", 0x24),
    (b"\x46\3", 0x24), (b"\x4a", 0x24)])
def test_refusals(guest: Guest, packet: bytes, code: int) -> None:
    guest.packet(packet)
    assert guest.status == 0x51 and guest.in_(BASE + 1) == 0x50 and guest.in_(BASE + 2) & 3 == 3
    assert guest.sense() == (5, code)
    assert guest.sense() == (0, 0), "told once"


def test_data_without_a_limit_is_aborted(guest: Guest) -> None:
    guest.packet(b"\x25", limit=0)
    assert guest.status == 0x51 and guest.in_(BASE + 1) == 4


def test_what_kind_of_drive_it_is(guest: Guest) -> None:
    for code in (0xEC, 0x20):
        guest.command(code)
        assert guest.status == 0x51 and guest.in_(BASE + 1) == 4
        assert (guest.in_(BASE + 4), guest.in_(BASE + 5)) == (0x14, 0xEB)
    guest.command(0x08)
    assert guest.status == 0, "not ready before a command"
    guest.command(0xA1)
    words = struct.unpack("<256H", guest.rep_in(BASE, 512))
    assert words[0] == 0x85C0 and struct.pack(">20H", *words[27:47]).strip() == b"RING3 CD-ROM"


def test_features_tell_the_disc(guest: Guest) -> None:
    guest.packet(b"\x46\2\0\0\0\0\0\0\x40")  # the profile list alone
    data = guest.rep_in(BASE, 20)
    assert data == struct.pack(">IHHHBBHBxHBx", 16, 0, 8, 0, 3, 8, 0x10, 0, 8, 1)


def test_an_unreadable_image_is_a_medium_error(guest: Guest) -> None:
    guest.image.close()
    guest.packet(read(0, 1))
    assert guest.status == 0x51 and guest.sense() == (3, 0x11)


def prepare_dma(guest: Guest, length: int, places: int = 1) -> None:
    guest.out(0xCF8, 0x8000_0904, 4)
    guest.out(0xCFC, 5, 2)
    length //= places
    for place in range(places):
        last = 1 << 31 if place == places - 1 else 0
        guest.memory.write(TABLE + 8 * place, struct.pack("<II", TARGET + place * length, length | last))
    guest.out(0xC00C, TABLE, 4)


def test_an_unreadable_image_is_a_medium_error_by_dma_too(guest: Guest) -> None:
    prepare_dma(guest, BLOCK)
    guest.image.close()
    guest.packet(read(0, 1), features=1)
    guest.out(0xC008, 9)
    assert guest.status == 0x51 and guest.in_(BASE + 1) >> 4 == 3 and guest.in_(BASE + 2) & 3 == 3
    assert guest.in_(0xC00A) & 7 == 6, "error and interrupt, not active"
    guest.out(0xC008, 0)
    assert guest.sense() == (3, 0x11)


@pytest.mark.parametrize("places", [1, 3])
def test_dma(guest: Guest, places: int) -> None:
    prepare_dma(guest, 3 * BLOCK, places)
    guest.packet(read(7, 3), features=1)
    assert guest.status == 0x58
    guest.out(0xC008, 9)
    assert guest.status == 0x50 and guest.in_(0xC00A) == 4 and guest.irqs[-1] == IRQ
    assert guest.memory.read(TARGET, 3 * BLOCK) == guest.image.read(28, 12)


def test_an_incomplete_block_is_padded(tmp_path: Path) -> None:
    path = tmp_path / "short.iso"
    path.write_bytes(b"x" * (BLOCK + 100))
    guest = Guest(path)
    guest.packet(b"\x25")
    assert guest.rep_in(BASE, 8) == struct.pack(">II", 1, BLOCK)
    guest.packet(read(1, 1))
    assert guest.rep_in(BASE, BLOCK) == b"x" * 100 + bytes(BLOCK - 100)


def test_a_disk_beside_it_is_a_disk(tmp_path: Path) -> None:
    path = tmp_path / "both"
    path.write_bytes(bytes(BLOCK))
    image = DiskImage(path, read_only=True)
    guest = Machine(*ide_channels([AtaDrive(image, "A"), PacketDrive(image, "B")]))
    for select, mid in ((0xA0, 0), (0xB0, 0x14)):
        guest.out(0x3F6, 4)
        guest.out(0x3F6, 0)
        guest.out(0x1F6, select)
        guest.out(0x1F7, 0xEC)
        assert (guest.in_(0x1F7) & 1, guest.in_(0x1F4)) == (int(mid > 0), mid)
