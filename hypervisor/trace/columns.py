"""What expressions can ask of records: fields as columns, worked out for many records at once.

A field that a kind of record does not have is NONE there (numbers) or empty (texts).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypercalls import HYPERCALLS, by_number
from hypercalls.structs import DeviceAccess, ExitReason, TraceKind
from hypervisor.trace.format import KIND_NAMES

if TYPE_CHECKING:
    from hypervisor.trace.devices import Devices

NONE = -1
_PORT_EXITS = (ExitReason.PORT_IN, ExitReason.PORT_OUT, ExitReason.STRING_IN, ExitReason.STRING_OUT)
_MEMORY_EXITS = (ExitReason.MMIO_READ, ExitReason.MMIO_WRITE)
_PORT_ACCESSES = (DeviceAccess.PORT_IN, DeviceAccess.PORT_OUT)
_MEMORY_ACCESSES = (DeviceAccess.MMIO_READ, DeviceAccess.MMIO_WRITE)
_VECTOR_CALLS = tuple(row.number for row in HYPERCALLS if any(arg.name == "vector" for arg in row.args))
_PORT_CALLS = tuple(row.number for row in HYPERCALLS if row.group == "port")
_IMMEDIATE_PORTS = tuple(n for n in _PORT_CALLS if by_number[n].args[0].where == "immediate")
_WRITES = tuple(n for n in _PORT_CALLS if by_number[n].name.startswith("out") and by_number[n].name[3].isdigit())
_READS = tuple(n for n in _PORT_CALLS if by_number[n].name.startswith("in") and by_number[n].name[2].isdigit())
_WIDTH = np.zeros(256, np.int64)
for _number in (*_WRITES, *_READS):
    _WIDTH[_number] = (1 << int(by_number[_number].name.removesuffix("_imm").lstrip("inout"))) - 1
_CONTROL = tuple(row.number for row in HYPERCALLS if row.group == "control" and row.args)

Numbers = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Columns:
    """Fields of `records`, an array of the trace's records, in the units that expressions use.

    `tsc_hz` and `start_tsc` are the trace's; `symbol` names the function of a caller by ring and EIP.
    """

    def __init__(self, records: NDArray[Any], tsc_hz: int, start_tsc: int, symbol: Callable[[int, int], str],
                 devices: Devices) -> None:  # fmt: skip
        self.records = records
        self._tsc_hz, self._start_tsc = tsc_hz, start_tsc
        self._symbol, self._devices = symbol, devices

    def __len__(self) -> int:
        return len(self.records)

    def _plain(self, field: str) -> Numbers:
        return self.records[field].astype(np.int64)

    def _is(self, kind: TraceKind, numbers: tuple[int, ...] = ()) -> Mask:
        found: Mask = self.kinds == kind
        return found & np.isin(self.numbers, numbers) if numbers else found

    def _where(self, *choices: tuple[Mask, Numbers]) -> Numbers:
        found = np.full(len(self), NONE, np.int64)
        for mask, values in choices:
            found = np.where(mask, values, found)
        return found

    @cached_property
    def kinds(self) -> Numbers:
        """TraceKind."""
        return self._plain("kind")

    @cached_property
    def numbers(self) -> Numbers:
        """The record's `number`."""
        return self._plain("number")

    @cached_property
    def eip(self) -> Numbers:
        """Address of the caller."""
        return self._plain("eip")

    @cached_property
    def ring(self) -> Numbers:
        """Its privilege level."""
        return self._plain("cpl")

    @cached_property
    def nesting(self) -> Numbers:
        """In how many other operations it happened."""
        return self._plain("flags") >> 4

    def argument(self, index: int) -> Numbers:
        """One of `args`."""
        return self.records["args"][:, index].astype(np.int64)

    def operand(self, index: int) -> Numbers:
        """One of `operand`."""
        return self.records["operand"][:, index].astype(np.int64)

    @cached_property
    def port(self) -> Numbers:
        """I/O port of hypercalls, exits and device accesses."""
        port = self.argument(0) & 0xFFFF
        return self._where(
            (self._is(TraceKind.HYPERCALL, _PORT_CALLS), self.argument(3) & 0xFFFF),
            (self._is(TraceKind.HYPERCALL, _IMMEDIATE_PORTS), self.operand(0) & 0xFF),
            (self._is(TraceKind.EXIT, _PORT_EXITS) | self._is(TraceKind.DEVICE, _PORT_ACCESSES), port),
        )

    @cached_property
    def address(self) -> Numbers:
        """Guest-physical address of a device's memory, guest-linear one of a page fault or virtual TLB fill."""
        return self._where(
            (self._is(TraceKind.DEVICE, _MEMORY_ACCESSES) | self._is(TraceKind.TLB_FILL), self.argument(0)),
            (self._is(TraceKind.EXIT, _MEMORY_EXITS) | self._is(TraceKind.EXCEPTION, (14,)), self.argument(1)),
        )

    @cached_property
    def value(self) -> Numbers:
        """What was read from or written to a port, a device's memory or a control register."""
        width = _WIDTH[self.numbers & 0xFF]
        eax, result = self.argument(0), self._plain("result")
        return self._where(
            (self._is(TraceKind.HYPERCALL, _WRITES), eax & width),
            (self._is(TraceKind.HYPERCALL, _READS), result & width),
            (self._is(TraceKind.HYPERCALL, _CONTROL), self.operand(0)),
            (self._is(TraceKind.EXIT, (ExitReason.PORT_OUT, ExitReason.MMIO_WRITE)), self.argument(4)),
            (self._is(TraceKind.EXIT, (ExitReason.PORT_IN, ExitReason.MMIO_READ)), result),
            (self._is(TraceKind.DEVICE, (DeviceAccess.PORT_OUT, DeviceAccess.MMIO_WRITE)), self.argument(1)),
            (self._is(TraceKind.DEVICE, (DeviceAccess.PORT_IN, DeviceAccess.MMIO_READ)), result),
            (self._is(TraceKind.MARK), result),
        )

    @cached_property
    def vector(self) -> Numbers:
        """Vector of an interrupt, an exception, or the `int` hypercall."""
        return self._where(
            (self._is(TraceKind.INTERRUPT) | self._is(TraceKind.EXCEPTION), self.numbers),
            (self._is(TraceKind.HYPERCALL, _VECTOR_CALLS), self.operand(0) & 0xFF),
        )

    @cached_property
    def result(self) -> Numbers:
        """EAX at the end of a hypercall, the answer to an exit; signed."""
        return self.records["result"].astype(np.int32).astype(np.int64)

    @cached_property
    def latency(self) -> NDArray[np.float64]:
        """Nanoseconds until the guest went on; 0 for events."""
        return np.asarray(self.records["latency"] * (1e9 / self._tsc_hz), np.float64)

    @cached_property
    def time(self) -> NDArray[np.float64]:
        """Seconds since the recording began."""
        cycles = self.records["tsc"].astype(np.int64) - np.int64(self._start_tsc)
        return np.asarray(cycles / self._tsc_hz, np.float64)

    def number_field(self, name: str) -> NDArray[Any]:
        """The column of a numeric field in NUMBER_FIELDS."""
        return NUMBER_FIELDS[name](self)

    def text_matches(self, field: str, fits: Callable[[str], bool]) -> Mask:
        """Where the text of `field` is one that fits."""
        keys, texts = _TEXT_FIELDS[field](self)
        unique, at = np.unique(keys, return_inverse=True)
        answers = np.array([fits(texts(int(key))) for key in unique.tolist()], dtype=bool)
        return answers[at.ravel()] if len(unique) else np.zeros(len(self), bool)

    def texts(self, field: str) -> list[str]:
        """The texts of `field`."""
        keys, text = _TEXT_FIELDS[field](self)
        unique, at = np.unique(keys, return_inverse=True)
        known = np.array([text(int(key)) for key in unique.tolist()], dtype=object)
        return known[at.ravel()].tolist() if len(unique) else []

    # --- texts: a key for each record, and the text for a key -----------------------------------------

    def _caller_keys(self) -> tuple[Numbers, Callable[[int], str]]:
        return self.ring << 32 | self.eip, lambda key: self._symbol(key >> 32, key & 0xFFFF_FFFF)

    def _kind_keys(self) -> tuple[Numbers, Callable[[int], str]]:
        return self.kinds, lambda kind: KIND_NAMES.get(kind, "")

    def _call_keys(self) -> tuple[Numbers, Callable[[int], str]]:
        keys = np.where(self._is(TraceKind.HYPERCALL), self.numbers, NONE)
        return keys, lambda number: by_number[number].name if number in by_number else ""

    def _group_keys(self) -> tuple[Numbers, Callable[[int], str]]:
        keys, _ = self._call_keys()
        return keys, lambda number: by_number[number].group if number in by_number else ""

    def _device_keys(self) -> tuple[Numbers, Callable[[int], str]]:
        memory = self._is(TraceKind.DEVICE) | self._is(TraceKind.EXIT)
        keys = np.where(self.port != NONE, self.port, np.where(memory & (self.address != NONE),
                        self.address | 1 << 32, NONE))  # fmt: skip
        return keys, self._devices.by_key


def _registers() -> dict[str, Callable[[Columns], NDArray[Any]]]:
    def at_entry(index: int) -> Callable[[Columns], NDArray[Any]]:
        return lambda columns: np.where(columns._is(TraceKind.HYPERCALL), columns.argument(index), NONE)

    return {name: at_entry(index) for index, name in enumerate(("eax", "ebx", "ecx", "edx", "esi"))}


NUMBER_FIELDS: Mapping[str, Callable[[Columns], NDArray[Any]]] = {
    "latency": lambda columns: columns.latency,
    "time": lambda columns: columns.time,
    "port": lambda columns: columns.port,
    "address": lambda columns: columns.address,
    "value": lambda columns: columns.value,
    "vector": lambda columns: columns.vector,
    "result": lambda columns: columns.result,
    "ring": lambda columns: columns.ring,
    "nesting": lambda columns: columns.nesting,
    "eip": lambda columns: columns.eip,
    "esp": lambda columns: columns._plain("esp"),
    "cr3": lambda columns: columns._plain("cr3"),
    "number": lambda columns: columns.numbers,
    **_registers(),
}
_TEXT_FIELDS: Mapping[str, Callable[[Columns], tuple[Numbers, Callable[[int], str]]]] = {
    "caller": Columns._caller_keys,
    "kind": Columns._kind_keys,
    "call": Columns._call_keys,
    "group": Columns._group_keys,
    "device": Columns._device_keys,
}
TEXT_FIELDS = tuple(_TEXT_FIELDS)
