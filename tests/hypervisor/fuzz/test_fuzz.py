"""Random accesses raise nothing and corrupt nothing: some thousands here, a million of each by ``make fuzz``."""

from __future__ import annotations

from pathlib import Path
from random import SystemRandom

import pytest

from tests.hypervisor.chips.chips import Chips
from tests.hypervisor.fuzz import card_side, chips_side, devices_side, machine_side

COUNT = 20_000
SEED = SystemRandom().getrandbits(32)


@pytest.mark.parametrize("device", chips_side.CHIPS)
def test_chips(chips: Chips, device: str) -> None:
    print(f"seed {SEED}")
    chips_side.run(device, COUNT, SEED, chips)


def test_devices_of_the_vmm(monitor: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    with devices_side.machine(tmp_path) as domain:
        names = list(devices_side.devices(domain))
    for device in names:
        devices_side.run(device, COUNT // 4, SEED, tmp_path)


def test_network_card() -> None:
    print(f"seed {SEED}")
    card_side.run(COUNT, SEED)


def test_vga(monitor: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    machine_side.vga(COUNT, SEED, tmp_path)


def test_a_whole_machine(monitor: Path, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    machine_side.run(COUNT, SEED, tmp_path)
