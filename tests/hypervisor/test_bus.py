"""The bus: registration, dispatch, absent addresses, the paths without exits."""

from __future__ import annotations

import time

import pytest

from hypercalls import layout
from hypercalls.structs import EXIT, POSTED, ExitReason, PortClass
from hypervisor.bus import Bus, ByteDevice, Device
from hypervisor.errors import RingError
from tests.hypervisor.fakes import FakeMemory, FakeState


class Recorder(Device):
    """Answers the port number and remembers writes."""

    def __init__(self, name: str = "recorder", ports: tuple[range, ...] = (range(0x300, 0x304),)) -> None:
        self.name, self.ports = name, ports
        self.written: list[tuple[int, int, int]] = []

    def port_in(self, port: int, size: int) -> int:
        return port * 0x10001

    def port_out(self, port: int, size: int, value: int) -> None:
        self.written.append((port, size, value))


class Bytes(ByteDevice):
    name = "bytes"
    ports = (range(0x310, 0x312),)

    def __init__(self) -> None:
        self.values = {0x310: 0x12, 0x311: 0x34}

    def read(self, port: int) -> int:
        return self.values[port]

    def write(self, port: int, value: int) -> None:
        self.values[port] = value


@pytest.fixture
def state() -> FakeState:
    return FakeState()


@pytest.fixture
def bus(state: FakeState) -> Bus:
    return Bus(FakeMemory(), state, lambda line: None, lambda line, high: None)


def record(reason: ExitReason, **fields: int):
    return EXIT.ctype(reason=reason, **fields)


def test_dispatch_by_port_and_size(bus: Bus) -> None:
    device = Recorder()
    bus.add(device)
    assert bus.handle(record(ExitReason.PORT_IN, port=0x301, size=1)) == 0x01
    assert bus.handle(record(ExitReason.PORT_IN, port=0x301, size=2)) == 0x0301
    assert bus.handle(record(ExitReason.PORT_IN, port=0x301, size=4)) == 0x0301_0301
    bus.handle(record(ExitReason.PORT_OUT, port=0x302, size=2, value=0x12345))
    assert device.written == [(0x302, 2, 0x2345)]


def test_overlapping_ports_are_refused_by_name(bus: Bus) -> None:
    bus.add(Recorder("first"))
    with pytest.raises(RingError, match=r"second: port 0x303 belongs to first"):
        bus.add(Recorder("second", (range(0x303, 0x305),)))


def test_overlapping_memory_is_refused(bus: Bus) -> None:
    first, second = Recorder("first", ()), Recorder("second", ())
    first.mmio, second.mmio = (range(0xD0000, 0xD1000),), (range(0xD0FFF, 0xD2000),)
    bus.add(first)
    with pytest.raises(RingError, match="belong to first"):
        bus.add(second)


@pytest.mark.parametrize(("size", "ones"), [(1, 0xFF), (2, 0xFFFF), (4, 0xFFFF_FFFF)])
def test_absent_ports_read_ones_and_are_counted(bus: Bus, size: int, ones: int) -> None:
    for _ in range(3):
        assert bus.handle(record(ExitReason.PORT_IN, port=0xCFC, size=size)) == ones
    bus.handle(record(ExitReason.PORT_OUT, port=0xCF8, size=size, value=1))
    assert bus.absent == {("in", 0xCFC): 3, ("out", 0xCF8): 1}


def test_absent_memory_reads_ones(bus: Bus) -> None:
    assert bus.handle(record(ExitReason.MMIO_READ, address=0xFED0_0010, size=4)) == 0xFFFF_FFFF
    assert bus.absent == {("read", 0xFED0_0000): 1}


def test_wide_accesses_to_byte_devices_are_split(bus: Bus) -> None:
    device = Bytes()
    bus.add(device)
    assert bus.handle(record(ExitReason.PORT_IN, port=0x310, size=4)) == 0xFFFF_3412
    bus.handle(record(ExitReason.PORT_OUT, port=0x310, size=2, value=0xABCD))
    assert device.values == {0x310: 0xCD, 0x311: 0xAB}


def test_posted_writes_come_first_and_in_order(bus: Bus, state: FakeState) -> None:
    device = Recorder()
    bus.add(device)
    bus.post([0x300])
    assert state.outputs[0x300] == (PortClass.POSTED, 0)
    for number in range(3):
        at = layout.POSTED_OFFSET + number * POSTED.size
        state.window(at, POSTED.size)[:] = bytes(POSTED.ctype(0x300, 1, number))
    state.control.posted_head = 3
    bus.handle(record(ExitReason.PORT_OUT, port=0x301, size=1, value=9))
    assert device.written == [(0x300, 1, 0), (0x300, 1, 1), (0x300, 1, 2), (0x301, 1, 9)]
    assert state.control.posted_tail == 3


def test_a_posted_head_out_of_range_reads_no_more_than_the_ring(bus: Bus, state: FakeState) -> None:
    device = Recorder("all", (range(0, 0x10000),))
    bus.add(device)
    state.control.posted_head = 0xFFFF_FFF0
    bus.handle(record(ExitReason.PORT_IN, port=0x300, size=1))
    assert len(device.written) == layout.POSTED_COUNT


def test_string_exits_are_held_to_the_data_window(bus: Bus, state: FakeState) -> None:
    device = Recorder()
    bus.add(device)
    state.window(layout.EXIT_DATA_OFFSET, 4)[:] = b"\1\0\2\0"
    bus.handle(record(ExitReason.STRING_OUT, port=0x300, size=2, count=2))
    assert device.written == [(0x300, 2, 1), (0x300, 2, 2)]
    bus.handle(record(ExitReason.STRING_IN, port=0x300, size=4, count=0xFFFF_FFFF))
    assert bytes(state.window(layout.EXIT_DATA_OFFSET + layout.EXIT_DATA_SIZE - 4, 4)) == b"\0\3\0\3"


def test_string_input_from_an_absent_port_is_ones(bus: Bus, state: FakeState) -> None:
    bus.handle(record(ExitReason.STRING_IN, port=0x999, size=2, count=3))
    assert bytes(state.window(layout.EXIT_DATA_OFFSET, 7)) == b"\xff" * 6 + b"\0"


def test_an_unknown_port_costs_little(bus: Bus) -> None:
    """The bus's share of the 10 us that an exit may cost; generous, for slow machines under load."""
    exit_record = record(ExitReason.PORT_IN, port=0x999, size=1)
    best = min(_cost(bus, exit_record) for _ in range(5))
    assert best < 4e-6


def _cost(bus: Bus, exit_record: object) -> float:
    start = time.perf_counter()
    for _ in range(2000):
        bus.handle(exit_record)
    return (time.perf_counter() - start) / 2000


def test_latches_run_out_with_a_message(bus: Bus) -> None:
    for _ in range(256):
        bus.latch([], 0)
    with pytest.raises(RingError, match="256 latched ports"):
        bus.latch([], 0)
