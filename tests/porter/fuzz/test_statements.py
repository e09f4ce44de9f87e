"""Random statements: what assembles is ported or reported, and nothing else changes.

100,000 statements in all, a fifth in Intel syntax. ``make fuzz`` runs as many again with another seed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.porter.fuzz.att import ATT
from tests.porter.fuzz.generator import Language, Unit
from tests.porter.fuzz.intel import INTEL
from tests.porter.fuzz.judge import Batch, compare
from tests.porter.fuzz.run import run
from tests.porter.fuzz.stubs import MARK

_COUNT = 20_000


@pytest.mark.parametrize(("language", "seed"), [*((ATT, seed) for seed in range(4)), (INTEL, 4)],
                         ids=["att-0", "att-1", "att-2", "att-3", "intel-4"])
def test_whatever_assembles_is_ported_or_reported(language: Language, seed: int) -> None:
    judged, failures = run(_COUNT, seed, language)
    assert judged >= _COUNT
    assert not failures, "\n".join(map(str, failures[:10]))


CLI, HLT, NOP = b"\xfa", b"\xf4", b"\x90"


@pytest.mark.parametrize(("before", "after", "why"), [
    (CLI, CLI, "neither ported nor reported"),
    (CLI, MARK + HLT, "other instructions"),
    (CLI, b"\x66" + MARK + CLI, "other instructions"),
    (NOP + CLI, MARK + CLI, "other instructions"),
    (NOP, MARK + NOP, "ported, but not sensitive"),
    (b"\x66\x9c", MARK + b"\x9c", "other instructions"),
    (b"\x0f\x01\x50\x04", MARK + b"\x0f\x01\x50\x08", "other instructions"),
    (CLI, MARK + CLI, ""),
])
def test_the_judge_sees(before: bytes, after: bytes, why: str) -> None:
    found = compare(before, after, [], expands=False)
    assert found.startswith(why) if why else not found


def test_units_that_do_not_assemble_are_dropped(tmp_path: Path) -> None:
    units = [Unit("cli\n", statements=1), Unit("cli %eax\n", statements=1), Unit("hlt # x\n", statements=1)]
    batch = Batch(units, tmp_path, ATT)
    assert batch.units == [units[0], units[2]]
    assert batch.statements == 2
    assert not batch.failures
