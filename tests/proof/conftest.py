"""``machines``: the bare machine and the engine. Without an emulator of a bare machine, the tests are skipped."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.proof import oracle
from tests.proof.machines import Machines


@pytest.fixture(scope="session")
def machines(tmp_path_factory: pytest.TempPathFactory, monitor: Path) -> Iterator[Machines]:
    if not oracle.available():
        pytest.skip("Bochs is not installed (Debian: apt-get install bochs bochs-term)")
    both = Machines(tmp_path_factory.mktemp("proof"))
    yield both
    both.close()
