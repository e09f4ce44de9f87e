"""Where ported code still differs from the processor: what differs, exactly, so that a change of either is seen.

docs/proof.md explains each.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest

from tests.proof.machine import ARENA, KERNEL_CODE, LAND, SELECTOR, USER_CODE, USER_DATA, State
from tests.proof.machines import Machines
from tests.proof.table import BY_KEY, DEVIANT


class Case(NamedTuple):
    """A site, a state, and the names of what differs with the value of each: on a bare machine, and ported."""

    site: str
    state: State
    differs: dict[str, tuple[object, object]]


_USER = State(cs=USER_CODE, ss=USER_DATA, ds=USER_DATA, es=USER_DATA, fs=USER_DATA, gs=USER_DATA)
_UNDEFINED = {"vector": (6, "end"), "eip": ("step 0", "step 1"), "eflags": (0x10002, 2)}
_PROTECTED = {**_UNDEFINED, "vector": (13, "end")}
CASES = {
    "stac": Case("stac", State(), _UNDEFINED),
    "clac": Case("clac", State(), _UNDEFINED),
    "wbinvd-user": Case("wbinvd", _USER, _PROTECTED),
    "invd-user": Case("invd", _USER, _PROTECTED),
    "call-gate": Case("ljmp-memory", State(ebx=ARENA, memory=((ARENA, LAND), (ARENA + 4, SELECTOR["call_gate"]))), {
        "vector": ("end", 13), "error": (0, SELECTOR["call_gate"]), "eip": (LAND, "step 0"),
        "eflags": (2, 0x10002), "cs": (KERNEL_CODE, KERNEL_CODE)}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_known_deviation(name: str, machines: Machines) -> None:
    case = CASES[name]
    site = DEVIANT.get(case.site) or BY_KEY[case.site]
    native = machines.on_bare_machine(site, "att", case.state)
    ported = machines.in_engine(site, "att", case.state)
    assert {key: (native.get(key), ported.get(key)) for key in {**native, **ported}
            if native.get(key) != ported.get(key)} == {
        key: pair for key, pair in case.differs.items() if pair[0] != pair[1]}
