"""``engine`` runs ported sites, ``machines`` unported ones, too, where there is an emulator of a bare machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proof import oracle
from tests.proof.machines import Machines


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory, monitor: Path) -> Iterator[Machines]:
    both = Machines(tmp_path_factory.mktemp("proof"))
    yield both
    both.close()


@pytest.fixture(scope="session")
def machines(engine: Machines) -> Machines:
    if not oracle.available():
        pytest.skip("Bochs is not installed (Debian: apt-get install bochs bochs-term); see test_recorded")
    engine.start()
    return engine
