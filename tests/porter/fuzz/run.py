"""A run over many statements: what ``make fuzz`` and the tests start.

    python -m tests.porter.fuzz.run [COUNT [SEED]]

COUNT is of statements that assemble (100,000 if not given), a fifth of them in Intel syntax. Prints each failure; exit
status 1 if there is one.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.porter.fuzz.att import ATT
from tests.porter.fuzz.generator import Generator, Language
from tests.porter.fuzz.intel import INTEL
from tests.porter.fuzz.judge import Batch, Failure

_BATCH = 20_000  # statements generated for one run of the assembler


def run(count: int, seed: int, language: Language) -> tuple[int, list[Failure]]:
    """Judge at least `count` statements that assemble. Returns how many there were, and what is wrong."""
    judged, failures = 0, []
    with tempfile.TemporaryDirectory() as folder:
        generator = Generator(seed, language)
        while judged < count:
            batch = Batch(generator.units(min(_BATCH, 2 * count)), Path(folder), language)
            judged += batch.statements
            failures += batch.failures
    return judged, failures


def main() -> int:
    """The command."""
    count, seed = map(int, (*sys.argv[1:], *("100000", "1")[len(sys.argv) - 1:]))
    failed = 0
    for language, name, part in ((ATT, "AT&T", count - count // 5), (INTEL, "Intel", count // 5)):
        judged, failures = run(part, seed, language)
        for failure in failures[:100]:
            print(failure)
        print(f"{judged} statements in {name} syntax, seed {seed}: {len(failures)} failures")
        failed += len(failures)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
