"""The ends of a cable: sockets, what ``--net`` says, captures, and the thread that moves frames."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from hypervisor.errors import RingError
from hypervisor.net.capture import Capture
from hypervisor.net.config import NetConfig
from hypervisor.net.pump import Line, Pump
from hypervisor.net.stream import StreamEndpoint

SECONDS = 10.0


class Card:
    """Keeps what it receives."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.link = False

    def received(self, frame: bytes) -> None:
        self.frames.append(frame)

    def set_link(self, up: bool) -> None:
        self.link = up


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


@pytest.fixture
def plugged() -> Iterator[Callable[[StreamEndpoint, Capture | None], tuple[Card, Line]]]:
    """``plugged(endpoint, capture)``: a card at one end of a line that is pumped, and the line."""
    pumps: list[Pump] = []
    lines: list[Line] = []

    def plug(endpoint: StreamEndpoint, capture: Capture | None = None) -> tuple[Card, Line]:
        line, card = Line(endpoint, capture), Card()
        line.card = card
        pump = Pump([line], threading.RLock(), lambda: None)
        pump.start()
        lines.append(line)
        pumps.append(pump)
        return card, line

    yield plug
    for pump in pumps:
        pump.stop()
        pump.stop()
    for line in lines:
        line.close()


def test_two_guests_on_a_cable(tmp_path: Path, plugged: Callable[..., tuple[Card, Line]]) -> None:
    place = str(tmp_path / "net")
    here, to_there = plugged(StreamEndpoint(place, listen=True))
    there, to_here = plugged(StreamEndpoint(place, listen=False))
    until(lambda: here.link and there.link)
    random = Random(1)
    frames = [random.randbytes(random.randrange(14, 1600)) for _ in range(500)]
    for frame in frames:
        to_there.send(frame)
        to_here.send(frame[::-1])
    until(lambda: len(here.frames) == len(there.frames) == len(frames))
    assert there.frames == frames and here.frames == [frame[::-1] for frame in frames]


def test_the_wire_is_qemu_s(tmp_path: Path, plugged: Callable[..., tuple[Card, Line]]) -> None:
    """Each frame behind its length, as QEMU's net/stream.c and passt have it; arriving in any pieces."""
    place = str(tmp_path / "net")
    card, line = plugged(StreamEndpoint(place, listen=True))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(place)
        until(lambda: card.link)
        for byte in struct.pack(">I", 20) + b"x" * 20 + struct.pack(">I", 3) + b"abc":
            peer.send(bytes([byte]))
        until(lambda: len(card.frames) == 2)
        assert card.frames == [b"x" * 20, b"abc"]
        line.send(b"answer")
        assert peer.recv(100) == b"\0\0\0\6answer"


def test_a_peer_that_goes_may_come_back(tmp_path: Path, plugged: Callable[..., tuple[Card, Line]]) -> None:
    place = str(tmp_path / "net")
    card, line = plugged(StreamEndpoint(place, listen=True))
    for _ in range(2):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.connect(place)
            until(lambda: card.link)
        until(lambda: not card.link)
        line.send(b"to nobody")
    with socket.socket(socket.AF_UNIX) as listener:
        other = str(tmp_path / "other")
        listener.bind(other)
        listener.listen()
        card, _ = plugged(StreamEndpoint(other, listen=False))
        listener.accept()[0].close()
        until(lambda: not card.link)
        listener.settimeout(SECONDS)
        peer = listener.accept()[0]
        until(lambda: card.link)
        peer.close()


def test_a_peer_that_speaks_something_else_is_cut_off(
    tmp_path: Path, plugged: Callable[..., tuple[Card, Line]]
) -> None:
    place = str(tmp_path / "net")
    card, _ = plugged(StreamEndpoint(place, listen=True))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(SECONDS)
        peer.connect(place)
        peer.send(b"GET / HTTP/1.0\r\n\r\n")
        assert peer.recv(1) == b"" and card.frames == []


def test_a_peer_that_does_not_read_costs_frames_and_no_memory(
    tmp_path: Path, plugged: Callable[..., tuple[Card, Line]]
) -> None:
    place = str(tmp_path / "net")
    card, line = plugged(StreamEndpoint(place, listen=True))
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(place)
        until(lambda: card.link)
        for _ in range(3000):
            line.send(bytes(1500))
        assert line.endpoint.backlog
        got: list[int] = []

        def read() -> bool:
            with contextlib.suppress(BlockingIOError):
                got.append(len(peer.recv(1 << 16, socket.MSG_DONTWAIT)))
            return not line.endpoint.backlog

        until(read)
        assert 0 < sum(got) < 3000 * 1504


def test_a_socket_that_was_left_over_is_taken(tmp_path: Path) -> None:
    place = tmp_path / "net"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place))
    first = StreamEndpoint(str(place), listen=True)
    with pytest.raises(RingError, match="cannot listen at"):
        StreamEndpoint(str(place), listen=True)
    first.close()
    first.close()
    assert not place.exists()
    place.write_text("no socket")
    with pytest.raises(RingError, match="choose another place"):
        StreamEndpoint(str(place), listen=True)
    assert place.read_text() == "no socket"


@pytest.mark.parametrize(("text", "words"), [
    ("", "is not understood"), ("listen", "is not understood"), ("none=x", "is not understood"),
    ("cable=/x", "is not understood; use listen=SOCKET"), ("connect=/nowhere/net", "nobody answers at /nowhere/net"),
    ("connect=host", "is no socket"), ("listen=host:99999", "is no socket"), ("listen=/nowhere/x", "cannot listen at"),
    ("none,mac=12", "'mac=12' is not understood"), ("none,mac=01:00:00:00:00:00", "a group's address"),
    ("none,speed=10", "is not understood"), ("none,pcap=x", "leave pcap out"),
    ("tap=" + "x" * 16, "is no name of an interface"),
])  # fmt: skip
def test_what_net_refuses(text: str, words: str) -> None:
    with pytest.raises(RingError, match=words):
        NetConfig.parse(text).endpoint()


def test_addresses_of_cards() -> None:
    assert NetConfig.parse("none,mac=52:54:00:AB:cd:ef").address("g", 0) == bytes.fromhex("525400abcdef")
    chosen = {NetConfig.parse("none").address(name, number) for name in ("a", "b") for number in (0, 1)}
    assert len(chosen) == 4 and all(mac[0] & 3 == 2 for mac in chosen)
    assert NetConfig.parse("none").address("a", 0) in chosen


def test_a_capture_can_be_read(tmp_path: Path) -> None:
    capture = Capture(tmp_path / "x.pcap")
    before = time.time()
    frames = [b"a" * 60, b"b" * 1514]
    for frame in frames:
        capture.add(frame)
    capture.close()
    capture.add(b"late")
    data = (tmp_path / "x.pcap").read_bytes()
    assert struct.unpack("<IHHiIII", data[:24]) == (0xA1B23C4D, 2, 4, 0, 0, 1 << 18, 1)
    at = 24
    for frame in frames:
        seconds, nanoseconds, length, original = struct.unpack("<4I", data[at : at + 16])
        assert 0 <= seconds + nanoseconds / 1e9 - before < 60 and length == original == len(frame)
        assert data[at + 16 : at + 16 + length] == frame
        at += 16 + length
    assert at == len(data)
    again = Capture(tmp_path / "x.pcap", append=True)  # behind a restart of the guest
    again.add(b"c" * 60)
    again.close()
    later = (tmp_path / "x.pcap").read_bytes()
    assert later[:at] == data and len(later) == at + 16 + 60 and later.endswith(b"c" * 60)
    with pytest.raises(RingError, match="choose another file"):
        Capture(tmp_path / "no" / "x.pcap")
