"""One IDE channel: its registers, its data window, its interrupt and its bus master, with up to two drives.

Source: ATA/ATAPI-6 (T13/1410D): registers in chapter 7, protocols in 9.5 to 9.10. What drives make of commands is in
`hypervisor.devices.ata` (disks) and `hypervisor.devices.atapi` (CD drives). How accesses travel (`hypervisor.bus`):
the monitor has the status, keeps the task file and the bus master's registers, the data register is a FIFO.
Commands that move a disk's sectors the monitor carries out by itself, where the image can be mapped and nothing is
wrong with them (hypervisor/monitor/ide.c, bus_master.c); all others cost one exit. What is here is the whole device all
the same: whatever the monitor leaves comes here, and works the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hypercalls.structs import IdeInterrupt
from hypervisor.bus import Bus, Device
from hypervisor.devices import bus_master
from hypervisor.devices.disk import SECTOR

# Registers, as offsets from the channel's base port
DATA, ERROR, COUNT, LBA_LOW, LBA_MID, LBA_HIGH, SELECT, STATUS = range(8)
FEATURES, COMMAND = ERROR, STATUS  # when written

BUSY, READY, FAULT, SEEK_COMPLETE, REQUEST, FAILED = 0x80, 0x40, 0x20, 0x10, 0x08, 0x01  # status
IDLE = READY | SEEK_COMPLETE
ABORTED, NOT_FOUND, UNCORRECTABLE = 0x04, 0x10, 0x40  # error
DIAGNOSTIC_PASSED = 0x01
SLAVE, LBA_MODE, SELECT_ONES = 0x10, 0x40, 0xA0  # device register
NO_INTERRUPT, SOFT_RESET, HIGH_ORDER = 0x02, 0x04, 0x80  # device control
DIAGNOSTIC = 0x90

_VMM_DATA = 255  # `dma` of the channel's record: data that the VMM has
_MOST_SECTORS = 0x1_0000  # of one command
Places = list[memoryview]


class IdeDrive(Protocol):
    """What the channel asks of a drive."""

    error: int
    idle: int
    """Status while the drive has nothing to do."""
    signature: tuple[int, int, int, int]
    """COUNT to LBA_HIGH after a reset."""
    sectors: int
    """Sectors that the monitor may move by itself."""
    read_only: bool
    multiple: int
    """Sectors in a block of READ and WRITE MULTIPLE."""

    def connect(self, bus: Bus) -> int:
        """Called once; the drive's place among the disks that the monitor maps."""
        ...

    def reset(self) -> None:
        """Power-on or software reset."""
        ...

    def execute(self, channel: IdeChannel, command: int) -> None:
        """Carry out a command, or begin it. The drive's `error` is 0."""
        ...

    def window_done(self, channel: IdeChannel) -> None:
        """The data window is over, and the drive's sectors were moving through it."""
        ...

    def move(self, channel: IdeChannel, places: Places) -> None:
        """Move the sectors that wait for the bus master; [] where its table is too short. Raises OSError."""
        ...

    def failed(self, channel: IdeChannel, reading: bool) -> None:
        """The host could not read, or write, what the guest asks for: the command ends with an error."""
        ...


class IdeChannel(Device):
    """The channel at `base` with its control register at `control` and interrupt line `irq`."""

    def __init__(self, name: str, base: int, control: int, irq: int, drives: Sequence[IdeDrive | None]) -> None:
        self.name, self.base, self.control, self.irq = name, base, control, irq
        self.ports = (range(base, base + 8), range(control, control + 1))
        self.drives = tuple(drives)
        self.registers = [0] * 8
        self.previous = [0] * 8  # what the registers held before: the high half of 48-bit addresses
        self._device_control = 0
        self._then: Callable[[], None] | None = None  # when the data window is over
        self._dma: tuple[IdeDrive, int, Callable[[Places], None], Callable[[], None]] | None = None

    def attach(self, bus: Bus) -> None:
        self.bus = bus
        self._latch = bus.latch([], self._idle_status())
        self.fifo = bus.fifo(self, self.base + DATA)
        kept = {self.base + register: register for register in range(FEATURES, COMMAND + 1)}
        self.number = bus.ide_channel(kept | {self.control: 0}, self.base + STATUS, self.control)
        self.shared = shared = bus.ide_record(self.number)
        for place, drive in enumerate(self.drives):
            if drive:
                shared.disk[place] = drive.connect(bus)
                shared.sectors[place], shared.read_only[place] = drive.sectors, drive.read_only
        shared.fifo, shared.latch, shared.irq = self.fifo.index, self._latch.index, self.irq
        shared.requesting, shared.busy = IDLE | REQUEST, IDLE | BUSY
        self.reset()

    def reset(self) -> None:
        """Power-on or software reset: the registers show the first drive's signature."""
        self.stop()
        self.bus.set_irq(self.irq, False)
        self._device_control &= ~SOFT_RESET
        for drive in self.drives:
            if drive:
                drive.reset()
        self.registers[SELECT] = 0
        self.show_signature()
        self._latch.set(self._idle_status())
        self._publish()

    def show_signature(self) -> None:
        """Let the registers tell what kind of drive is selected."""
        drive = self.drive or self.drives[0]
        self.registers[COUNT : LBA_HIGH + 1] = drive.signature if drive else (1, 1, 0, 0)

    def _publish(self) -> None:
        """Tell the monitor what has changed."""
        shared = self.shared
        shared.task[:] = [self._device_control, *self.registers[1:]]
        shared.previous[:] = self.previous
        shared.multiple[:] = [drive.multiple if drive else 0 for drive in self.drives]
        shared.idle[:] = [drive.idle if drive else 0 for drive in self.drives]

    def _look(self) -> None:
        """What happened since the last exit: registers written, and commands that the monitor carried out."""
        shared = self.shared
        self._device_control, *self.registers[1:] = shared.task[:]
        self.previous = shared.previous[:]
        served = shared.served
        if served:
            shared.served = 0
            for place, drive in enumerate(self.drives):
                if drive and served >> place & 1:
                    drive.error = 0

    @property
    def drive(self) -> IdeDrive | None:
        """The selected drive."""
        return self.drives[1 if self.registers[SELECT] & SLAVE else 0]

    def _idle_status(self) -> int:
        return self.drive.idle if self.drive else 0

    # --- registers ----------------------------------------------------------------------------------

    def port_in(self, port: int, size: int) -> int:
        self._look()
        drive, register = self.drive, port - self.base
        if port == self.control or register == STATUS:
            return self._idle_status()  # reached by wide accesses only; bytes are latched
        if register == SELECT:
            return self.registers[SELECT] | SELECT_ONES if any(self.drives) else 0
        if drive is None or register == DATA:
            return 0
        if register == ERROR:
            return drive.error
        if self._device_control & HIGH_ORDER:
            return self.previous[register]
        if register in (LBA_MID, LBA_HIGH) and self._counts_bytes:
            return self.fifo.ahead >> (8 if register == LBA_HIGH else 0) & 0xFF
        return self.registers[register]

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
            self._device_control &= ~HIGH_ORDER
            self._execute(value)
        elif register == SELECT:
            self.registers[SELECT] = value
            if self.fifo.idle:
                self._latch.set(self._idle_status())
        elif register != DATA:
            self._device_control &= ~HIGH_ORDER
            self.previous[register], self.registers[register] = self.registers[register], value

    def _execute(self, command: int) -> None:
        drive = self.drive
        if command == DIAGNOSTIC:  # goes to both drives
            self.reset()
            self.interrupt()
            return
        if drive is None:
            return
        self.stop()
        drive.error = 0
        drive.execute(self, command)

    # --- what drives do -----------------------------------------------------------------------------

    def stop(self) -> None:
        """Abandon what is under way."""
        self.fifo.stop()
        self._then = self._dma = None
        self._counts_bytes = False
        self.shared.moving = self.shared.dma = 0
        self.shared.interrupting = IdeInterrupt.NONE

    def interrupt(self) -> None:
        """Have the monitor raise INTRQ, which stays up until the guest reads the status or writes a command."""
        if not self._device_control & NO_INTERRUPT:
            self.shared.master_status |= bus_master.INTERRUPT
            self.shared.interrupting, self.shared.chances = IdeInterrupt.DUE, 0

    def status(self, value: int) -> None:
        """Let the status registers read `value`."""
        self._latch.set(value)

    def succeed(self) -> None:
        """The selected drive's command is over, without an error."""
        self._latch.set(self._idle_status())
        self.interrupt()

    def fail(self, drive: IdeDrive, error: int, fault: int = 0) -> None:
        """The command of `drive` is over, with an error."""
        drive.error = error
        self._latch.set(IDLE | FAILED | fault)
        self.interrupt()

    def offer(self, data: bytes, block: int, busy: bool = False, then: Callable[[], None] | None = None) -> None:
        """Let the guest read `data`, at most FIFO_SIZE bytes, with an interrupt before each `block` bytes.

        Afterwards the drive is `busy`, if there is more to come, and `then` is called.
        """
        self._then = then
        done = IDLE | BUSY if busy or then else self._idle_status()
        self.fifo.start_read(data, block, self._latch, done, tell=busy or then is not None)
        self._latch.set(IDLE | REQUEST)
        self.interrupt()

    def offer_counted(self, data: bytes, block: int, then: Callable[[], None]) -> None:
        """As `offer`; LBA_MID and LBA_HIGH tell the bytes of the block that passes."""
        self.offer(data, block, then=then)
        self._counts_bytes = True

    def expect(self, length: int, block: int, then: Callable[[], None] | None = None) -> None:
        """Let the guest write `length` bytes, at most FIFO_SIZE, with an interrupt behind each block but the last."""
        self._then = then
        self.fifo.start_write(length, block, self._latch, IDLE | BUSY)
        self._latch.set(IDLE | REQUEST)

    def fifo_done(self, window: int) -> None:
        self._look()
        then, self._then = self._then, None
        self._counts_bytes = False
        moving = self.shared.moving
        drive = self.drives[moving - 1] if 0 < moving <= len(self.drives) else None
        if then:
            then()
        elif drive:
            drive.window_done(self)
        self._publish()

    # --- the bus master -----------------------------------------------------------------------------

    def start_dma(self, drive: IdeDrive, length: int, move: Callable[[Places], None],
                  then: Callable[[], None]) -> None:
        """Once the bus master runs, have `move` called with places for `length` bytes to the guest, then `then`."""
        self._dma = drive, length, move, then
        self.shared.dma = _VMM_DATA
        self.wait_for_master()

    def wait_for_master(self) -> None:
        """A transfer waits for the bus master: carry it out if that runs."""
        self._latch.set(IDLE | REQUEST)
        self._run_master()

    def master_changed(self) -> None:
        """The guest started the bus master, and the monitor leaves the transfer to the VMM."""
        self._look()
        self._run_master()
        self._publish()

    def enable_master(self, enabled: bool) -> None:
        """Whether the PCI function may reach memory."""
        self.shared.master_enabled = int(enabled)
        self.master_changed()

    def _run_master(self) -> None:
        shared = self.shared
        waits = shared.dma
        if not (waits and shared.master_enabled and shared.master_status & bus_master.ACTIVE):
            return
        shared.dma = 0
        dma, self._dma = self._dma, None
        drive = self.drives[waits - 1] if waits <= len(self.drives) else None
        if waits == _VMM_DATA and dma:
            self._transfer(*dma, reading=True)
        elif drive:
            disk, length = drive, min(shared.left, _MOST_SECTORS) * SECTOR
            self._transfer(disk, length, lambda places: disk.move(self, places), self.succeed, not shared.writing)

    def _transfer(self, drive: IdeDrive, length: int, move: Callable[[Places], None], then: Callable[[], None],
                  reading: bool) -> None:
        """Move data and tell how that went, as the data sheet's table of the status bits says."""
        shared = self.shared
        found, exhausted = bus_master.places(self.bus.memory, shared.table, length, reading)
        if not found:  # too short a table: stopped without an interrupt
            shared.master_status &= ~bus_master.ACTIVE
            self._latch.set(self._idle_status())
            return
        if exhausted:
            shared.master_status &= ~bus_master.ACTIVE
        try:
            move(found)
        except OSError:
            shared.master_status = shared.master_status & ~bus_master.ACTIVE | bus_master.ERROR
            drive.failed(self, reading)
        else:
            then()


def ide_channels(drives: Sequence[IdeDrive | None]) -> tuple[IdeChannel, IdeChannel]:
    """The PC's two channels with four places for `drives`: primary master, slave, secondary master, slave."""
    places = (*drives, None, None, None, None)[:4]
    return (
        IdeChannel("IDE primary", 0x1F0, 0x3F6, 14, places[:2]),
        IdeChannel("IDE secondary", 0x170, 0x376, 15, places[2:]),
    )
