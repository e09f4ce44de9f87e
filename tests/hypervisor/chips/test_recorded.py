"""The monitor's chips answer as the chips of an emulated PC, to random accesses at the same times."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tests.hypervisor.chips import player, record
from tests.hypervisor.chips.chips import Chips
from tests.hypervisor.chips.player import Answer
from tests.hypervisor.chips.scripts import DEVICES

RECORDED = {(device, seed): (digest, answers) for device, seed, digest, answers in record.read()}


@pytest.mark.parametrize(("device", "seed"), [(device, seed) for device in DEVICES for seed in record.SEEDS])
def test_chips_answer_as_recorded(chips: Chips, device: str, seed: int) -> None:
    script = DEVICES[device](Random(seed))
    digest, answers = RECORDED[device, seed]
    assert digest == record.digest(script), "the scripts have changed; record anew with 'make transcripts'"
    got = player.in_chips(script, answers, chips)
    assert not player.differences(script, [answer.value for answer in answers], got)


@pytest.mark.skipif(not player.have_pc(), reason="qemu-system-i386 is not installed; what it answered is recorded")
@pytest.mark.parametrize("device", DEVICES)
def test_the_recording_is_what_a_pc_answers(tmp_path: Path, device: str) -> None:
    answers = player.on_pc(DEVICES[device](Random(0)), tmp_path)
    assert [answer.value for answer in answers] == [answer.value for answer in RECORDED[device, 0][1]]


@pytest.mark.parametrize("device", ["8259A", "I/O APIC", "16550A"])  # what does not depend on time to the microsecond
def test_whole_machine_answers_as_recorded(monitor: Path, tmp_path: Path, device: str) -> None:
    """Through ports and device memory of a guest, ported, and its interrupts."""
    script = DEVICES[device](Random(1))
    recorded: list[Answer] = RECORDED[device, 1][1]
    got = [answer.value for answer in player.in_ring3(script, tmp_path)]
    assert not player.differences(script, [answer.value for answer in recorded], got)
