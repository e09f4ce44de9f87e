"""A hard disk: the ATA commands. Source: ATA/ATAPI-6 (T13/1410D), chapter 8."""

from __future__ import annotations

from collections.abc import Callable

from hypercalls.layout import FIFO_SIZE
from hypervisor.bus import Bus
from hypervisor.devices.ata_identify import MAX_LBA28, MAX_MULTIPLE, SET_TRANSFER_MODE, TransferMode, geometry, identify
from hypervisor.devices.disk import SECTOR, DiskImage
from hypervisor.devices.ide import (
    ABORTED,
    COUNT,
    DIAGNOSTIC_PASSED,
    FAULT,
    FEATURES,
    IDLE,
    LBA_HIGH,
    LBA_LOW,
    LBA_MID,
    LBA_MODE,
    NOT_FOUND,
    SELECT,
    UNCORRECTABLE,
    IdeChannel,
    Places,
)

_WINDOW_SECTORS = FIFO_SIZE // SECTOR


class AtaDrive:
    """One disk and the state that the host's commands set."""

    idle = IDLE
    signature = (1, 1, 0, 0)

    def __init__(self, image: DiskImage, serial: str) -> None:
        self.image, self.serial = image, serial
        self.sectors, self.read_only = image.sectors, image.read_only
        self.multiple, self.error = 0, DIAGNOSTIC_PASSED
        self.mode = TransferMode()
        _, self.heads, self.per_track = geometry(self.sectors)

    def connect(self, bus: Bus) -> int:
        """The drive's place among the disks that the monitor maps."""
        return bus.disk(self.image)

    def reset(self) -> None:
        """Power-on or software reset."""
        self.error, self.multiple = DIAGNOSTIC_PASSED, 0

    def execute(self, channel: IdeChannel, command: int) -> None:
        """Carry out a command, or begin it."""
        moves = _MOVES.get(command)
        handler = _COMMANDS.get(command)
        if moves:
            self._begin(channel, *moves)
        elif handler:
            handler(self, channel)
        else:
            channel.fail(self, ABORTED)

    # --- sectors --------------------------------------------------------------------------------------

    def _extent(self, channel: IdeChannel, wide: bool) -> tuple[int, int]:
        """First sector and number of sectors that the registers name (CHS as the drive was told)."""
        regs, high = channel.registers, channel.previous
        count = (regs[COUNT] | high[COUNT] << 8) or 0x1_0000 if wide else regs[COUNT] or 256
        low = regs[LBA_HIGH] << 16 | regs[LBA_MID] << 8 | regs[LBA_LOW]
        if not regs[SELECT] & LBA_MODE:
            cylinder = low >> 8
            return (cylinder * self.heads + (regs[SELECT] & 15)) * self.per_track + regs[LBA_LOW] - 1, count
        if wide:
            return high[LBA_HIGH] << 40 | high[LBA_MID] << 32 | high[LBA_LOW] << 24 | low, count
        return (regs[SELECT] & 15) << 24 | low, count

    def _checked_extent(self, channel: IdeChannel, wide: bool) -> tuple[int, int] | None:
        """The extent if it lies on the disk; else the command has failed."""
        start, count = self._extent(channel, wide)
        if start < 0 or start + count > self.sectors:
            channel.fail(self, NOT_FOUND)
            return None
        return start, count

    def _begin(self, channel: IdeChannel, writing: bool, wide: bool, multiple: bool, by_master: bool) -> None:
        """READ or WRITE, in one of its forms."""
        per_block = self.multiple if multiple else 1
        if not per_block or (writing and self.read_only):
            channel.fail(self, ABORTED)
            return
        extent = self._checked_extent(channel, wide)
        if extent is None:
            return
        shared = channel.shared
        shared.first, shared.left = extent
        shared.writing = int(writing)
        place = 1 + channel.drives.index(self)
        if by_master:
            shared.dma = place
            channel.wait_for_master()
        else:
            shared.moving = place
            self._open(channel, per_block * SECTOR, *extent, writing)

    def _open(self, channel: IdeChannel, block: int, first: int, left: int, writing: bool) -> None:
        """Let the transfer's next sectors, of `left` from `first` on, pass through the data window."""
        shared = channel.shared
        count = min(left, _WINDOW_SECTORS)
        shared.left = left - count
        if writing:
            channel.expect(count * SECTOR, block)
            return
        try:
            data = self.image.read(first, count)
        except OSError:
            shared.moving = 0
            self.failed(channel, reading=True)
            return
        shared.first = first + count
        channel.offer(data, block, busy=left > count)

    def failed(self, channel: IdeChannel, reading: bool) -> None:
        """The host could not read, or write, what the guest asks for."""
        channel.fail(self, UNCORRECTABLE, 0 if reading else FAULT)

    def window_done(self, channel: IdeChannel) -> None:
        """Write what the window holds, and let the next sectors pass. The record's fields are the guest's word."""
        shared = channel.shared
        first, left, writing, block = shared.first, shared.left, bool(shared.writing), channel.fifo.block
        if writing:
            data = channel.fifo.taken()
            if self.read_only or len(data) % SECTOR or first * SECTOR + len(data) > self.sectors * SECTOR:
                channel.stop()  # the guest reported a transfer that it never had
                return
            try:
                self.image.write(first, data)
            except OSError:
                shared.moving = 0
                self.failed(channel, reading=False)
                return
            shared.first = first = first + len(data) // SECTOR
        if not left:
            shared.moving = 0
            channel.succeed()
        elif first + left > self.sectors:
            channel.stop()
        else:
            self._open(channel, block, first, left, writing)
            if writing:
                channel.interrupt()

    def move(self, channel: IdeChannel, places: Places) -> None:
        """Move sectors by the bus master. The record's fields are the guest's word. Raises OSError."""
        first, writing = channel.shared.first, channel.shared.writing
        if first * SECTOR + sum(map(len, places)) > self.sectors * SECTOR or (writing and self.read_only):
            return
        if writing:
            self.image.write_from(first, places)
        else:
            self.image.read_into(first, places)

    # --- other commands -------------------------------------------------------------------------------

    def _succeed(self, channel: IdeChannel) -> None:
        channel.succeed()

    def _verify(self, channel: IdeChannel) -> None:
        if self._checked_extent(channel, wide=False):
            channel.succeed()

    def _verify_wide(self, channel: IdeChannel) -> None:
        if self._checked_extent(channel, wide=True):
            channel.succeed()

    def _set_multiple(self, channel: IdeChannel) -> None:
        count = channel.registers[COUNT]
        if count > MAX_MULTIPLE or count & count - 1:
            channel.fail(self, ABORTED)
        else:
            self.multiple = count
            channel.succeed()

    def _identify(self, channel: IdeChannel) -> None:
        channel.offer(identify(self.sectors, self.serial, self.multiple, self.mode), SECTOR)

    def _set_features(self, channel: IdeChannel) -> None:
        """Transfer modes, caches and defaults: accepted; only IDENTIFY tells the difference."""
        feature, count = channel.registers[FEATURES], channel.registers[COUNT]
        if feature in (0x02, 0x55, 0x66, 0x82, 0xAA, 0xCC) or (
            feature == SET_TRANSFER_MODE and self.mode.choose(count)
        ):
            channel.succeed()
        else:
            channel.fail(self, ABORTED)

    def _initialize_parameters(self, channel: IdeChannel) -> None:
        if not channel.registers[COUNT]:
            channel.fail(self, ABORTED)
            return
        self.heads, self.per_track = (channel.registers[SELECT] & 15) + 1, channel.registers[COUNT]
        channel.succeed()

    def _flush(self, channel: IdeChannel) -> None:
        try:
            self.image.flush()
        except OSError:
            self.failed(channel, reading=False)
        else:
            channel.succeed()

    def _power_mode(self, channel: IdeChannel) -> None:
        channel.registers[COUNT] = 0xFF  # active or idle
        channel.succeed()

    def _native_max(self, channel: IdeChannel) -> None:
        last = min(self.sectors, MAX_LBA28) - 1
        channel.registers[LBA_LOW : LBA_HIGH + 1] = last.to_bytes(4, "little")[:3]
        channel.registers[SELECT] = channel.registers[SELECT] & 0xF0 | last >> 24
        channel.succeed()

    def _native_max_wide(self, channel: IdeChannel) -> None:
        last = (self.sectors - 1).to_bytes(6, "little")
        channel.registers[LBA_LOW : LBA_HIGH + 1] = last[:3]
        channel.previous[LBA_LOW : LBA_HIGH + 1] = last[3:]
        channel.succeed()


# Whether they write, have 48-bit addresses, go by blocks of several sectors, and by the bus master
_MOVES: dict[int, tuple[bool, bool, bool, bool]] = {
    0x20: (False, False, False, False), 0x21: (False, False, False, False), 0x24: (False, True, False, False),
    0xC4: (False, False, True, False), 0x29: (False, True, True, False),
    0xC8: (False, False, False, True), 0xC9: (False, False, False, True), 0x25: (False, True, False, True),
    0x30: (True, False, False, False), 0x31: (True, False, False, False), 0x34: (True, True, False, False),
    0xC5: (True, False, True, False), 0x39: (True, True, True, False),
    0xCA: (True, False, False, True), 0xCB: (True, False, False, True), 0x35: (True, True, False, True),
}  # fmt: skip
_COMMANDS: dict[int, Callable[[AtaDrive, IdeChannel], None]] = {
    0x40: AtaDrive._verify, 0x41: AtaDrive._verify, 0x42: AtaDrive._verify_wide,
    0x91: AtaDrive._initialize_parameters, 0xC6: AtaDrive._set_multiple,
    0xE5: AtaDrive._power_mode, 0x98: AtaDrive._power_mode,
    0xE7: AtaDrive._flush, 0xEA: AtaDrive._flush,
    0xEC: AtaDrive._identify, 0xEF: AtaDrive._set_features,
    0xF8: AtaDrive._native_max, 0x27: AtaDrive._native_max_wide,
} | dict.fromkeys(
    # RECALIBRATE, SEEK, IDLE and STANDBY: nothing to move or to stop
    [*range(0x10, 0x20), *range(0x70, 0x80), *range(0x94, 0x98), *range(0xE0, 0xE4)], AtaDrive._succeed
)
