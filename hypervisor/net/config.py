"""``--net``: where a card's cable leads, and what card it is."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from hypervisor.errors import RingError
from hypervisor.net.endpoint import Endpoint
from hypervisor.net.stream import StreamEndpoint
from hypervisor.net.tap import TapEndpoint

_KINDS = ("listen", "connect", "tap", "none")
_MAC = re.compile(r"(?:[0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
FORM = "listen=SOCKET, connect=SOCKET, tap=NAME or none, then ,mac=ADDRESS and ,pcap=FILE"


@dataclass(frozen=True)
class NetConfig:
    """One card: `kind` of its cable and where that leads; `mac` None: chosen by the guest's name.

    `append`: the guest has started again, and its capture goes on.
    """

    kind: str
    target: str = ""
    mac: bytes | None = None
    capture: Path | None = None
    append: bool = False

    @classmethod
    def parse(cls, text: str) -> NetConfig:
        """From the text of ``--net``. Raises RingError where it is none."""
        first, *more = text.split(",")
        kind, _, target = first.partition("=")
        if kind not in _KINDS or (kind == "none") != (not target):
            raise RingError(f"--net {text}: '{first}' is not understood; use {FORM}")
        mac, capture = None, None
        for option in more:
            name, _, value = option.partition("=")
            if name == "mac" and _MAC.fullmatch(value):
                mac = bytes.fromhex(value.replace(":", ""))
                if mac[0] & 1:
                    raise RingError(f"--net {text}: {value} is a group's address; clear the first byte's lowest bit")
            elif name == "pcap" and value:
                capture = Path(value)
            else:
                raise RingError(f"--net {text}: '{option}' is not understood; use {FORM}")
        if capture and kind == "none":
            raise RingError(f"--net {text}: nothing passes a card without a cable; leave pcap out")
        return cls(kind, target, mac, capture)

    def address(self, guest: str, number: int) -> bytes:
        """The card's station address: the one asked for, or a locally administered one that `guest` always has."""
        return self.mac or b"\x02\x72\x33" + hashlib.sha256(f"{guest}/{number}".encode()).digest()[:3]

    def endpoint(self) -> Endpoint | None:
        """The other end of the cable; None: there is no cable. Raises RingError where it cannot be had."""
        if self.kind == "none":
            return None
        return TapEndpoint(self.target) if self.kind == "tap" else StreamEndpoint(self.target, self.kind == "listen")
