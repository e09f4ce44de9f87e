"""Whatever a guest does, the host and the VMM stay up and say what happened."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from hypervisor.cli import trace
from hypervisor.domain import Domain, DomainConfig
from hypervisor.errors import RingError
from hypervisor.memory_map import MIB
from hypervisor.outcome import Ending
from hypervisor.report import crash_report
from hypervisor.trace.recording import TraceConfig
from tests.hypervisor.hostile import stage
from tests.hypervisor.hostile.families import FAMILIES, TRACED
from tests.hypervisor.hostile.processes import limited, living, slide_of

GUESTS_PER_FAMILY = 60
TRACED_GUESTS = 12
SECONDS = 0.15  # a guest that has not ended itself by then is ended by its user


@pytest.mark.parametrize("slide", [False, True], ids=["plain", "slide"])
@pytest.mark.parametrize("family", FAMILIES)
def test_hostile_guests(family: str, slide: bool, tmp_path: Path, monitor: Path) -> None:
    for number in range(slide, GUESTS_PER_FAMILY, 2):
        memory = FAMILIES[family](Random(f"{family} {number}"), slide_of(slide))
        kernel = stage.write_elf(tmp_path / "hostile.elf", memory)
        ending, session = end_of(kernel, slide)
        assert isinstance(ending, Ending | str) and ending, f"{family} {number}"
        assert not living(session), f"processes of {family} {number} are left"


@pytest.mark.parametrize("family", TRACED)
def test_traces_of_hostile_guests(
    family: str, tmp_path: Path, monitor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A trace holds whatever its guest wrote into the ring: it is listed and summed up, or refused in words."""
    file = tmp_path / "trace"
    for number in range(TRACED_GUESTS):
        memory = TRACED[family](Random(f"{family} {number}"), slide_of(False))
        kernel = stage.write_elf(tmp_path / "hostile.elf", memory)
        ending, session = end_of(kernel, slide=False, trace=TraceConfig(file))
        assert ending and not living(session), f"{family} {number}"
        for command in (["list", "--limit", "200"], ["summary"]):
            try:
                assert trace.main([*command, str(file)]) == 0
            except RingError as refusal:
                assert str(file) in str(refusal)
        capsys.readouterr()


def end_of(kernel: Path, slide: bool, trace: TraceConfig | None = None) -> tuple[Ending | str, int]:
    """How a guest ended, in the VMM's words where it gave a refusal, and its session of processes."""
    with Domain(DomainConfig(kernel, memory=8 * MIB, slide=slide, trace=trace)) as domain:
        domain.build()
        try:
            result = limited(SECONDS, domain)
        except RingError as refusal:
            return str(refusal), domain.engine.pids[0]
        if result.died:
            assert result.cause in crash_report(domain, result)
        return result.ending, domain.engine.pids[0]
