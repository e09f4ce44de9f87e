"""What is known to differ from the processor differs so, and in nothing else: a change of either is seen."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.proof.deviations import CASES
from tests.proof.machines import Machines
from tests.proof.syntaxes import SYNTAXES

_HOST = set(re.findall(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)[0].split())
CELLS = [pytest.param(name, syntax, id=f"{name}-{syntax}", marks=SYNTAXES[syntax].marks)
         for name in CASES for syntax in SYNTAXES]


@pytest.mark.parametrize(("name", "syntax"), CELLS)
def test_known_deviation(name: str, syntax: str, machines: Machines) -> None:
    site, state, differs, host = CASES[name]
    native, ported = (side(site, syntax, state) for side in (machines.on_bare_machine, machines.in_engine))
    different = {key: (native.get(key), ported.get(key)) for key in {**native, **ported}
                 if native.get(key) != ported.get(key) and key not in site.ignore}
    assert different == (differs if not host or host in _HOST else {})
