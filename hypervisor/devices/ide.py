"""One IDE channel with up to two disks, PIO only.

Source: ATA/ATAPI-6 (T13/1410D): registers in chapter 7, commands in chapter 8, PIO protocols in 9.5 and
9.6. Interrupts are edges. How accesses travel (`hypervisor.bus`): status is a latch, the monitor keeps the
task file, the data register is a FIFO. Commands that move sectors the monitor carries out by itself, where
the image can be mapped and nothing is wrong with them (hypervisor/monitor/ide.c); all others cost one exit,
whatever their number of sectors. What is here is the whole device all the same: whatever the monitor leaves
comes here, and works the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from hypervisor.bus import NO_IRQ, Bus, Device
from hypervisor.devices.ata_identify import MAX_LBA28, MAX_MULTIPLE, geometry, identify
from hypervisor.devices.disk import SECTOR, DiskImage

# Registers, as offsets from the channel's base port
DATA, ERROR, COUNT, LBA_LOW, LBA_MID, LBA_HIGH, SELECT, STATUS = range(8)
FEATURES, COMMAND = ERROR, STATUS  # when written

BUSY, READY, FAULT, SEEK_COMPLETE, REQUEST, FAILED = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01  # status
IDLE = READY | SEEK_COMPLETE
ABORTED, NOT_FOUND, UNCORRECTABLE = 0x04, 0x10, 0x40  # error
DIAGNOSTIC_PASSED = 0x01
SLAVE, LBA_MODE, SELECT_ONES = 0x10, 0x40, 0xA0  # device register
NO_INTERRUPT, SOFT_RESET = 0x02, 0x04  # device control


@dataclass
class Drive:
    """One disk on the channel and the state that the host's commands set."""

    image: DiskImage
    serial: str
    multiple: int = 0  # sectors per block of READ/WRITE MULTIPLE
    error: int = DIAGNOSTIC_PASSED
    heads: int = field(init=False)
    per_track: int = field(init=False)

    def __post_init__(self) -> None:
        _, self.heads, self.per_track = geometry(self.image.sectors)

    @property
    def sectors(self) -> int:
        """Addressable sectors."""
        return min(self.image.sectors, MAX_LBA28)


class IdeChannel(Device):
    """The channel at `base` with its control register at `control` and interrupt line `irq`."""

    def __init__(self, name: str, base: int, control: int, irq: int, drives: Sequence[Drive | None]) -> None:
        self.name, self.base, self.control, self.irq = name, base, control, irq
        self.ports = (range(base, base + 8), range(control, control + 1))
        self.drives = tuple(drives)
        self._registers = [0] * 8
        self._device_control = 0
        self._write_at = 0  # first sector of the write in progress
        self._writing: Drive | None = None

    def attach(self, bus: Bus) -> None:
        self._pulse = bus.pulse_irq
        self._latch = bus.latch([self.base + STATUS, self.control], self._idle_status())
        self._fifo = bus.fifo(self, self.base + DATA)
        kept = {self.base + register: register for register in range(FEATURES, COMMAND + 1)}
        self._shared = shared = bus.task_file(kept | {self.control: 0})
        for place, drive in enumerate(self.drives):
            if drive:
                shared.sectors[place], shared.read_only[place] = drive.sectors, drive.image.read_only
                shared.disk[place], shared.idle[place] = bus.disk(drive.image), IDLE
        shared.fifo, shared.latch, shared.irq = self._fifo.index, self._latch.index, self.irq
        shared.requesting, shared.busy = IDLE | REQUEST, IDLE | BUSY
        self.reset()

    def reset(self) -> None:
        """Power-on or software reset: both drives show the signature of an ATA disk."""
        self._fifo.stop()
        self._writing = None
        self._device_control &= ~SOFT_RESET
        self._registers = [0, 0, 1, 1, 0, 0, 0, 0]
        for drive in self.drives:
            if drive:
                drive.error, drive.multiple = DIAGNOSTIC_PASSED, 0
        self._latch.set(self._idle_status())
        self._publish()

    def _publish(self) -> None:
        """Tell the monitor what the registers hold that the guest has not written itself."""
        self._shared.task[:] = [self._device_control, *self._registers[1:]]
        self._shared.multiple[:] = [drive.multiple if drive else 0 for drive in self.drives]

    def _look(self) -> None:
        """What happened since the last exit: registers written, and commands that the monitor carried out or began."""
        shared = self._shared
        self._device_control, *self._registers[1:] = shared.task[:]
        served, begun = shared.served, shared.begun
        if served:
            shared.served = 0
            for place, drive in enumerate(self.drives):
                if drive and served >> place & 1:
                    drive.error = 0
        if begun:
            shared.begun = 0
            self._begun(self.drives[begun - 1 & 1], shared.first)

    @property
    def _drive(self) -> Drive | None:
        """The selected drive."""
        return self.drives[1 if self._registers[SELECT] & SLAVE else 0]

    def _idle_status(self) -> int:
        return IDLE if self._drive else 0

    # --- registers ----------------------------------------------------------------------------------

    def port_in(self, port: int, size: int) -> int:
        self._look()
        drive, register = self._drive, port - self.base
        if port == self.control or register == STATUS:
            return self._idle_status()  # reached by wide accesses only; bytes are latched
        if drive is None:
            return self._registers[SELECT] | SELECT_ONES if register == SELECT and any(self.drives) else 0
        if register == ERROR:
            return drive.error
        if register == SELECT:
            return self._registers[SELECT] | SELECT_ONES
        return self._registers[register] if register != DATA else 0

    def port_out(self, port: int, size: int, value: int) -> None:
        self._look()
        self._take(port, value & 0xFF)
        self._publish()

    def _take(self, port: int, value: int) -> None:
        if port == self.control:
            if self._device_control & SOFT_RESET and not value & SOFT_RESET:
                self.reset()
            self._device_control = value
            return
        register = port - self.base
        if register == COMMAND:
            self._execute(value)
        elif register == SELECT:
            self._registers[SELECT] = value
            if self._fifo.idle:
                self._latch.set(self._idle_status())
        elif register != DATA:
            self._registers[register] = value

    # --- commands -----------------------------------------------------------------------------------

    def _execute(self, command: int) -> None:
        drive = self._drive
        if command == 0x90:  # EXECUTE DEVICE DIAGNOSTIC goes to both drives
            self.reset()
            self._interrupt()
            return
        if drive is None:
            return
        self._fifo.stop()
        self._writing = None
        drive.error = 0
        handler = _COMMANDS.get(command)
        if handler is None:
            self._fail(drive, ABORTED)
        else:
            handler(self, drive)

    def _line(self) -> int:
        return NO_IRQ if self._device_control & NO_INTERRUPT else self.irq

    def _interrupt(self) -> None:
        if not self._device_control & NO_INTERRUPT:
            self._pulse(self.irq)

    def _succeed(self, drive: Drive) -> None:
        self._latch.set(IDLE)
        self._interrupt()

    def _fail(self, drive: Drive, error: int, fault: int = 0) -> None:
        drive.error = error
        self._latch.set(IDLE | FAILED | fault)
        self._interrupt()

    def _extent(self, drive: Drive) -> tuple[int, int]:
        """First sector and number of sectors that the registers name (CHS as the drive was told)."""
        regs = self._registers
        count = regs[COUNT] or 256
        if regs[SELECT] & LBA_MODE:
            start = (regs[SELECT] & 15) << 24 | regs[LBA_HIGH] << 16 | regs[LBA_MID] << 8 | regs[LBA_LOW]
        else:
            cylinder = regs[LBA_HIGH] << 8 | regs[LBA_MID]
            start = (cylinder * drive.heads + (regs[SELECT] & 15)) * drive.per_track + regs[LBA_LOW] - 1
        return start, count

    def _checked_extent(self, drive: Drive) -> tuple[int, int] | None:
        """The extent if it lies on the disk; else the command has failed."""
        start, count = self._extent(drive)
        if start < 0 or start + count > drive.sectors:
            self._fail(drive, NOT_FOUND)
            return None
        return start, count

    def _read(self, drive: Drive, per_block: int = 1) -> None:
        extent = self._checked_extent(drive)
        if extent is None:
            return
        try:
            data = drive.image.read(*extent)
        except OSError:
            self._fail(drive, UNCORRECTABLE)
            return
        self._offer(data, per_block * SECTOR)

    def _offer(self, data: bytes, block: int) -> None:
        self._fifo.start_read(data, block, self._line(), self._latch, IDLE)
        self._latch.set(IDLE | REQUEST)
        self._interrupt()

    def _write(self, drive: Drive, per_block: int = 1) -> None:
        extent = self._checked_extent(drive)
        if extent is None:
            return
        if drive.image.read_only:
            self._fail(drive, ABORTED)
            return
        self._write_at, count = extent
        self._writing = drive
        self._fifo.start_write(count * SECTOR, per_block * SECTOR, self._line(), self._latch, IDLE | BUSY)
        self._latch.set(IDLE | REQUEST)

    def _begun(self, drive: Drive | None, start: int) -> None:
        """The monitor has begun a write: what `_write` does, but for the data window and the latch."""
        count = self._fifo.expected // SECTOR
        # What is refused here the guest has written to the record by itself.
        if drive and not drive.image.read_only and start + count <= drive.sectors:
            drive.error = 0
            self._write_at, self._writing = start, drive
            self._fifo.begun_write(count * SECTOR)

    def fifo_done(self, window: int) -> None:
        self._look()
        drive, self._writing = self._writing, None
        if drive is None:
            return  # the guest reported a transfer that it never had
        try:
            drive.image.write(self._write_at, self._fifo.taken())
        except OSError:
            self._fail(drive, UNCORRECTABLE, FAULT)
        else:
            self._succeed(drive)

    def _multiple(self, transfer: Callable[[IdeChannel, Drive, int], None], drive: Drive) -> None:
        if drive.multiple:
            transfer(self, drive, drive.multiple)
        else:
            self._fail(drive, ABORTED)

    def _read_multiple(self, drive: Drive) -> None:
        self._multiple(IdeChannel._read, drive)

    def _write_multiple(self, drive: Drive) -> None:
        self._multiple(IdeChannel._write, drive)

    def _set_multiple(self, drive: Drive) -> None:
        count = self._registers[COUNT]
        if count > MAX_MULTIPLE or count & count - 1:
            self._fail(drive, ABORTED)
        else:
            drive.multiple = count
            self._succeed(drive)

    def _verify(self, drive: Drive) -> None:
        if self._checked_extent(drive):
            self._succeed(drive)

    def _identify(self, drive: Drive) -> None:
        self._offer(identify(drive.image.sectors, drive.serial, drive.multiple), SECTOR)

    def _set_features(self, drive: Drive) -> None:
        """Transfer modes (PIO only), caches and defaults: accepted, nothing to change."""
        feature, count = self._registers[FEATURES], self._registers[COUNT]
        known = feature in (0x02, 0x55, 0x66, 0x82, 0xAA, 0xCC) or (feature == 0x03 and count >> 3 in (0, 1))
        if known:
            self._succeed(drive)
        else:
            self._fail(drive, ABORTED)

    def _initialize_parameters(self, drive: Drive) -> None:
        if not self._registers[COUNT]:
            self._fail(drive, ABORTED)
            return
        drive.heads, drive.per_track = (self._registers[SELECT] & 15) + 1, self._registers[COUNT]
        self._succeed(drive)

    def _flush(self, drive: Drive) -> None:
        try:
            drive.image.flush()
        except OSError:
            self._fail(drive, UNCORRECTABLE, FAULT)
        else:
            self._succeed(drive)

    def _power_mode(self, drive: Drive) -> None:
        self._registers[COUNT] = 0xFF  # active or idle
        self._succeed(drive)

    def _native_max(self, drive: Drive) -> None:
        last = drive.sectors - 1
        self._registers[LBA_LOW : LBA_HIGH + 1] = last.to_bytes(4, "little")[:3]
        self._registers[SELECT] = self._registers[SELECT] & 0xF0 | last >> 24
        self._succeed(drive)


_COMMANDS: dict[int, Callable[[IdeChannel, Drive], None]] = {
    0x20: IdeChannel._read, 0x21: IdeChannel._read,
    0x30: IdeChannel._write, 0x31: IdeChannel._write,
    0x40: IdeChannel._verify, 0x41: IdeChannel._verify,
    0x91: IdeChannel._initialize_parameters,
    0xC4: IdeChannel._read_multiple, 0xC5: IdeChannel._write_multiple, 0xC6: IdeChannel._set_multiple,
    0xE5: IdeChannel._power_mode, 0x98: IdeChannel._power_mode,
    0xE7: IdeChannel._flush,
    0xEC: IdeChannel._identify, 0xEF: IdeChannel._set_features,
    0xF8: IdeChannel._native_max,
} | dict.fromkeys(
    # RECALIBRATE, SEEK, IDLE and STANDBY: nothing to move or to stop
    [*range(0x10, 0x20), *range(0x70, 0x80), *range(0x94, 0x98), *range(0xE0, 0xE4)], IdeChannel._succeed
)  # fmt: skip


def ide_channels(drives: Sequence[Drive | None]) -> tuple[IdeChannel, IdeChannel]:
    """The PC's two channels with four places for `drives`: primary master, slave, secondary master, slave."""
    places = (*drives, None, None, None, None)[:4]
    return (
        IdeChannel("IDE primary", 0x1F0, 0x3F6, 14, places[:2]),
        IdeChannel("IDE secondary", 0x170, 0x376, 15, places[2:]),
    )
