"""AML, read back by a parser of its own."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.firmware import aml


class Reader:
    """Parses AML terms (ACPI 6.5, 20.2) into nested tuples."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, count: int) -> bytes:
        self.at += count
        assert self.at <= len(self.data)
        return self.data[self.at - count : self.at]

    def end_of_package(self) -> int:
        start = self.at
        lead = self.take(1)[0]
        more = lead >> 6
        if not more:
            return start + (lead & 63)
        assert not lead & 0x30
        return start + (int.from_bytes(self.take(more), "little") << 4 | lead & 15)

    def path(self) -> str:
        text = self.take(4).decode()
        return text + self.take(1).decode() if text[0] == "\\" else text

    def value(self) -> Any:
        code = self.take(1)[0]
        if code in (0, 1):
            return code
        if code in (0x0A, 0x0B, 0x0C):
            return int.from_bytes(self.take(1 << code - 0x0A), "little")
        end = self.end_of_package()
        if code == 0x12:
            count = self.take(1)[0]
            elements = tuple(self.value() for _ in range(count))
            assert self.at == end
            return elements
        assert code == 0x11
        size = self.value()
        data = self.take(end - self.at)
        assert len(data) == size
        return data

    def terms(self, end: int) -> tuple[Any, ...]:
        found = []
        while self.at < end:
            code = self.take(1)[0]
            if code == 0x08:
                found.append((self.path(), self.value()))
            else:
                assert code == 0x10 or (code == 0x5B and self.take(1) == b"\x82")
                inner = self.end_of_package()
                found.append((self.path(), self.terms(inner)))
        assert self.at == end
        return tuple(found)


integers = st.integers(0, 0xFFFF_FFFF)
values = st.recursive(integers | st.binary(max_size=5000), lambda inner: st.lists(inner, max_size=6).map(tuple))


def encode(value: Any) -> bytes:
    if isinstance(value, int):
        return aml.integer(value)
    return aml.buffer(value) if isinstance(value, bytes) else aml.package(*map(encode, value))


@given(values)
def test_values(value: Any) -> None:
    reader = Reader(encode(value))
    assert reader.value() == value and reader.at == len(reader.data)


@given(st.lists(st.tuples(st.sampled_from(["_HID", "_CRS", "X"]), values), max_size=5), st.integers(0, 80))
def test_scopes_and_devices(names: list[tuple[str, Any]], padding: int) -> None:
    pad = aml.name("_PAD", aml.buffer(bytes(padding)))
    code = aml.scope("\\_SB", aml.device("DEV", pad, *(aml.name(path, encode(value)) for path, value in names)))
    inner = (("_PAD", bytes(padding)), *((path.ljust(4, "_"), value) for path, value in names))
    assert Reader(code).terms(len(code)) == (("\\_SB_", (("DEV_", inner),)),)


@pytest.mark.parametrize(("text", "number"), [("PNP0A03", 0x030AD041), ("ACP0003", 0x03007004)])
def test_eisa_identifiers(text: str, number: int) -> None:
    """As iasl compiles EISAID."""
    assert aml.eisa_id(text) == b"\x0c" + number.to_bytes(4, "little")


def test_resources() -> None:
    """As iasl compiles IO (Decode16, 0x70, 0x70, 1, 2) and IRQNoFlags () {8}."""
    code = aml.resources(aml.io(0x70, 2), aml.irq(8))
    assert code == bytes.fromhex("11 10 0a 0d 4701 7000 7000 01 02 22 0001 7900")


def test_windows() -> None:
    """As iasl compiles WordBusNumber, WordIO and DWordMemory of a host bridge."""
    code = aml.resources(aml.bus_window(0, 0), aml.port_window(0xD00, 0xFFFF), aml.memory_window(0xA0000, 0xBFFFF))
    assert code == bytes.fromhex(
        "11 3f 0a 3c 88 0d00 02 0c 00 0000 0000 0000 0000 0100 88 0d00 01 0c 03 0000 000d ffff 0000 00f3"
        "87 1700 00 0c 01 00000000 00000a00 ffff0b00 00000000 00000200 7900"
    )
