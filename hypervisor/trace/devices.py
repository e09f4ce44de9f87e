"""Which device has a port or an address, by what the trace's header says of the machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

_MEMORY_KEY = 1 << 32


class Devices:
    """Devices by place. `entries`: as `Header.devices`; what does not look like one is left out."""

    def __init__(self, entries: Sequence[dict[str, Any]]) -> None:
        self._ports: list[tuple[int, int, str]] = []
        self._memory: list[tuple[int, int, str]] = []
        for entry in entries:
            for places, found in ((entry.get("ports"), self._ports), (entry.get("memory"), self._memory)):
                found.extend((int(first), int(last), str(entry.get("name", ""))) for first, last in places or ())
        self._known: dict[int, str] = {}

    def port(self, port: int) -> str:
        """Name of the device at I/O `port`; empty where there is none."""
        return self.by_key(port)

    def memory(self, address: int) -> str:
        """Name of the device at guest-physical `address`; empty where there is none."""
        return self.by_key(address | _MEMORY_KEY)

    def by_key(self, key: int) -> str:
        """By port, or by address with bit 32 set."""
        name = self._known.get(key)
        if name is None:
            places, place = (self._memory, key & 0xFFFF_FFFF) if key & _MEMORY_KEY else (self._ports, key)
            name = next((name for first, last, name in places if first <= place <= last), "") if key >= 0 else ""
            self._known[key] = name
        return name

    def places(self, fits: Any) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Ports and addresses, first and last, of the devices whose names fit."""
        return ([(first, last) for first, last, name in self._ports if fits(name)],
                [(first, last) for first, last, name in self._memory if fits(name)])  # fmt: skip

    @property
    def names(self) -> list[str]:
        """All names, each once."""
        return list(dict.fromkeys(name for _, _, name in (*self._ports, *self._memory)))
