"""What stops a guest beside break points: ``ring3 run --break-on``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypercalls import HYPERCALLS
from hypervisor.errors import RingError

_PORTS_MOST = 16
_KINDS = "hypercall:NAME, exception:VECTOR, interrupt:VECTOR or port:NUMBER"


@dataclass(frozen=True)
class Events:
    """Hypercalls, exceptions, interrupts (by number) and ports in front of or behind which the guest stands still."""

    hypercalls: frozenset[int] = frozenset()
    exceptions: frozenset[int] = frozenset()
    interrupts: frozenset[int] = frozenset()
    ports: frozenset[int] = frozenset()

    @property
    def watched(self) -> bool:
        """Whether the monitor must look at hypercalls, exceptions and interrupts."""
        return bool(self.hypercalls or self.exceptions or self.interrupts)

    @classmethod
    def parse(cls, texts: Sequence[str]) -> Events:
        """From options such as ``exception:14,port:0x3f8``. Raises RingError."""
        found: dict[str, set[int]] = {"hypercall": set(), "exception": set(), "interrupt": set(), "port": set()}
        limits = {"exception": 32, "interrupt": 256, "port": 65536}
        for text in ",".join(texts).split(",") if texts else ():
            kind, _, value = text.partition(":")
            if kind not in found:
                raise RingError(f"--break-on {text}: write {_KINDS}")
            if kind == "hypercall":
                numbers = [row.number for row in HYPERCALLS if row.name == value]
                if not numbers:
                    raise RingError(f"--break-on {text}: there is no hypercall '{value}'; 'ring3 abi' lists them")
                found[kind].add(numbers[0])
                continue
            try:
                number = int(value, 0)
            except ValueError:
                number = -1
            if not 0 <= number < limits[kind]:
                raise RingError(f"--break-on {text}: '{value}' is not from 0 to {limits[kind] - 1}")
            found[kind].add(number)
        if len(found["port"]) > _PORTS_MOST:
            raise RingError(f"--break-on: {len(found['port'])} ports are too many; give up to {_PORTS_MOST}")
        return cls(*(frozenset(numbers) for numbers in found.values()))

    def apply(self, block: Any) -> None:
        """Tell the monitor (a debug_block of hypercalls.structs)."""
        for number in self.hypercalls:
            block.calls[number >> 5] |= 1 << (number & 31)
        for number in self.interrupts:
            block.interrupts[number >> 5] |= 1 << (number & 31)
        block.exceptions = sum(1 << number for number in self.exceptions)
        for place, port in enumerate(sorted(self.ports)):
            block.ports[place] = port
        block.port_count = len(self.ports)
