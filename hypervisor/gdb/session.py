"""One conversation with gdb: what each packet does to the target (GDB manual, E.2 to E.4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from typing import Protocol

from hypercalls.structs import DebugPoint
from hypervisor.gdb.monitor_commands import run_command
from hypervisor.gdb.packets import LONGEST
from hypervisor.gdb.registers import ALL, Register, description
from hypervisor.translate import AddressSpace

_POINTS = {"0": DebugPoint.SOFTWARE, "1": DebugPoint.EXECUTE, "2": DebugPoint.WRITE, "3": DebugPoint.READ,
           "4": DebugPoint.ACCESS}  # fmt: skip


class Action(Enum):
    """What the guest is to do after a packet."""

    STAY = "stay"
    CONTINUE = "continue"
    STEP = "step"
    DETACH = "detach"
    KILL = "kill"


class DebugTarget(Protocol):
    """What a session needs of a guest that stands still (`hypervisor.gdb.target.Target`)."""

    def registers(self) -> bytes: ...
    def register(self, register: Register) -> bytes: ...
    def set_register(self, register: Register, data: bytes) -> bool: ...
    def read(self, address: int, count: int) -> bytes: ...
    def write(self, address: int, data: bytes) -> bool: ...
    def insert(self, kind: DebugPoint, address: int, size: int) -> bool: ...
    def remove(self, kind: DebugPoint, address: int, size: int) -> None: ...
    def space(self) -> AddressSpace: ...


class Session:
    """Answers packets. `stop` is the last stop reply, as gdb is to see it."""

    def __init__(self, target: DebugTarget, stop: str) -> None:
        self.target, self.stop, self.acknowledge = target, stop, True
        self._by_letter: dict[str, Callable[[bytes], bytes]] = {
            "g": lambda _: target.registers().hex().encode(), "G": self._write_all, "p": self._read_one,
            "P": self._write_one, "m": self._read_memory, "M": self._write_memory, "X": self._write_binary,
            "Z": lambda data: self._point(data, True), "z": lambda data: self._point(data, False),
            "H": lambda _: b"OK", "T": lambda data: b"OK" if data in (b"1", b"01") else b"E01",
            "?": lambda _: self.stop.encode(), "q": self._query, "Q": self._set,
        }  # fmt: skip

    def packet(self, data: bytes) -> tuple[bytes | None, Action]:
        """The answer to one packet (None: no answer now) and what the guest does next."""
        text = data.decode("latin-1")
        if text.startswith("vCont;"):
            return self._resume(text[6:])
        if text == "vCont?":
            return b"vCont;c;C;s;S", Action.STAY
        if text[:1] in ("c", "s", "C", "S"):
            return self._resume(text[:1])
        if text[:1] == "D":
            return b"OK", Action.DETACH
        if text[:1] == "k":
            return None, Action.KILL
        if text.startswith("vKill"):
            return b"OK", Action.KILL
        serve = self._by_letter.get(text[:1])
        try:
            return (serve(data[1:]) if serve else b""), Action.STAY
        except (ValueError, IndexError):
            return b"E22", Action.STAY

    def _resume(self, actions: str) -> tuple[bytes | None, Action]:
        first = actions.split(";")[0][:1].lower()
        return (None, Action.STEP if first == "s" else Action.CONTINUE) if first in "cs" else (b"E22", Action.STAY)

    # --- registers ----------------------------------------------------------------------------------

    def _write_all(self, data: bytes) -> bytes:
        image, at = bytes.fromhex(data.decode()), 0
        for register in ALL:
            part = image[at : at + register.size]
            if len(part) == register.size:
                self.target.set_register(register, part)
            at += register.size
        return b"OK"

    def _read_one(self, data: bytes) -> bytes:
        return self.target.register(ALL[int(data, 16)]).hex().encode()

    def _write_one(self, data: bytes) -> bytes:
        number, _, value = data.decode().partition("=")
        return b"OK" if self.target.set_register(ALL[int(number, 16)], bytes.fromhex(value)) else b"E01"

    # --- memory -------------------------------------------------------------------------------------

    def _read_memory(self, data: bytes) -> bytes:
        address, count = (int(part, 16) for part in data.split(b","))
        found = self.target.read(address, min(count, LONGEST // 2))
        return found.hex().encode() if found or not count else b"E14"

    def _write_memory(self, data: bytes) -> bytes:
        place, _, content = data.partition(b":")
        return self._write(place, bytes.fromhex(content.decode()))

    def _write_binary(self, data: bytes) -> bytes:
        place, _, content = data.partition(b":")
        return self._write(place, content)

    def _write(self, place: bytes, content: bytes) -> bytes:
        address, count = (int(part, 16) for part in place.split(b","))
        if len(content) != count:
            return b"E22"
        return b"OK" if self.target.write(address, content) else b"E14"

    def _point(self, data: bytes, insert: bool) -> bytes:
        kind, address, size = data.decode().split(";")[0].split(",")
        if kind not in _POINTS:
            return b""
        length = 1 if kind in "01" else max(int(size, 16), 1)
        if insert:
            return b"OK" if self.target.insert(_POINTS[kind], int(address, 16), length) else b"E28"
        self.target.remove(_POINTS[kind], int(address, 16), length)
        return b"OK"

    # --- queries ------------------------------------------------------------------------------------

    def _query(self, data: bytes) -> bytes:
        text = data.decode("latin-1")
        if text.startswith("Supported"):
            return (f"PacketSize={LONGEST:x};qXfer:features:read+;QStartNoAckMode+;vContSupported+;hwbreak+;"
                    "swbreak+").encode()
        if text.startswith("Xfer:features:read:target.xml:"):
            offset, length = (int(part, 16) for part in text.rpartition(":")[2].split(","))
            part = description()[offset : offset + length]
            return (("m" if offset + length < len(description()) else "l") + part).encode()
        if text.startswith("Rcmd,"):
            words = bytes.fromhex(text[5:]).decode("latin-1")
            return run_command(self.target, words).encode().hex().encode()
        if text.startswith("Attached"):
            return b"1"
        if re.match("ThreadExtraInfo,", text):
            return b"vCPU 0".hex().encode()
        return {"C": b"QC1", "fThreadInfo": b"m1", "sThreadInfo": b"l", "Symbol::": b"OK"}.get(text, b"")

    def _set(self, data: bytes) -> bytes:
        if data != b"StartNoAckMode":
            return b""
        self.acknowledge = False
        return b"OK"
