"""A CD drive with an image in it: the PACKET protocol (ATA/ATAPI-6, 8.23, 8.24, 9.8 and 9.9).

What the packets ask for is in `hypervisor.devices.cd_commands`. Every command here costs exits: one for the command,
one for the packet, and one for each data window.
"""

from __future__ import annotations

from typing import NamedTuple

from hypercalls.layout import FIFO_SIZE
from hypervisor.bus import Bus
from hypervisor.devices.ata_identify import SET_TRANSFER_MODE, TransferMode, identify_packet
from hypervisor.devices.cd_commands import CdRom, CheckCondition
from hypervisor.devices.disk import SECTOR, DiskImage
from hypervisor.devices.ide import (
    ABORTED,
    COUNT,
    DIAGNOSTIC_PASSED,
    FEATURES,
    IDLE,
    LBA_HIGH,
    LBA_MID,
    IdeChannel,
    Places,
)

PACKET_SIZE = 12
_DMA = 1  # FEATURES of PACKET
_COMMAND_PHASE, _TO_HOST, _OVER = 1, 2, 3  # COUNT, the interrupt reason: C/D, I/O, both
PACKET, IDENTIFY_PACKET, DEVICE_RESET, SET_FEATURES, IDENTIFY, READ = 0xA0, 0xA1, 0x08, 0xEF, 0xEC, 0x20
_POWER = (*range(0xE0, 0xE4), *range(0x94, 0x98))
_CHECK_POWER = (0xE5, 0x98)


class _Rest(NamedTuple):
    """What of a READ has not passed through the data window."""

    first: int
    sectors: int
    block: int


class PacketDrive:
    """The drive; its image is read-only."""

    signature = (1, 1, 0x14, 0xEB)
    sectors = multiple = 0  # nothing that the monitor moves by itself
    read_only = True

    def __init__(self, image: DiskImage, serial: str) -> None:
        self.image, self.serial = image, serial
        self.error, self.idle = DIAGNOSTIC_PASSED, 0
        self.mode = TransferMode()
        self.cd = CdRom(image)

    def connect(self, bus: Bus) -> int:
        """Not among the disks that the monitor maps."""
        return 0

    def reset(self) -> None:
        """Power-on or software reset: not ready, as packet devices say, before the first command."""
        self.error, self.idle = DIAGNOSTIC_PASSED, 0

    def execute(self, channel: IdeChannel, command: int) -> None:
        """Carry out a command, or begin it."""
        if command == DEVICE_RESET:
            self.reset()
            channel.show_signature()
            channel.status(self.idle)
            return
        self.idle = IDLE
        if command == PACKET:
            channel.registers[COUNT] = _COMMAND_PHASE
            channel.expect(PACKET_SIZE, PACKET_SIZE, lambda: self._packet(channel))
        elif command == IDENTIFY_PACKET:
            channel.offer(identify_packet(self.serial, self.mode), SECTOR)
        elif command == SET_FEATURES and channel.registers[FEATURES] == SET_TRANSFER_MODE:
            if self.mode.choose(channel.registers[COUNT]):
                channel.succeed()
            else:
                channel.fail(self, ABORTED)
        elif command in _POWER:
            channel.succeed()
        elif command in _CHECK_POWER:
            channel.registers[COUNT] = 0xFF
            channel.succeed()
        else:
            if command in (IDENTIFY, READ):  # by which hosts tell packet devices from disks
                channel.show_signature()
            channel.fail(self, ABORTED)

    # --- packets --------------------------------------------------------------------------------------

    def _packet(self, channel: IdeChannel) -> None:
        packet = channel.fifo.taken().ljust(PACKET_SIZE, b"\0")
        try:
            reply = self.cd.execute(packet)
            if isinstance(reply, bytes):
                self._send(channel, reply)
            else:
                self._read(channel, *reply)
        except CheckCondition as condition:
            self._check(channel, condition)

    def _send(self, channel: IdeChannel, data: bytes) -> None:
        if not data:
            self._finish(channel)
        elif channel.registers[FEATURES] & _DMA:
            channel.registers[COUNT] = _TO_HOST
            channel.start_dma(self, len(data), lambda places: _scatter(data, places), lambda: self._finish(channel))
        else:
            block = self._block(channel)
            if block:
                self._offer(channel, data, block, _Rest(0, 0, block))

    def _read(self, channel: IdeChannel, first: int, count: int) -> None:
        """Read `count` sectors of 512 bytes from `first`."""
        if channel.registers[FEATURES] & _DMA:
            channel.registers[COUNT] = _TO_HOST
            channel.start_dma(self, count * SECTOR, lambda places: self.image.read_into(first, places),
                              lambda: self._finish(channel))
            return
        block = self._block(channel)
        if block:
            self._next(channel, _Rest(first, count, block))

    def _block(self, channel: IdeChannel) -> int:
        """Bytes that the host takes at a time; 0: it has not said so, and the command is aborted."""
        limit = channel.registers[LBA_HIGH] << 8 | channel.registers[LBA_MID]
        if not limit:
            channel.registers[COUNT] = _OVER
            channel.fail(self, ABORTED)
        return limit if limit < 2 else limit & 0xFFFE

    def _next(self, channel: IdeChannel, rest: _Rest) -> None:
        """Offer as much of a READ as the data window holds, in whole blocks and sectors where there is more."""
        first, count, block = rest
        if count * SECTOR <= FIFO_SIZE:
            part = count
        else:
            part = FIFO_SIZE // SECTOR
            while part > 1 and part * SECTOR % block:
                part -= 1
        try:
            data = self.image.read(first, part)
        except OSError:
            self.failed(channel, reading=True)
            return
        self._offer(channel, data, block, _Rest(first + part, count - part, block))

    def _offer(self, channel: IdeChannel, data: bytes, block: int, rest: _Rest) -> None:
        channel.registers[COUNT] = _TO_HOST

        def then() -> None:
            if rest.sectors:
                self._next(channel, rest)
            else:
                self._finish(channel)

        channel.offer_counted(data, block, then)

    def _finish(self, channel: IdeChannel) -> None:
        channel.registers[COUNT] = _OVER
        channel.succeed()

    def _check(self, channel: IdeChannel, condition: CheckCondition) -> None:
        self.cd.remember(condition)
        channel.registers[COUNT] = _OVER
        channel.fail(self, condition.key << 4)

    def failed(self, channel: IdeChannel, reading: bool) -> None:
        """The host could not read the disc."""
        self._check(channel, CheckCondition.unreadable())

    def window_done(self, channel: IdeChannel) -> None:
        """The monitor moves no sectors of this drive: the guest has said so by itself."""
        channel.stop()

    def move(self, channel: IdeChannel, places: Places) -> None:
        """As above."""


def _scatter(data: bytes, places: Places) -> None:
    at = 0
    for place in places:
        part = data[at : at + len(place)]
        place[: len(part)] = part
        at += len(part)
