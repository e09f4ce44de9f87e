"""The words by which records are named: `mmu`, `write_cr3`, `port:0x3f8`, `caller:ide*`...

Each word says which records of a file it means (`mask`) and, if the monitor can tell that too, what of its filter
(hypercalls.structs.TRACE_FILTER) stands for it.
"""

from __future__ import annotations

import difflib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from hypercalls import HYPERCALLS
from hypercalls.structs import ExitReason, TraceKind
from hypervisor.trace.columns import Columns
from hypervisor.trace.devices import Devices
from hypervisor.trace.format import KIND_NAMES, TraceError
from hypervisor.trace.names import EXCEPTION_MNEMONICS

Mask = NDArray[np.bool_]
Ranges = list[tuple[int, int]]
_GROUPS = tuple(dict.fromkeys(row.group for row in HYPERCALLS))
_EXITS = {reason.name.lower(): reason.value for reason in ExitReason}
_PORTS, _ADDRESSES = 0xFFFF, 0xFFFF_FFFF


@dataclass
class RingFilter:
    """What the monitor can tell apart, as hypercalls.structs.TRACE_FILTER has it: `kinds` are whole ones; of the
    places of `callers`, globs of functions' names, only those whose symbols are known can be told."""

    kinds: set[int] = field(default_factory=set)
    calls: set[int] = field(default_factory=set)
    vectors: set[int] = field(default_factory=set)
    exceptions: set[int] = field(default_factory=set)
    exits: set[int] = field(default_factory=set)
    ports: Ranges = field(default_factory=list)
    addresses: Ranges = field(default_factory=list)
    rings: set[int] = field(default_factory=set)
    spaces: set[int] = field(default_factory=set)
    callers: list[str] = field(default_factory=list)


class Term(ABC):
    """A word, with its value."""

    restricts = False
    """Whether it narrows what others choose, rather than choosing."""

    @abstractmethod
    def mask(self, columns: Columns) -> Mask:
        """Which records it means."""

    @abstractmethod
    def tell(self, ring: RingFilter, devices: Devices) -> None:
        """Add to `ring` what stands for it."""


@dataclass(frozen=True)
class Kinds(Term):
    """Whole kinds of records, and hypercalls by their numbers."""

    kinds: frozenset[int]
    calls: frozenset[int] = frozenset()

    def mask(self, columns: Columns) -> Mask:
        calls = (columns.kinds == TraceKind.HYPERCALL) & np.isin(columns.numbers, list(self.calls))
        found: Mask = np.isin(columns.kinds, list(self.kinds)) | calls
        return found

    def tell(self, ring: RingFilter, devices: Devices) -> None:
        ring.kinds |= self.kinds
        ring.calls |= self.calls


@dataclass(frozen=True)
class Numbers(Term):
    """Records of one kind by their number: vectors, exceptions, exit reasons."""

    kind: TraceKind
    numbers: frozenset[int]

    def mask(self, columns: Columns) -> Mask:
        found: Mask = (columns.kinds == self.kind) & np.isin(columns.numbers, list(self.numbers))
        return found

    def tell(self, ring: RingFilter, devices: Devices) -> None:
        {TraceKind.INTERRUPT: ring.vectors, TraceKind.EXCEPTION: ring.exceptions, TraceKind.EXIT: ring.exits}[
            self.kind
        ].update(self.numbers)


@dataclass(frozen=True)
class Ports(Term):
    """Whatever accesses I/O ports from `first` to `last`."""

    first: int
    last: int

    def mask(self, columns: Columns) -> Mask:
        return (columns.port >= self.first) & (columns.port <= self.last)

    def tell(self, ring: RingFilter, devices: Devices) -> None:
        ring.ports.append((self.first, self.last))


@dataclass(frozen=True)
class Addresses(Term):
    """Accesses to devices' memory at guest-physical addresses, page faults and TLB fills at guest-linear ones."""

    first: int
    last: int

    def mask(self, columns: Columns) -> Mask:
        return (columns.address >= self.first) & (columns.address <= self.last)

    def tell(self, ring: RingFilter, devices: Devices) -> None:
        ring.addresses.append((self.first, self.last))


@dataclass(frozen=True)
class Device(Term):
    """Accesses to the devices whose names fit."""

    pattern: str

    def _fits(self, name: str) -> bool:
        return fnmatchcase(name.lower(), self.pattern.lower())

    def mask(self, columns: Columns) -> Mask:
        return columns.text_matches("device", lambda name: bool(name) and self._fits(name))

    def tell(self, ring: RingFilter, devices: Devices) -> None:
        ports, addresses = devices.places(self._fits)
        if not ports and not addresses:
            raise TraceError(f"the machine has no device '{self.pattern}'; it has {', '.join(devices.names)}")
        ring.ports += ports
        ring.addresses += addresses


@dataclass(frozen=True)
class Caller(Term):
    """What functions whose names fit ask for."""

    pattern: str
    restricts = True

    def mask(self, columns: Columns) -> Mask:
        return columns.text_matches("caller", lambda name: fnmatchcase(name, self.pattern))

    def tell(self, ring: RingFilter, devices: Devices) -> None:
        ring.callers.append(self.pattern)


@dataclass(frozen=True)
class Ring(Term):
    """What code of a privilege level asks for."""

    ring: int
    restricts = True

    def mask(self, columns: Columns) -> Mask:
        return np.asarray(columns.ring == self.ring)

    def tell(self, ring: RingFilter, devices: Devices) -> None:
        ring.rings.add(self.ring)


@dataclass(frozen=True)
class Space(Term):
    """What happens in the address space of a CR3."""

    cr3: int
    restricts = True

    def mask(self, columns: Columns) -> Mask:
        return np.asarray(columns.number_field("cr3") == self.cr3)

    def tell(self, ring: RingFilter, devices: Devices) -> None:
        ring.spaces.add(self.cr3)


# --- from words ---------------------------------------------------------------------------------------


def _calls(fits: Callable[[str], bool]) -> frozenset[int]:
    return frozenset(row.number for row in HYPERCALLS if fits(row.name))


def _of_groups(*groups: str) -> frozenset[int]:
    return frozenset(row.number for row in HYPERCALLS if row.group in groups)


_CLASSES: Mapping[str, Term] = {
    "mmu": Kinds(frozenset({TraceKind.TLB_FILL, TraceKind.SWITCH}), _of_groups("control", "memory")),
    "io": Kinds(frozenset({TraceKind.DEVICE, TraceKind.EXIT}), _of_groups("port")),
    "irq": Kinds(frozenset({TraceKind.INTERRUPT, TraceKind.IDLE}), _of_groups("interrupt")),
    "syscall": Kinds(frozenset(), _calls(lambda name: name in ("int", "iret", "sysenter", "sysexit"))),
}
"""Words for what people look at together."""

_KINDS = {name: Kinds(frozenset({kind})) for kind, name in KIND_NAMES.items()}


def _kind(value: str) -> Term:
    if value.lower() not in _KINDS:
        raise TraceError(f"'{value}' is no kind of record; choose from {', '.join(_KINDS)}")
    return _KINDS[value.lower()]


def _group(value: str) -> Term:
    if value.lower() not in _GROUPS:
        raise TraceError(f"'{value}' is no group of hypercalls; choose from {', '.join(_GROUPS)}")
    return Kinds(frozenset(), _of_groups(value.lower()))


def _call(value: str) -> Term:
    found = _calls(lambda name: fnmatchcase(name, value.lower()))
    if not found:
        names = [row.name for row in HYPERCALLS]
        near = difflib.get_close_matches(value.lower(), [*names, *_KINDS, *_CLASSES], 3)
        remedy = f"perhaps {' or '.join(near)}" if near else "'ring3 abi' lists them"
        raise TraceError(f"there is no hypercall '{value}'; {remedy}")
    return Kinds(frozenset(), found)


def _one(text: str, word: str, most: int) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= most:
        raise TraceError(f"'{text}' is no {word}; write a number from 0 to {most:#x}")
    return value


def _range(text: str, word: str, most: int) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    low = _one(first, word, most)
    high = _one(last, word, most) if dash else low
    if high < low:
        raise TraceError(f"{word} {text} runs backwards; write {last}-{first}")
    return low, high


def _between(first: int, last: int) -> frozenset[int]:
    return frozenset(range(first, last + 1))


def _exception(value: str) -> Term:
    known = EXCEPTION_MNEMONICS.get(value.lower().lstrip("#"))
    numbers = frozenset({known}) if known is not None else _between(*_range(value, "exception", 31))
    return Numbers(TraceKind.EXCEPTION, numbers)


def _exit(value: str) -> Term:
    found = frozenset(number for name, number in _EXITS.items() if fnmatchcase(name, value.lower()))
    if not found:
        raise TraceError(f"'{value}' is no reason of an exit; choose from {', '.join(_EXITS)}")
    return Numbers(TraceKind.EXIT, found)


_NAMED: Mapping[str, Callable[[str], Term]] = {
    "kind": _kind,
    "group": _group,
    "call": _call,
    "port": lambda value: Ports(*_range(value, "port", _PORTS)),
    "address": lambda value: Addresses(*_range(value, "address", _ADDRESSES)),
    "device": Device,
    "vector": lambda value: Numbers(TraceKind.INTERRUPT, _between(*_range(value, "vector", 255))),
    "exception": _exception,
    "exit": _exit,
    "caller": Caller,
    "ring": lambda value: Ring(_one(value, "ring", 3)),
    "cr3": lambda value: Space(_one(value, "CR3", _ADDRESSES)),
}


def term(word: str, value: str | None) -> Term:
    """What `word`, or `word:value`, means. TraceError for what there is not."""
    key = word.lower()
    if value is not None:
        if key not in _NAMED:
            raise TraceError(f"'{word}:' names nothing; there are {', '.join(f'{name}:' for name in _NAMED)}")
        return _NAMED[key](value)
    return _KINDS.get(key) or _CLASSES.get(key) or _call(word)
