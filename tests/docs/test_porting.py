"""docs/porting.md says what the porter does."""

from __future__ import annotations

import re
from pathlib import Path

from hypercalls import gas
from porter import reference
from porter.catalogue_model import Cost, Treatment
from porter.catalogue_rows import ROWS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "porting.md"


def test_the_table_is_that_of_the_catalogue() -> None:
    assert PAGE.read_text().endswith(f"\n\n{reference.table()}"), "run `python -m porter.reference`"


def test_every_macro_of_the_table_exists() -> None:
    """Placeholders stand for names that the macro file has."""
    defined = re.findall(r"^\.macro r3_(\w+)", gas.macros(), re.MULTILINE)
    named = re.findall(r"`r3_([^`]+)`", reference.table())
    assert named
    for name in named:
        pattern = name.replace("SEG", "[c-gs]s").replace("crN", r"cr\d").replace("drN", r"dr\d")
        assert any(re.fullmatch(pattern, macro) for macro in defined), name


def test_what_the_table_calls_inline_has_no_gate_on_its_way() -> None:
    """Gates within inline macros are for pending interrupts, memory operands and the loads of SS."""
    bodies = dict(re.findall(r"^\.macro r3_(\w+)[^\n]*\n(.*?)^\.endm", gas.macros(), re.MULTILINE | re.DOTALL))
    for row in ROWS:
        if row.treatment is not Treatment.PORT:
            continue
        macros = [name.strip("`").removeprefix("r3_").replace("SEG", "ds").replace("crN", "cr3").replace("drN", "dr0")
                  for name in reference.replacements(row)]
        gates = [macro for macro in macros if re.search(r"call|ljmp", bodies[re.sub(r"\[bwl\]", "l", macro)])]
        if row.cost is Cost.INLINE:
            assert all("Lr3" in bodies[macro] or macro.endswith("w") for macro in gates), row.key
        else:
            assert gates == macros, row.key
