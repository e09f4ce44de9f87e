"""gdb's protocol: framing, answers, options. No guest runs here."""

from __future__ import annotations

import pytest

from hypercalls.structs import DebugPoint
from hypervisor.errors import RingError
from hypervisor.gdb.events import Events
from hypervisor.gdb.packets import INTERRUPT, LONGEST, Reader, frame
from hypervisor.gdb.registers import ALL, Register, description
from hypervisor.gdb.server import GdbConfig
from hypervisor.gdb.session import Action, Session
from hypervisor.translate import AddressSpace
from tests.hypervisor.fakes import FakeMemory


class FakeTarget:
    """A machine of 2 MiB without paging, whose registers hold their own numbers."""

    def __init__(self) -> None:
        self.memory = FakeMemory()
        self.values = {r.name: number.to_bytes(r.size, "little") for number, r in enumerate(ALL)}
        self.points: list[tuple[DebugPoint, int, int]] = []

    def registers(self) -> bytes:
        return b"".join(self.values.values())

    def register(self, register: Register) -> bytes:
        return self.values[register.name]

    def set_register(self, register: Register, data: bytes) -> bool:
        self.values[register.name] = data
        return register.name != "cr0"

    def read(self, address: int, count: int) -> bytes:
        return self.space().read(address, count)

    def write(self, address: int, data: bytes) -> bool:
        if address + len(data) > self.memory.size:
            return False
        self.memory.write(address, data)
        return True

    def insert(self, kind: DebugPoint, address: int, size: int) -> bool:
        self.points.append((kind, address, size))
        return True

    def remove(self, kind: DebugPoint, address: int, size: int) -> None:
        self.points.remove((kind, address, size))

    def space(self) -> AddressSpace:
        return AddressSpace(self.memory, 0, 0, 0)  # type: ignore[arg-type]


def ask(session: Session, packet: bytes) -> bytes:
    answer, action = session.packet(packet)
    assert action is Action.STAY and answer is not None
    return answer


@pytest.fixture
def session() -> Session:
    return Session(FakeTarget(), "T05thread:01;")


@pytest.mark.parametrize("data", [b"", b"OK", b"a#b$c}d*e", bytes(range(256))])
def test_what_is_framed_is_read_back(data: bytes) -> None:
    reader = Reader()
    packet = frame(data)
    for byte in packet[:-1]:
        reader.feed(bytes([byte]))
        assert reader.next() is None
    reader.feed(packet[-1:])
    assert reader.next() == data


def test_noise_broken_and_endless_packets() -> None:
    reader = Reader()
    reader.feed(b"noise+++" + INTERRUPT + b"$OK#00" + b"$g#zz" + frame(b"g"))
    assert [reader.next() for _ in range(5)] == [INTERRUPT, b"-", b"-", b"g", None]
    reader.feed(b"$" + b"m" * (3 * LONGEST))
    assert reader.next() == b"-"
    reader.feed(frame(b"?"))
    assert reader.next() == b"?"


def test_registers(session: Session) -> None:
    assert ask(session, b"p8") == b"08000000"
    assert ask(session, b"P8=78563412") == b"OK"
    assert ask(session, b"p8") == b"78563412"
    assert len(ask(session, b"g")) == 2 * sum(register.size for register in ALL)
    assert ask(session, b"p999") == ask(session, b"pzz") == ask(session, b"P8=1") == b"E22"


def test_memory(session: Session) -> None:
    assert ask(session, b"M1000,3:616263") == b"OK"
    assert ask(session, b"X1003,2:}\x03") == b"OK"
    assert ask(session, b"m1000,5") == b"6162637d03"
    assert ask(session, b"m1ffffe,10") == b"0000"
    assert ask(session, b"m80000000,4") == ask(session, b"M1fffff,2:0000") == b"E14"
    assert ask(session, b"M1000,4:00") == ask(session, b"m10") == b"E22"


def test_points(session: Session) -> None:
    target = session.target
    assert isinstance(target, FakeTarget)
    for packet in (b"Z0,1000,1", b"Z1,2000,1", b"Z2,3000,4", b"Z3,4000,2", b"Z4,5000,1"):
        assert ask(session, packet) == b"OK"
    assert [kind for kind, _, _ in target.points] == [0, 1, 2, 3, 4]
    assert ask(session, b"z2,3000,4") == b"OK"
    assert (DebugPoint.WRITE, 0x3000, 4) not in target.points
    assert ask(session, b"Z9,0,1") == b""


@pytest.mark.parametrize(("packet", "action"), [
    (b"vCont;c", Action.CONTINUE), (b"vCont;s:1;c", Action.STEP), (b"c", Action.CONTINUE), (b"s", Action.STEP),
    (b"D", Action.DETACH), (b"D;1", Action.DETACH), (b"k", Action.KILL), (b"vKill;1", Action.KILL),
])  # fmt: skip
def test_going_on(session: Session, packet: bytes, action: Action) -> None:
    assert session.packet(packet)[1] is action


def test_the_description_comes_in_pieces(session: Session) -> None:
    text, at = b"", 0
    while True:
        part = ask(session, b"qXfer:features:read:target.xml:%x,%x" % (at, 1000))
        text, at = text + part[1:], at + 1000
        if part[:1] == b"l":
            break
    assert text.decode() == description()


def test_monitor_commands(session: Session) -> None:
    def command(words: bytes) -> str:
        return bytes.fromhex(ask(session, b"qRcmd," + words.hex().encode()).decode()).decode()

    assert "pagetable" in command(b"help")
    assert "physical 0x00001234" in command(b"pagetable 0x1234")
    assert "needs a linear address" in command(b"pagetable")
    assert "no command 'dance'" in command(b"dance")


def test_events() -> None:
    events = Events.parse(["hypercall:write_cr3,exception:14", "port:0x3f8", "interrupt:0x20"])
    assert (events.exceptions, events.ports, events.interrupts) == ({14}, {0x3F8}, {0x20})
    assert len(events.hypercalls) == 1 and events.watched and not Events.parse(["port:1"]).watched


@pytest.mark.parametrize("text", ["", "dance:1", "hypercall:dance", "exception:32", "interrupt:x", "port:65536"])
def test_events_that_are_none(text: str) -> None:
    with pytest.raises(RingError, match="--break-on"):
        Events.parse([text])


@pytest.mark.parametrize("text", ["", "x", "0", "65536", "localhost:", "-1"])
def test_ports_that_are_none(text: str) -> None:
    with pytest.raises(RingError, match="--gdb"):
        GdbConfig.parse(text, False, Events())
