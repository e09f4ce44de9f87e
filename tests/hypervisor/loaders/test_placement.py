"""Placement: claims never overlap, searches find what is free."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.errors import RingError
from hypervisor.loaders.placement import BIOS_DATA_END, Placement
from hypervisor.memory_map import EBDA, HIGH, MIB


def test_low_search_goes_down_from_the_ebda() -> None:
    placement = Placement(4 * MIB)
    assert placement.find("a", 0x100, low=True) == EBDA - 0x100
    assert placement.find("b", 0x100, low=True) == EBDA - 0x200


def test_low_search_evades_segments_and_then_goes_high() -> None:
    placement = Placement(4 * MIB)
    placement.claim("kernel", 0x1000, EBDA - 0x1000)
    assert placement.find("small", 0x100, low=True) == 0x1000 - 0x100
    assert placement.find("large", 0x1000, low=True) == HIGH


def test_high_search_follows_the_kernel() -> None:
    placement = Placement(4 * MIB)
    placement.claim("kernel", HIGH, 0x1234)
    assert placement.find("module", 10, align=4096, low=False) == HIGH + 0x2000


@pytest.mark.parametrize(
    ("highest", "first", "last", "at"),
    [(False, 0, 4 * MIB, 0x1000), (True, 0, 4 * MIB, 3 * MIB), (True, 0, 3 * MIB + 0xFFF, 2 * MIB),
     (False, 0x1001, 4 * MIB, 0x2000), (True, HIGH, 8 * MIB, 3 * MIB), (False, HIGH, 4 * MIB, 2 * MIB)],
)  # fmt: skip
def test_a_place_within_limits(highest: bool, first: int, last: int, at: int) -> None:
    placement = Placement(4 * MIB)
    placement.claim("kernel", HIGH, MIB)
    assert placement.is_free(at, 0x1000)
    align = 0x1000 if at < HIGH else MIB
    found = placement.find_between("a", 0x1000, first=first, last=last, align=align, highest=highest)
    assert found == at and not placement.is_free(at + 0xFFF, 1)


def test_no_place_within_limits_is_refused() -> None:
    placement = Placement(4 * MIB)
    with pytest.raises(RingError, match=r"no room for a \(4 KiB\) between 0xa0000 and 0xc0000"):
        placement.find_between("a", 0x1000, first=0xA0000, last=0xC0000, align=1, highest=False)


claims = st.lists(st.tuples(st.integers(0, 4 * MIB), st.integers(1, MIB)), max_size=12)
searches = st.lists(
    st.tuples(st.integers(1, MIB), st.sampled_from((16, 4096)), st.booleans()), min_size=1, max_size=12
)


@given(claims, searches)
def test_nothing_overlaps(wanted: list[tuple[int, int]], searched: list[tuple[int, int, bool]]) -> None:
    placement = Placement(4 * MIB)
    taken = [(0, BIOS_DATA_END), (EBDA, HIGH)]
    for start, length in wanted:
        try:
            placement.claim("x", start, length)
        except RingError:
            continue
        taken.append((start, start + length))
    for length, align, low in searched:
        try:
            at = placement.find("y", length, align=align, low=low)
        except RingError:
            continue
        assert at % align == 0
        taken.append((at, at + length))
    taken.sort()
    assert all(a[1] <= b[0] for a, b in pairwise(taken))
    assert taken[-1][1] <= 4 * MIB


def test_full_memory_is_refused() -> None:
    placement = Placement(2 * MIB)
    with pytest.raises(RingError, match="no room for thing"):
        placement.find("thing", 2 * MIB, low=False)
