"""docs/proof.md links every row and syntax to a test that exists."""

from __future__ import annotations

import subprocess
import sys

from tests.proof import reference
from tests.proof.rows import LINES
from tests.proof.syntaxes import SYNTAXES
from tests.proof.table import DEVIANT, SITES


def test_the_page_is_in_step() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run python -m tests.proof.reference"


def test_no_cell_is_empty() -> None:
    assert [(line.key, syntax) for line in LINES for syntax in SYNTAXES if not reference.cell(line, syntax)] == []


def test_every_test_named_exists() -> None:
    """Asked of pytest itself; a test that is named without parameters may have some."""
    named = reference.linked()
    files = sorted({file for file, _ in named})
    found = subprocess.run([sys.executable, "-m", "pytest", "--collect-only", "-q", *files], cwd=reference.ROOT,
                           text=True, capture_output=True)
    assert found.returncode == 0, found.stdout + found.stderr
    known = set(found.stdout.splitlines())
    known |= {name.partition("[")[0] for name in known}
    assert {f"{file}::{name}" for file, name in named} - known == set()


def test_sites_name_rows_of_the_table() -> None:
    sites = (*SITES, *DEVIANT.values())
    assert {site.row for site in sites} <= {line.key for line in LINES}
    assert len({site.key for site in sites}) == len(sites)
