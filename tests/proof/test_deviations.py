"""What is known to differ from the processor differs so, and in nothing else: a change of either is seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.proof.deviations import AGREEING, CASES, Case
from tests.proof.machine import ARENA, State
from tests.proof.machines import ENDED, Machines
from tests.proof.syntaxes import SYNTAXES
from tests.proof.table import BY_KEY

_HOST = set(re.findall(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[0].split())
CELLS = [pytest.param(name, syntax, id=f"{name}-{syntax}", marks=SYNTAXES[syntax].marks)
         for name in CASES for syntax in SYNTAXES]


def _different(case: Case, syntax: str, machines: Machines) -> dict[str, tuple[object, object]]:
    native, ported = (side(case.site, syntax, case.state) for side in (machines.on_bare_machine, machines.in_engine))
    return {key: (native.get(key), ported.get(key)) for key in {**native, **ported}
            if native.get(key) != ported.get(key) and key not in case.site.ignore}


@pytest.mark.parametrize(("name", "syntax"), CELLS)
def test_known_deviation(name: str, syntax: str, machines: Machines) -> None:
    case = CASES[name]
    assert _different(case, syntax, machines) == (case.differs if not case.host or case.host in _HOST else {})


@pytest.mark.parametrize("name", AGREEING)
def test_chosen_state(name: str, machines: Machines) -> None:
    """Where only some states tell whether ported code is as the processor: breakpoints, the FPU under CR0."""
    assert _different(AGREEING[name], "att", machines) == {}


def test_a_case_begins_without_an_error_of_the_one_before(machines: Machines) -> None:
    """An x87 error that fxrstor has left pending stops the next fwait while CR0.NE is clear, as on a PC."""
    pending = State(ebx=ARENA, memory=((ARENA, 0x0081_0000), (ARENA + 24, 0x1F80)))  # FCW: nothing masked; FSW: ES, IE
    wait = AGREEING["emulated-wait"]
    assert machines.in_engine(BY_KEY["fxrstor"], "att", pending)["vector"] == "end"
    assert machines.in_engine(wait.site, "att", wait.state) != ENDED
