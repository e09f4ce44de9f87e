"""Ported code does what the processor does: each site, from random machine states, on a bare machine and in the engine.

The states are the same each time, so that a red run means the change. RING3_PROOF_EXAMPLES=N tries N new ones in each
site instead.
"""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, given, settings

from tests.proof.machine import State
from tests.proof.machines import Machines
from tests.proof.sites import Site
from tests.proof.states import states
from tests.proof.syntaxes import SYNTAXES
from tests.proof.table import SITES

NEW = os.environ.get("RING3_PROOF_EXAMPLES")
EXAMPLES = int(NEW or 8)
CELLS = [pytest.param(site, syntax, id=f"{site.key}-{syntax}", marks=SYNTAXES[syntax].marks)
         for site in SITES for syntax in SYNTAXES if syntax in site.texts]


@pytest.mark.parametrize(("site", "syntax"), CELLS)
def test_ported_as_on_a_bare_machine(site: Site, syntax: str, machines: Machines) -> None:
    @settings(max_examples=EXAMPLES, database=None, deadline=None, derandomize=not NEW,
              suppress_health_check=list(HealthCheck))
    @given(state=states(site))
    def same(state: State) -> None:
        different = machines.compare(site, syntax, state)
        assert not different, "\n".join([f"{site.key}: {' | '.join(site.steps)}", repr(state), *different])

    same()
