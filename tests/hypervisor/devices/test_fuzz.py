"""Whatever a guest does with the ports of PCI and IDE, nothing is raised and only what may be written changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hypervisor.devices.fuzz import Fuzzer

ACCESSES = 5000


@pytest.mark.parametrize("seed", range(4))
def test_random_accesses(tmp_path: Path, seed: int) -> None:
    fuzzer = Fuzzer(tmp_path, seed)
    for _ in range(ACCESSES):
        fuzzer.access()
    fuzzer.check()
    assert fuzzer.written, "else the accesses were too bad to try anything"
