"""Signals that end a run never break into anything but the serving of a guest."""

from __future__ import annotations

import pytest

from hypervisor import interrupts


class _Stop(Exception):
    pass


def test_what_comes_while_a_guest_is_served_is_raised_at_once() -> None:
    with pytest.raises(_Stop), interrupts.taken():
        interrupts.post(_Stop())
        raise AssertionError("went on")


def test_what_comes_otherwise_is_raised_when_one_is_served_next() -> None:
    interrupts.post(_Stop())
    with pytest.raises(_Stop), interrupts.taken():
        raise AssertionError("was served")
    with interrupts.taken():
        pass  # once only


def test_the_first_of_several_counts() -> None:
    interrupts.post(_Stop("first"))
    interrupts.post(_Stop("second"))
    with pytest.raises(_Stop, match="first"), interrupts.taken():
        pass
