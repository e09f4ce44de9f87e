"""Many records decoded at once: texts, JSON and columns, a hundred times faster than one by one.

Records of one shape (shapes.py) differ in numbers only: these are put into the shape's text, for all of its records
together. What is costly to write, such as the name of a port, is written once for each value.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hypercalls.structs import TraceKind
from hypervisor.trace.chunks import Records, taken
from hypervisor.trace.format import KIND_NAMES
from hypervisor.trace.shapes import SIZED, Shape, Slot, Style, payload_name, shape

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace

UNFINISHED, LATENCY_MAX = 0, 0xFFFF_FFFF
_PAYLOAD = 28  # bytes: `args` and `operand`


class Group:
    """The records of an array that have one shape and, if that has a payload, the same."""

    def __init__(self, shape_: Shape, name: str, where: NDArray[np.intp], records: Records) -> None:
        self.shape, self.name, self.where, self._records = shape_, name, where, records

    def of(self, field: str) -> NDArray[Any]:
        """A field of the records."""
        found: NDArray[Any] = self._records[field][self.where]
        return found

    def values(self, slot: Slot) -> list[int]:
        """The slot's value in each of the records."""
        field, index = slot.source.value
        column = self._records[field] if index is None else self._records[field][:, index]
        chosen = column[self.where]
        if slot.style is Style.SIGNED:
            return chosen.astype(np.int32).tolist()  # type: ignore[no-any-return]
        return (chosen & np.uint32(slot.mask) if slot.size < 4 else chosen).tolist()  # type: ignore[no-any-return]


def groups(records: Records) -> Iterator[Group]:
    """The records of an array by shape."""
    kinds = records["kind"].astype(np.uint32)
    keys = kinds << 24 | records["number"].astype(np.uint32) << 16 | (records["flags"] & 0xF).astype(np.uint32) << 8
    sized = np.isin(kinds, SIZED)
    keys |= np.where(sized, records["args"][:, 2] & 0xFF, 0).astype(np.uint32)
    unique, at = np.unique(keys, return_inverse=True)
    order = np.argsort(at, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(at))[:-1]) if len(unique) else []
    for key, where in zip(unique.tolist(), parts, strict=True):
        found = shape(key >> 24, key >> 16 & 0xFF, key >> 8 & 0xFF, key & 0xFF)
        if not found.payload:
            yield Group(found, found.name, where, records)
            continue
        for payload, some in _by_payload(records, where, found.payload):
            yield Group(found, payload_name(key >> 24, payload), some, records)


def _by_payload(records: Records, where: NDArray[np.intp], size: int) -> Iterator[tuple[bytes, NDArray[np.intp]]]:
    some = taken(records, where)
    whole = np.concatenate((some["args"], some["operand"]), axis=1).view(np.uint8).reshape(len(where), _PAYLOAD)
    texts, at = np.unique(np.ascontiguousarray(whole[:, :size]).view(f"V{size}").ravel(), return_inverse=True)
    for index, text in enumerate(texts):
        yield text.tobytes(), where[at.ravel() == index]


class Memo(dict[int, str]):
    """Texts of values, each made once."""

    def __init__(self, make: Callable[[int], str]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, value: int) -> str:
        if len(self) > 1 << 16:
            self.clear()  # addresses and the like do not come again: memory stays bounded
        text = self[value] = self._make(value)
        return text


class Decoder:
    """Texts of records, for one trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._devices = trace.devices
        self._memos: dict[Slot, Memo] = {}
        self._places = Memo(lambda key: trace.callers.describe(key >> 32, key & 0xFFFF_FFFF))

    def texts(self, records: Records) -> list[str]:
        """What each record says: `out8(port=0x03f8 [UART], value=0x41)`."""
        found: list[Any] = [""] * len(records)
        for group in groups(records):
            self._fill(found, group, self._texts(group))
        return found

    @staticmethod
    def _fill(found: list[Any], group: Group, texts: list[str]) -> None:
        for index, text in zip(group.where.tolist(), texts, strict=True):
            found[index] = text

    def _texts(self, group: Group) -> list[str]:
        slots = [*group.shape.slots, *([group.shape.result] if group.shape.result else [])]
        name = group.name.replace("%", "%%")
        given = ", ".join(f"{slot.name}={self._percent(slot)}" for slot in group.shape.slots)
        came = f" = {self._percent(group.shape.result)}" if group.shape.result else ""
        template = name + (f"({given})" if given else "") + came
        if not slots:
            return [template.replace("%%", "%")] * len(group.where)
        return list(map(template.__mod__, zip(*(self._column(group, slot) for slot in slots), strict=True)))

    def _percent(self, slot: Slot) -> str:
        if slot.style is Style.DECIMAL:
            return "%d"
        return f"%#0{2 + slot.size * 2}x" if self._is_plain(slot) else "%s"

    @staticmethod
    def _is_plain(slot: Slot) -> bool:
        return slot.style is Style.HEX and not slot.words and not slot.device

    def _column(self, group: Group, slot: Slot) -> list[Any]:
        values: list[Any] = group.values(slot)
        if slot.style is Style.DECIMAL or self._is_plain(slot):
            return values
        memo = self._memos.get(slot)
        if memo is None:
            memo = self._memos[slot] = Memo(lambda value: slot.text(value, self._devices))
        return list(map(memo.__getitem__, values))

    def summaries(self, records: Records) -> list[str]:
        """Name and function of each record: few differ."""
        functions = self.functions(records)
        found: list[Any] = [""] * len(records)
        for group in groups(records):
            for index in group.where.tolist():
                found[index] = f"{group.name}, {functions[index]}"
        return found

    def calls(self, records: Records) -> Iterator[tuple[str, NDArray[np.intp]]]:
        """Names of the hypercalls and, for each, where its records are."""
        for group in groups(records):
            if group.shape.kind == KIND_NAMES[TraceKind.HYPERCALL]:
                yield group.name, group.where

    # --- where and when ---------------------------------------------------------------------------------

    def callers(self, records: Records) -> list[str]:
        """The place of each record."""
        keys = (records["cpl"].astype(np.uint64) << np.uint64(32) | records["eip"]).tolist()
        return list(map(self._places.__getitem__, keys))

    def functions(self, records: Records) -> list[str]:
        """The function that each record's caller is in."""
        symbol = self._trace.callers.symbol
        memo = Memo(lambda key: symbol(key >> 32, key & 0xFFFF_FFFF))
        keys = (records["cpl"].astype(np.uint64) << np.uint64(32) | records["eip"]).tolist()
        return list(map(memo.__getitem__, keys))

    def nanoseconds(self, records: Records) -> NDArray[np.int64]:
        """Time since the recording began."""
        cycles = records["tsc"].astype(np.int64) - np.int64(self._trace.header.start_tsc)
        found: NDArray[np.int64] = np.rint(cycles * (1e9 / self._trace.header.tsc_hz)).astype(np.int64)
        return found

    def json_members(self, records: Records) -> list[str]:
        """Kind, name, arguments and result of each record as members of a JSON object."""
        made: list[Any] = [""] * len(records)
        for group in groups(records):
            self._fill(made, group, self._json(group))
        return made

    def _json(self, group: Group) -> list[str]:
        slots = group.shape.slots
        given = ", ".join(f"{json.dumps(slot.name)}: %d" for slot in slots)
        head = f'"kind": {json.dumps(group.shape.kind)}, "name": {json.dumps(group.name)}'.replace("%", "%%")
        template = f'{head}, "args": {{{given}}}, "result": %s'
        ended = (group.of("sequence") != UNFINISHED).tolist()
        results = (["null"] * len(ended) if not group.shape.result else
                   [str(value) if known else "null"
                    for value, known in zip(group.values(group.shape.result), ended, strict=True)])  # fmt: skip
        return list(map(template.__mod__, zip(*(group.values(slot) for slot in slots), results, strict=True)))


def frame_columns(trace: Trace, records: Records) -> dict[str, Any]:
    """Columns for a data frame: what `ring3 trace list` shows, numbers as numbers."""
    decoder, columns = Decoder(trace), trace.columns(records)
    return {
        "time": columns.time,
        "latency_ns": columns.latency,
        "kind": [KIND_NAMES[kind] for kind in records["kind"].tolist()],
        "what": decoder.texts(records),
        "ring": columns.ring,
        "nesting": columns.nesting,
        "eip": columns.eip,
        "caller": decoder.callers(records),
        "cr3": records["cr3"],
        "port": columns.port,
        "address": columns.address,
        "value": columns.value,
        "result": columns.result,
    }
