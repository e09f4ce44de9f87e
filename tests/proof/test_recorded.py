"""Ported code does what a bare machine did when it was recorded: for hosts without one, and quick on all."""

from __future__ import annotations

import pytest

from tests.proof import recorded
from tests.proof.compare import differences
from tests.proof.machines import Machines
from tests.proof.sites import Site
from tests.proof.table import SITES
from tests.proof.test_sites import CELLS

RECORDING = recorded.read()


@pytest.mark.parametrize(("site", "syntax"), CELLS)
def test_ported_as_recorded(site: Site, syntax: str, engine: Machines) -> None:
    for state, native in RECORDING[site.key]:
        different = differences(native, engine.in_engine(site, syntax, state), site.ignore)
        assert not different, "\n".join([f"{site.key}: {' | '.join(site.steps)}", repr(state), *different])


def test_every_site_is_recorded() -> None:
    """If not: python -m tests.proof.recorded."""
    assert set(RECORDING) == {site.key for site in SITES}
