"""Memory sizes as users write them, and the map."""

from __future__ import annotations

from itertools import pairwise

import pytest

from hypervisor.errors import RingError
from hypervisor.memory_map import GIB, KIB, MAX_MEMORY, MIB, describe, memory_map, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("256M", 256 * MIB), ("64", 64 * MIB), ("8192k", 8 * MIB), ("1G", GIB), ("2GiB", 2 * GIB), ("16MB", 16 * MIB),
     ("3584M", MAX_MEMORY)],
)  # fmt: skip
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "is no memory size"), ("lots", "is no memory size"), ("-5M", "is no memory size"), ("1.5G", "no memory size"),
     ("0", "too small"), ("1M", "too small"), ("4G", "does not fit a 32-bit PC"), ("99999999G", "does not fit"),
     ("2049K", "multiple of 4K"), ("\u0663M", "is no memory size")],
)  # fmt: skip
def test_nonsense_is_refused(text: str, message: str) -> None:
    with pytest.raises(RingError, match=message):
        parse_size(text)


def test_the_map_is_sorted_and_disjoint() -> None:
    regions = memory_map(MAX_MEMORY)
    assert all(a.end <= b.base for a, b in pairwise(regions))


@pytest.mark.parametrize(("size", "text"), [(3 * GIB, "3 GiB"), (5 * MIB, "5 MiB"), (6 * KIB, "6 KiB"), (7, "7 bytes")])
def test_describe(size: int, text: str) -> None:
    assert describe(size) == text
