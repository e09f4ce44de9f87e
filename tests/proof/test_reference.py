"""docs/proof.md links every row and syntax to a test that exists."""

from __future__ import annotations

import re

import pytest

from porter.catalogue_rows import ROWS
from tests.proof import reference, test_deviations, test_sites
from tests.proof.syntaxes import SYNTAXES
from tests.proof.table import SITES


def test_the_page_is_in_step() -> None:
    assert reference.PAGE.read_text() == reference.page(), "run python -m tests.proof.reference"


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_no_cell_is_empty(syntax: str) -> None:
    empty = {row.key for row in ROWS if not reference.cell(row, syntax)}
    assert empty == (set(reference.ATT_ONLY) if syntax == "intel" else set())


def test_every_test_named_exists() -> None:
    ids = {f"{reference.TEST}[{site.key}-{syntax}]" for site, syntax in test_sites.CELLS}
    ids |= {f"test_known_deviation[{key}]" for key in test_deviations.CASES}
    assert hasattr(test_sites, reference.TEST) and hasattr(test_deviations, "test_known_deviation")
    for row in ROWS:
        for syntax in SYNTAXES:
            for file, name in reference.cell(row, syntax):
                text = (reference.ROOT / file).read_text()
                assert re.search(rf"^def {re.escape(name.partition('[')[0])}\(", text, re.MULTILINE), name
                assert "[" not in name or name in ids, name


def test_sites_name_rows_of_the_catalogue() -> None:
    assert {site.row for site in SITES} <= {row.key for row in ROWS}
    assert len({site.key for site in SITES}) == len(SITES)
