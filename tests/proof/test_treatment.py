"""The porter does with each site what the catalogue says: what runs in the other tests is ported, and no leftover
that the engine traps and emulates.
"""

from __future__ import annotations

import pytest

from porter.catalogue import BY_KEY
from porter.catalogue_model import Treatment
from tests.porter.nasm_spellings import LONG_MODE
from tests.proof.rows import ONE_INSTRUCTION, REFUSED
from tests.proof.syntaxes import SYNTAXES
from tests.proof.table import DEVIANT, SITES

_TREATMENTS = {Treatment.PORT: "ported", Treatment.NATIVE: "stays"}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_site_is_taken_for_its_row(syntax: str) -> None:
    how, wrong = SYNTAXES[syntax], {}
    for site in (one for one in (*SITES, *DEVIANT.values()) if syntax in one.texts):
        sites = how.port(how.source({0: site})).sites
        rows = {ONE_INSTRUCTION.get(key, key) for key in (one.item.row.key for one in sites)}
        expected = {_TREATMENTS[BY_KEY[site.row].treatment]} if site.row in BY_KEY else set()
        row = {ONE_INSTRUCTION.get(site.row, site.row)} if site.row in BY_KEY else set()
        if not row <= rows or {one.treatment for one in sites} != expected:
            wrong[site.key] = sites
    assert not wrong


_CR8 = {"att": "mov %cr8,%eax", "c": "mov %cr8,%eax", "intel": "mov eax,cr8", "nasm": "mov eax,cr8"}


def _written(row: str, syntax: str) -> list[str]:
    if row == "mov-cr8":
        return [_CR8[syntax]]
    return [name for name in REFUSED[row].mnemonics if syntax != "nasm" or name in LONG_MODE]


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("row", REFUSED)
def test_refused(row: str, syntax: str) -> None:
    how = SYNTAXES[syntax]
    for written in _written(row, syntax):
        text = how.statement(written)
        ported = how.port(text)
        assert [(site.item.row.key, site.treatment) for site in ported.sites] == [(row, "refused")], written
        assert "64-bit" in ported.sites[0].item.reason
        assert ported.text == text
