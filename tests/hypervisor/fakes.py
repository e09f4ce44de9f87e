"""Stand-ins for the engine's side of a domain, for tests of the VMM alone."""

from __future__ import annotations

from typing import Any

from hypercalls import layout
from hypercalls.structs import CONTROL, SHARED, VCPU, PortClass
from hypervisor.memory import MemoryRange


class FakeMemory:
    """Guest RAM in a bytearray. Raises what the real one does."""

    def __init__(self, size: int = 1 << 21) -> None:
        self.size = size
        self.data = bytearray(size)

    def _check(self, address: int, length: int) -> None:
        if address < 0 or address + length > self.size:
            raise MemoryRange(f"{address:#x}+{length:#x}")

    def read(self, address: int, length: int) -> bytes:
        self._check(address, length)
        return bytes(self.data[address : address + length])

    def write(self, address: int, data: bytes) -> None:
        self._check(address, len(data))
        self.data[address : address + len(data)] = data

    def window(self, address: int, count: int) -> memoryview:
        return memoryview(self.data)[address : address + count]


class FakeState:
    """A state file without a file: the port maps are dictionaries."""

    def __init__(self) -> None:
        self._bytes = bytearray(layout.TRACE_OFFSET)
        self.control = CONTROL.ctype.from_buffer(self.window(layout.CONTROL_OFFSET, CONTROL.size))
        self.shared = SHARED.ctype.from_buffer(self.window(layout.SHARED_OFFSET, SHARED.size))
        self.vcpu = VCPU.ctype.from_buffer(self.window(layout.VCPU_OFFSET, VCPU.size))
        self.inputs: dict[int, tuple[PortClass, int]] = {}
        self.outputs: dict[int, tuple[PortClass, int]] = {}

    def window(self, offset: int, size: int) -> memoryview:
        return memoryview(self._bytes)[offset : offset + size]

    def set_port_in(self, port: int, kind: PortClass, index: int) -> None:
        self.inputs[port] = (kind, index)

    def set_port_out(self, port: int, kind: PortClass, index: int) -> None:
        self.outputs[port] = (kind, index)

    def is_free(self, port: int) -> bool:
        return not self.inputs.get(port, (0, 0))[0] and not self.outputs.get(port, (0, 0))[0]


class GuestPorts:
    """What a guest's port instructions do, as the monitor's side of the port maps would do it."""

    def __init__(self, bus: Any, state: FakeState) -> None:
        self.bus, self.state, self.exits = bus, state, 0

    def _exit(self, **fields: int) -> int:
        from hypercalls.structs import EXIT

        self.exits += 1
        answer = int(self.bus.handle(EXIT.ctype(**fields)))
        for channel in self.state.control.ide:
            self._interrupt(channel)
        return answer

    def _interrupt(self, channel: Any) -> None:
        """What the monitor does a little later (ide_interrupt.c)."""
        if channel.interrupting:
            channel.interrupting = 0
            self.bus.set_irq(channel.irq, True)

    def in_(self, port: int, size: int = 1) -> int:
        kind, index = self.state.inputs.get(port, (PortClass.EXIT, 0))
        if kind is PortClass.LATCH and size == 1:
            return int(self.state.control.latch[index])
        if kind is PortClass.IDE_STATUS and size == 1:
            return int(self.state.control.latch[self.state.control.ide[index & 1].latch])
        if kind is PortClass.BUS_MASTER:  # byte-wide: the bus splits it
            rest = self.in_(port + 1, size - 1) << 8 if size > 1 else 0
            return self._master_in(index) | rest
        return self._exit(reason=1, port=port, size=size)

    def out(self, port: int, value: int, size: int = 1) -> None:
        from hypercalls.structs import POSTED

        kind, index = self.state.outputs.get(port, (PortClass.EXIT, 0))
        if size > 1 and kind is PortClass.BUS_MASTER:  # byte-wide: the bus splits it
            for i in range(size):
                self.out(port + i, value >> 8 * i & 0xFF)
            return
        if kind is PortClass.TASK_FILE and size == 1 and self._task_file_takes(index, value):
            return
        if kind is PortClass.BUS_MASTER:
            self._master_out(port, index, value)
            return
        if kind is not PortClass.POSTED:
            self._exit(reason=2, port=port, size=size, value=value)
            return
        control = self.state.control
        at = layout.POSTED_OFFSET + control.posted_head % layout.POSTED_COUNT * POSTED.size
        self.state.window(at, POSTED.size)[:] = bytes(POSTED.ctype(port, size, value))
        control.posted_head += 1

    def _task_file_takes(self, index: int, value: int) -> bool:
        """`ide_takes` of a monitor that could not map the image (ide.c): it begins writes."""
        channel, register = self.state.control.ide[index >> 3], index & 7
        task, previous, fifo = channel.task, channel.previous, self.state.control.fifo[channel.fifo & 7]
        drive = task[6] >> 4 & 1
        if register == 7:
            count, select = task[2] or 256, task[6]
            first = (select & 15) << 24 | task[5] << 16 | task[4] << 8 | task[3]
            per_block = {0x30: 1, 0x31: 1, 0xC5: channel.multiple[drive]}.get(value, 0)
            if (not per_block or not select & 0x40 or first + count > channel.sectors[drive]
                    or channel.read_only[drive] or fifo.position != fifo.end or channel.dma):
                return False
            fifo.position, fifo.end, fifo.block = 0, count * 512, per_block * 512
            fifo.latch, fifo.done_value, fifo.exit_when_done, fifo.writing = channel.latch, channel.busy, 1, 1
            self.state.control.latch[channel.latch] = channel.requesting
            channel.first, channel.left, channel.writing, channel.moving = first, 0, 1, 1 + drive
            channel.served |= 1 << drive
            return True
        if register == 0 and (value | task[0]) & 4:
            return False
        previous[register], task[register] = task[register], value
        if register == 6 and fifo.position == fifo.end:
            self.state.control.latch[channel.latch] = channel.idle[value >> 4 & 1]
        return True

    def _master_in(self, index: int) -> int:
        """`master_in` (bus_master.c)."""
        channel, register = self.state.control.ide[index >> 3], index & 7
        if register >= 4:
            return int(channel.table >> 8 * (register - 4) & 0xFF)
        return int({0: channel.master_command, 2: channel.master_status}.get(register, 0xFF))

    def _master_out(self, port: int, index: int, value: int) -> None:
        """`master_takes` of a monitor that could not map the image: the VMM carries out transfers."""
        channel, register = self.state.control.ide[index >> 3], index & 7
        if register >= 4:
            shift = 8 * (register - 4)
            channel.table = channel.table & ~(0xFF << shift) | (value & (0xFC if register == 4 else 0xFF)) << shift
        elif register == 0:
            started = value & ~channel.master_command & 1
            channel.master_command = value & 9
            channel.master_status = channel.master_status & ~1 | (started or channel.master_status & value & 1)
            if started and channel.dma and channel.master_enabled:
                self._exit(reason=2, port=port, size=1, value=value)
        elif register == 2:
            kept = channel.master_status
            channel.master_status = value & 0x60 | kept & 1 | kept & ~value & 6

    def rep_in(self, port: int, length: int) -> bytes:
        """String input of `length` bytes from a FIFO port."""
        index, record = self._fifo(self.state.inputs, port)
        assert not record.writing and record.end - record.position >= length, "no such data offered"
        data = b""
        while len(data) < length:
            data += bytes([self._window(index)[record.position]])
            record.position += 1
            self._passed(record, index)
        return data

    def rep_out(self, port: int, data: bytes) -> None:
        """String output of `data` to a FIFO port."""
        index, record = self._fifo(self.state.outputs, port)
        assert record.writing and record.end - record.position >= len(data), "no data wanted"
        for byte in data:
            self._window(index)[record.position] = byte
            record.position += 1
            self._passed(record, index)

    def _fifo(self, ports: dict[int, tuple[PortClass, int]], port: int) -> tuple[int, Any]:
        kind, index = ports[port]
        assert kind is PortClass.FIFO
        return index, self.state.control.fifo[index]

    def _window(self, index: int) -> memoryview:
        return self.state.window(layout.FIFO_OFFSET + index * layout.FIFO_SIZE, layout.FIFO_SIZE)

    def _passed(self, record: Any, index: int) -> None:
        if record.position == record.end:
            self.state.control.latch[record.latch] = record.done_value
            if record.exit_when_done:
                self._exit(reason=5, port=index)
        elif record.position % record.block == 0:
            channel = next(channel for channel in self.state.control.ide if channel.fifo == index)
            if not channel.task[0] & 2:
                channel.interrupting = 1
                self._interrupt(channel)
