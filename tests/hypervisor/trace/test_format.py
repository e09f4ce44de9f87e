"""The header, and files that have none that can be used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hypercalls import ABI_VERSION
from hypercalls.structs import TraceKind
from hypervisor.trace.format import KIND_NAMES, VERSION, TraceError, parse_kinds, unpack_header
from hypervisor.trace.reader import open_trace
from tests.hypervisor.trace.traces import HEADER


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 1000])
def test_header_round_trip(length: int) -> None:
    header = replace(HEADER, kernel="k" * length)
    packed = header.pack()
    assert unpack_header(packed + b"records", "trace") == (header, len(packed))
    assert len(packed) % 64 == 0


def test_a_path_of_any_bytes_survives() -> None:
    header = replace(HEADER, kernel="/home/j\udcfcrgen/kernel")
    assert unpack_header(header.pack(), "trace")[0].kernel == header.kernel


def patched(offset: int, value: int) -> bytes:
    data = bytearray(HEADER.pack())
    data[offset : offset + 4] = value.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: its recording ended before it began"),
        (b"R3T", "ends within its header"),
        (b"\x7fELF" + bytes(200), "is not a trace; record one with"),
        (HEADER.pack()[:40], "ends within its header"),
        (HEADER.pack()[:70], "ends within its header"),
        (patched(8, VERSION + 1), f"written by a newer ring3 (format {VERSION + 1}"),
        (patched(12, ABI_VERSION + 1), f"hypercall ABI {ABI_VERSION + 1}); upgrade"),
        (patched(8, 0), "damaged header"),
        (patched(16, 3), "damaged header"),
        (patched(20, 128), "damaged header"),
        (patched(24, 0)[:28] + bytes(4) + HEADER.pack()[32:], "damaged header"),
        (patched(56, 10_000), "damaged header"),
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "trace"
    path.write_bytes(content)
    with pytest.raises(TraceError) as refusal:
        open_trace(path)
    assert message in str(refusal.value)
    assert str(path) in str(refusal.value) and "\n" not in str(refusal.value)


def test_missing_and_odd_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot be read .No such file or directory"):
        open_trace(tmp_path / "none")
    with pytest.raises(TraceError, match=r"cannot be read .Is a directory"):
        open_trace(tmp_path)
    with pytest.raises(TraceError, match="is no regular file"):
        open_trace(Path("/dev/null"))


def test_kinds_by_name() -> None:
    assert parse_kinds("hypercall, EXIT") == {TraceKind.HYPERCALL, TraceKind.EXIT}
    assert parse_kinds(",".join(KIND_NAMES.values())) == set(TraceKind)


@pytest.mark.parametrize("text", ["", ",", "hypercalls", "exit,io"])
def test_wrong_kinds_are_refused_with_the_right_ones(text: str) -> None:
    with pytest.raises(TraceError, match="choose from hypercall, exit,"):
        parse_kinds(text)
