"""Whatever a guest does, the host and the VMM stay up and say what happened."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from hypercalls import layout
from hypervisor.domain import Domain, DomainConfig
from hypervisor.errors import RingError
from hypervisor.memory_map import MIB
from hypervisor.outcome import Ending
from hypervisor.report import crash_report
from tests.hypervisor.hostile import stage
from tests.hypervisor.hostile.families import FAMILIES
from tests.hypervisor.hostile.processes import limited, living

GUESTS_PER_FAMILY = 60
SECONDS = 0.15  # a guest that has not ended itself by then is ended by its user


@pytest.mark.parametrize("slide", [False, True], ids=["plain", "slide"])
@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_guests(family: str, slide: bool, tmp_path: Path, monitor: Path) -> None:
    for number in range(slide, GUESTS_PER_FAMILY, 2):
        memory = FAMILIES[family](Random(f"{family} {number}"), layout.SLIDE if slide else 0)
        kernel = stage.write_elf(tmp_path / "hostile.elf", memory)
        ending, session = end_of(kernel, slide)
        assert isinstance(ending, Ending | str) and ending, f"{family} {number}"
        assert not living(session), f"processes of {family} {number} are left"


def end_of(kernel: Path, slide: bool) -> tuple[Ending | str, int]:
    """How a guest ended, in the VMM's words where it gave a refusal, and its session of processes."""
    with Domain(DomainConfig(kernel, memory=8 * MIB, slide=slide)) as domain:
        domain.build()
        try:
            result = limited(SECONDS, domain)
        except RingError as refusal:
            return str(refusal), domain.engine.pids[0]
        if result.died:
            assert result.cause in crash_report(domain, result)
        return result.ending, domain.engine.pids[0]
