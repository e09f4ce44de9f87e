"""The chips, compiled once."""

from __future__ import annotations

import pytest

from tests.hypervisor.chips.chips import Chips


@pytest.fixture(scope="session")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Chips:
    """The monitor's chips as a program."""
    return Chips(tmp_path_factory.mktemp("chips"))
