"""The header, and files that have none that can be used."""

from __future__ import annotations

import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from hypercalls import ABI_VERSION
from hypervisor.trace.format import VERSION, TraceError, header_size, unpack_header
from hypervisor.trace.reader import open_trace
from tests.hypervisor.trace.traces import HEADER

PACKED = HEADER.pack()
FIXED = 56  # bytes of the header in front of its details


@pytest.mark.parametrize("length", [0, 1, 1000])
def test_header_round_trip(length: int) -> None:
    header = replace(HEADER, kernel="k" * length)
    packed = header.pack()
    assert header_size(packed) == len(packed)
    assert unpack_header(packed + b"records", "trace") == header


def test_a_path_of_any_bytes_survives() -> None:
    header = replace(HEADER, kernel="/home/j\udcfcrgen/kernel")
    assert unpack_header(header.pack(), "trace").kernel == header.kernel


def test_details_of_later_days_are_passed_over() -> None:
    text = PACKED[FIXED:].replace(b'"guest"', b'"new":1,"guest"', 1)
    fixed = bytearray(PACKED[:FIXED])
    fixed[16:20] = (FIXED + len(text)).to_bytes(4, "little")
    fixed[48:52] = zlib.crc32(text).to_bytes(4, "little")
    assert unpack_header(bytes(fixed) + text, "trace") == HEADER


def patched(offset: int, value: int) -> bytes:
    data = bytearray(PACKED)
    data[offset : offset + 4] = value.to_bytes(4, "little")
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty: its recording ended before it began"),
        (b"R3T", "ends within its header"),
        (b"\x7fELF" + bytes(200), "is not a trace; record one with"),
        (PACKED[:40], "ends within its header"),
        (PACKED[:-1], "ends within its header"),
        (patched(8, VERSION + 1), f"written by a newer ring3 (format {VERSION + 1}"),
        (patched(12, ABI_VERSION + 1), f"hypercall ABI {ABI_VERSION + 1}); upgrade"),
        (patched(8, 1), "written by an older ring3 (format 1), and this one reads 2; record again"),
        (patched(8, 0), "damaged header"),
        (patched(16, 3), "damaged header"),
        (patched(20, 128), "damaged header"),
        (patched(24, 0)[:28] + bytes(4) + PACKED[32:], "damaged header"),
        (patched(16, 0xFFFF_FFFF), "ends within its header"),
        (PACKED[:FIXED] + b"x" + PACKED[FIXED + 1 :], "damaged header"),
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
