"""The porter does with each site what the catalogue says: what runs in the other tests is ported, and no leftover
that the engine traps and emulates.
"""

from __future__ import annotations

import pytest

from porter.catalogue import BY_KEY
from porter.catalogue_model import Treatment
from tests.proof.rows import ONE_INSTRUCTION, REFUSED
from tests.proof.syntaxes import SYNTAXES
from tests.proof.table import DEVIANT, SITES

_TREATMENTS = {Treatment.PORT: "ported", Treatment.NATIVE: "stays"}


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_site_is_taken_for_its_row(syntax: str) -> None:
    how, wrong = SYNTAXES[syntax], {}
    for site in (*SITES, *DEVIANT.values()):
        sites = how.port(how.source({0: site})).sites
        rows = {ONE_INSTRUCTION.get(key, key) for key in (one.item.row.key for one in sites)}
        expected = {_TREATMENTS[BY_KEY[site.row].treatment]} if site.row in BY_KEY else set()
        row = {ONE_INSTRUCTION.get(site.row, site.row)} if site.row in BY_KEY else set()
        if not row <= rows or {one.treatment for one in sites} != expected:
            wrong[site.key] = sites
    assert not wrong


_CR8 = {"att": "mov %cr8,%eax", "c": "mov %cr8,%eax", "intel": "mov eax,cr8", "nasm": "mov eax,cr8"}


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("row", REFUSED)
def test_refused(row: str, syntax: str) -> None:
    how = SYNTAXES[syntax]
    for written in REFUSED[row].mnemonics if row != "mov-cr8" else [_CR8[syntax]]:
        text = how.statement(written)
        ported = how.port(text)
        assert [(site.item.row.key, site.treatment) for site in ported.sites] == [(row, "refused")], written
        assert "64-bit" in ported.sites[0].item.reason
        assert ported.text == text
