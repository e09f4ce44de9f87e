"""The I/O bus: which device answers which port or memory address, and by which path.

Most accesses come as *exits*: the monitor stops and asks, `Bus.handle` answers. Three cheaper paths
exist for what a kernel does often (`hypercalls.structs.PortClass`): a `Latch` is read without an exit,
a posted write is queued until the next exit, and a `Fifo` carries the data of string I/O. Devices ask
for them when they are attached.

Everything in shared memory may have been written by the guest: each field is copied once and its range
checked before use. `Bus.handle` is the hot path of the VMM: dictionary look-ups, no allocation.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from hypercalls import layout
from hypercalls.structs import POSTED, ExitReason, PortClass
from hypervisor.devices.disk import SECTOR
from hypervisor.errors import RingError

if TYPE_CHECKING:
    from hypervisor.devices.disk import DiskImage
    from hypervisor.memory import GuestMemory
    from hypervisor.state import StateFile

ONES = {1: 0xFF, 2: 0xFFFF, 4: 0xFFFF_FFFF}  # what an empty bus reads, by access size in bytes
MAX_ABSENT = 0x2_0000  # distinct absent ports and pages remembered: every port, both ways

_PORT_IN, _PORT_OUT = int(ExitReason.PORT_IN), int(ExitReason.PORT_OUT)
_U32 = 0xFFFF_FFFF


class MachineStop(Exception):
    """A device ended the machine's run; the domain turns it into its outcome.

    `action` is "poweroff" or "reset"; `status` is the exit status that the guest asked for.
    """

    def __init__(self, action: str, status: int, cause: str) -> None:
        super().__init__(cause)
        self.action, self.status, self.cause = action, status, cause


class Device:
    """A device on the bus. Subclasses say what they occupy and override what they answer.

    There is no reset: a machine that restarts is a new domain with new devices.
    """

    name = "device"
    ports: tuple[range, ...] = ()
    mmio: tuple[range, ...] = ()

    def attach(self, bus: Bus) -> None:
        """Called once, when the device is added: the place to ask for latches, FIFOs, posted ports."""

    def port_in(self, port: int, size: int) -> int:
        """Value that a read of `size` bytes gives; bits above the size are ignored."""
        return ONES[size]

    def port_out(self, port: int, size: int, value: int) -> None:
        """Take a write of `size` bytes."""

    def string_in(self, port: int, size: int, count: int) -> bytes:
        """Data of a string input of `count` items."""
        mask, read = ONES[size], self.port_in
        return b"".join((read(port, size) & mask).to_bytes(size, "little") for _ in range(count))

    def string_out(self, port: int, size: int, data: bytes) -> None:
        """Take the data of a string output; its length is a multiple of `size`."""
        for at in range(0, len(data), size):
            self.port_out(port, size, int.from_bytes(data[at : at + size], "little"))

    def fifo_done(self, window: int) -> None:
        """The guest moved the last byte of a transfer that asked to be told."""

    def mmio_read(self, address: int, size: int) -> int:
        """Value that a memory read at guest-physical `address` gives."""
        return ONES[size]

    def mmio_write(self, address: int, size: int, value: int) -> None:
        """Take a memory write at guest-physical `address`."""


class ByteDevice(Device):
    """A device with an 8-bit port: the ISA bus splits wider accesses into single bytes."""

    bus: Bus

    def attach(self, bus: Bus) -> None:
        self.bus = bus

    def read(self, port: int) -> int:
        """Value of one byte-wide read."""
        return 0xFF

    def write(self, port: int, value: int) -> None:
        """Take one byte."""

    def port_in(self, port: int, size: int) -> int:
        if size == 1:
            return self.read(port)
        value = self.read(port)
        for i in range(1, size):
            value |= (self.bus.port_in(port + i, 1) & 0xFF) << 8 * i
        return value

    def port_out(self, port: int, size: int, value: int) -> None:
        self.write(port, value & 0xFF)
        for i in range(1, size):
            self.bus.port_out(port + i, 1, value >> 8 * i & 0xFF)


class Latch:
    """A byte that the guest reads from one or more ports without an exit."""

    def __init__(self, store: Any, index: int) -> None:
        self._store, self.index = store, index

    def set(self, value: int) -> None:
        """Let the ports read `value` from now on."""
        self._store[self.index] = value & 0xFF


class Fifo:
    """A data port's window in the state file; one transfer at a time, one exit at most for it."""

    def __init__(self, record: Any, window: memoryview, index: int) -> None:
        self._record, self._window, self.index = record, window, index

    def _start(self, length: int, block: int, latch: Latch, done_value: int, tell: bool, writing: bool) -> None:
        record = self._record
        record.position = record.end = 0
        record.block, record.latch, record.done_value = block, latch.index, done_value
        record.exit_when_done, record.writing = int(tell), int(writing)
        record.end = length  # last: the window is live from here on

    def start_read(self, data: bytes, block: int, latch: Latch, done_value: int, tell: bool = False) -> None:
        """Offer `data` (at most FIFO_SIZE bytes) to the guest; the device interrupts between blocks (bytes).

        `tell`: the device's `fifo_done` is called at the end.
        """
        self._window[: len(data)] = data
        self._start(len(data), block, latch, done_value, tell, writing=False)

    def start_write(self, length: int, block: int, latch: Latch, done_value: int) -> None:
        """Expect `length` bytes from the guest; the device's `fifo_done` is called at the end."""
        self._start(length, block, latch, done_value, tell=True, writing=True)

    def taken(self) -> bytes:
        """What the guest wrote, as long as the guest says it is, at most a window full; the transfer is over."""
        data = bytes(self._window[: self._record.end])
        self.stop()
        return data

    @property
    def idle(self) -> bool:
        """Whether no transfer is under way (as the guest's side tells: a hint, not a fact)."""
        return bool(self._record.position == self._record.end)

    @property
    def block(self) -> int:
        """Bytes between two interrupts of the last transfer (as the guest's side tells)."""
        return int(self._record.block)

    @property
    def ahead(self) -> int:
        """Bytes of the block that passes now, or will next (as the guest's side tells)."""
        position, end, block = self._record.position, self._record.end, self._record.block
        return min(block, end - position // block * block) & 0xFFFF_FFFF if block and position < end else 0

    def stop(self) -> None:
        """Abandon the transfer: accesses become exits again."""
        self._record.end = self._record.position = 0


class Bus:
    """All devices of one domain.

    `pulse_irq(line)` raises an ISA interrupt (an edge), `set_irq(line, high)` drives the line, both at any time.
    """

    def __init__(self, memory: GuestMemory, state: StateFile, pulse_irq: Callable[[int], None],
                 set_irq: Callable[[int, bool], None]) -> None:
        self.memory, self.pulse_irq, self.set_irq = memory, pulse_irq, set_irq
        self.devices: list[Device] = []
        self.lock = threading.RLock()  # held while a device is at work, whichever thread works it
        self.absent: dict[tuple[str, int], int] = {}  # (what, port, page or PCI function) -> accesses
        self._state, self._control = state, state.control
        self._owners: dict[int, Device] = {}
        self._in: dict[int, Callable[[int, int], int]] = {}
        self._out: dict[int, Callable[[int, int, int], None]] = {}
        self._mmio: list[tuple[range, Device]] = []
        self._fifos: list[Device] = []
        self._latches = self._channels = 0
        self.disks: list[DiskImage] = []  # those that the monitor maps, by place
        self._posted_tail = 0
        self._posted = (POSTED.ctype * layout.POSTED_COUNT).from_buffer(
            state.window(layout.POSTED_OFFSET, layout.POSTED_COUNT * ctypes.sizeof(POSTED.ctype))
        )
        self._exit_data = state.window(layout.EXIT_DATA_OFFSET, layout.EXIT_DATA_SIZE)

    # --- set-up -------------------------------------------------------------------------------------

    def add(self, device: Device) -> None:
        """Attach a device. Raises RingError where its ports or addresses already belong to another."""
        for ports in device.ports:
            for port in ports:
                if port in self._owners:
                    other = self._owners[port].name
                    raise RingError(f"{device.name}: port {port:#x} belongs to {other}; attach only one of them")
                self._owners[port] = device
                self._in[port], self._out[port] = device.port_in, device.port_out
        for area in device.mmio:
            for taken, owner in self._mmio:
                if area.start < taken.stop and taken.start < area.stop:
                    raise RingError(
                        f"{device.name}: addresses {area.start:#x}-{area.stop - 1:#x} belong to {owner.name}; "
                        "attach only one of them"
                    )
            self._mmio.append((area, device))
        self.devices.append(device)
        device.attach(self)

    def claim(self, device: Device, ports: range) -> list[int]:
        """Give `device` those of `ports` that nobody has, which are returned, until `release`.

        For what the guest itself may move: where it puts one device upon another, the first keeps its ports.
        """
        free = [port for port in ports if port not in self._owners and self._state.is_free(port)]
        for port in free:
            self._owners[port] = device
            self._in[port], self._out[port] = device.port_in, device.port_out
        return free

    def claim_memory(self, device: Device, area: range) -> None:
        """Give `device` the guest-physical addresses `area`, as far as nobody has them, until `release`."""
        self._mmio.append((area, device))

    def release(self, device: Device, area: range) -> None:
        """Take back what `claim` gave of the ports `area`, or `claim_memory` of that memory."""
        if (area, device) in self._mmio:
            self._mmio.remove((area, device))
            return
        for port in area:
            if self._owners.get(port) is device:
                del self._owners[port], self._in[port], self._out[port]
                self._state.set_port_in(port, PortClass.EXIT, 0)
                self._state.set_port_out(port, PortClass.EXIT, 0)

    def latch(self, ports: Iterable[int], value: int) -> Latch:
        """Let reads of `ports` give a latched byte, first `value`, without an exit."""
        if self._latches == len(self._control.latch):
            raise RingError(f"more than {self._latches} latched ports; attach fewer devices")
        latch = Latch(self._control.latch, self._latches)
        self._latches += 1
        latch.set(value)
        for port in ports:
            self._state.set_port_in(port, PortClass.LATCH, latch.index)
        return latch

    def vga(self) -> tuple[Any, memoryview]:
        """The registers of the VGA, which the monitor keeps (`vga_state` of the contract), and its planes."""
        return self._control.vga, self._state.window(layout.VGA_OFFSET, layout.VGA_PLANES * layout.VGA_PLANE_SIZE)

    def post(self, ports: Iterable[int]) -> None:
        """Queue writes to `ports`; they reach the device, in order, before the next exit."""
        for port in ports:
            self._state.set_port_out(port, PortClass.POSTED, 0)

    def ide_channel(self, registers: dict[int, int], status: int, alternate: int) -> int:
        """An IDE channel's registers, which the monitor keeps: `registers` maps each port to its register, `status`
        and `alternate` read the status. Returns the channel's number, by which `ide_record` finds its record.
        """
        channel = self._channels
        if channel == len(self._control.ide):
            raise RingError(f"more than {channel} IDE channels; attach fewer disks")
        self._channels += 1
        for port, register in registers.items():
            self._state.set_port_out(port, PortClass.TASK_FILE, channel * 8 + register)
        self._state.set_port_in(status, PortClass.IDE_STATUS, channel)
        self._state.set_port_in(alternate, PortClass.IDE_STATUS, channel | 2)
        return channel

    def ide_record(self, channel: int) -> Any:
        """The `ide_channel` of the contract, for the device to fill in and to look up what was written."""
        return self._control.ide[channel]

    def bus_master(self, ports: dict[int, int]) -> None:
        """Let the monitor serve IDE's bus masters: `ports` maps each port to channel * 8 + register."""
        for port, index in ports.items():
            self._state.set_port_in(port, PortClass.BUS_MASTER, index)
            self._state.set_port_out(port, PortClass.BUS_MASTER, index)

    def disk(self, image: DiskImage) -> int:
        """Hand an image to the monitor, which maps it; returns its place among the mapped disks."""
        place = len(self.disks)
        if place == layout.DISK_COUNT:
            raise RingError(f"more than {place} disks; attach fewer")
        self.disks.append(image)
        window = self._control.disks[place]
        window.bytes, window.writable = image.sectors * SECTOR, not image.read_only
        return place

    def fifo(self, device: Device, port: int) -> Fifo:
        """A data window for string I/O on `port`, in both directions."""
        index = len(self._fifos)
        if index == layout.FIFO_COUNT:
            raise RingError(f"{device.name}: all {index} data windows are in use; attach fewer disks")
        self._fifos.append(device)
        self._state.set_port_in(port, PortClass.FIFO, index)
        self._state.set_port_out(port, PortClass.FIFO, index)
        window = self._state.window(layout.FIFO_OFFSET + index * layout.FIFO_SIZE, layout.FIFO_SIZE)
        return Fifo(self._control.fifo[index], window, index)

    # --- service ------------------------------------------------------------------------------------

    def handle(self, exit_record: Any) -> int:
        """Service one I/O exit and return its value. Other exits are not the bus's: they read 0."""
        if self._control.posted_head != self._posted_tail:
            self.settle()
        reason = exit_record.reason
        if reason == _PORT_IN:
            port, size = exit_record.port & 0xFFFF, exit_record.size
            mask = ONES.get(size, 0xFF)
            handler = self._in.get(port)
            if handler is None:
                return self.missing("in", port, mask)
            return handler(port, size if mask != 0xFF else 1) & mask
        if reason == _PORT_OUT:
            port, size = exit_record.port & 0xFFFF, exit_record.size
            mask = ONES.get(size, 0xFF)
            out = self._out.get(port)
            if out is None:
                self.missing("out", port, 0)
            else:
                out(port, size if mask != 0xFF else 1, exit_record.value & mask)
            return 0
        service = _SERVICES.get(reason)
        return service(self, exit_record) if service else 0

    def port_in(self, port: int, size: int) -> int:
        """Read a port as an exit would."""
        handler = self._in.get(port)
        return self.missing("in", port, ONES[size]) if handler is None else handler(port, size)

    def port_out(self, port: int, size: int, value: int) -> None:
        """Write a port as an exit would."""
        handler = self._out.get(port)
        if handler is None:
            self.missing("out", port, 0)
        else:
            handler(port, size, value)

    def missing(self, what: str, address: int, value: int) -> int:
        """Count an access to what does not exist: `what` is in, out, read, write or pci; returns `value`."""
        key = (what, address)
        if key in self.absent or len(self.absent) < MAX_ABSENT:
            self.absent[key] = self.absent.get(key, 0) + 1
        return value

    def settle(self) -> None:
        """Deliver posted writes that no exit has brought along yet."""
        head = self._control.posted_head
        pending = min(head - self._posted_tail & _U32, layout.POSTED_COUNT)
        for number in range(head - pending, head):
            record = self._posted[number % layout.POSTED_COUNT]
            port, size = record.port, record.size
            mask = ONES.get(size, 0xFF)
            self.port_out(port, size if mask != 0xFF else 1, record.value & mask)
        self._posted_tail = self._control.posted_tail = head

    def _items(self, exit_record: Any) -> tuple[int, int, int]:
        """Port, item size and count of a string exit, forced into range."""
        size = exit_record.size
        size = size if size in ONES else 1
        return exit_record.port & 0xFFFF, size, min(exit_record.count, layout.EXIT_DATA_SIZE // size)

    def _string_in(self, exit_record: Any) -> int:
        port, size, count = self._items(exit_record)
        device = self._owners.get(port)
        if device is None:
            self.missing("in", port, 0)
            data = b"\xff" * (size * count)
        else:
            data = device.string_in(port, size, count)
        self._exit_data[: len(data)] = data
        return 0

    def _string_out(self, exit_record: Any) -> int:
        port, size, count = self._items(exit_record)
        device = self._owners.get(port)
        if device is None:
            return self.missing("out", port, 0)
        device.string_out(port, size, bytes(self._exit_data[: size * count]))
        return 0

    def _fifo_done(self, exit_record: Any) -> int:
        index = exit_record.port
        if index < len(self._fifos):
            self._fifos[index].fifo_done(index)
        return 0

    def _mmio_device(self, address: int) -> Device | None:
        return next((device for area, device in self._mmio if address in area), None)

    def _mmio_read(self, exit_record: Any) -> int:
        address, size = exit_record.address, exit_record.size
        size = size if size in ONES else 1
        device = self._mmio_device(address)
        if device is None:
            return self.missing("read", address & ~0xFFF, ONES[size])
        return device.mmio_read(address, size) & ONES[size]

    def _mmio_write(self, exit_record: Any) -> int:
        address, size = exit_record.address, exit_record.size
        size = size if size in ONES else 1
        device = self._mmio_device(address)
        if device is None:
            return self.missing("write", address & ~0xFFF, 0)
        device.mmio_write(address, size, exit_record.value & ONES[size])
        return 0


_SERVICES: dict[int, Callable[[Bus, Any], int]] = {
    int(ExitReason.STRING_IN): Bus._string_in,
    int(ExitReason.STRING_OUT): Bus._string_out,
    int(ExitReason.FIFO_DONE): Bus._fifo_done,
    int(ExitReason.MMIO_READ): Bus._mmio_read,
    int(ExitReason.MMIO_WRITE): Bus._mmio_write,
}
