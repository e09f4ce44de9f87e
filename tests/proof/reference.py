"""``python -m tests.proof.reference``: write the table of docs/proof.md; ``--check``: exit 1 if it is stale."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from porter.catalogue_model import Row, Treatment
from porter.catalogue_rows import ROWS
from tests.proof.syntaxes import SYNTAXES
from tests.proof.table import SITES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "proof.md"
BEGIN, END = "<!-- table: python -m tests.proof.reference -->\n", "<!-- end of table -->\n"
TEST = "test_ported_as_on_a_bare_machine"
MODULE = "tests/proof/test_sites.py"
# Rows whose proof is that the porter refuses them, or has nothing to do: where and which test.
ELSEWHERE: dict[str, tuple[str, str]] = {
    "mov-cr8": ("tests/porter/test_spellings.py", "test_long_mode_is_refused"),
    "x86-64": ("tests/porter/test_spellings.py", "test_long_mode_is_refused"),
    "rdpid": ("tests/porter/test_spellings.py", "test_each_spelling"),
    "system-extensions": ("tests/porter/test_spellings.py", "test_each_spelling"),
    "stac": ("tests/proof/test_deviations.py", "test_known_deviation[stac]"),
    "clac": ("tests/proof/test_deviations.py", "test_known_deviation[clac]"),
}
# GAS knows these spellings in AT&T syntax only.
ATT_ONLY = {"jmp-far": "in Intel syntax the row `ljmp`", "call-far": "in Intel syntax the row `lcall`"}


def cell(row: Row, syntax: str) -> list[tuple[str, str]]:
    """The tests of one cell, as (file, test id); none where the syntax has no such spelling."""
    if row.key in ELSEWHERE:
        return [ELSEWHERE[row.key]]
    return [(MODULE, f"{TEST}[{site.key}-{syntax}]") for site in SITES
            if site.row == row.key and site.text(syntax) is not None]


def _link(tests: list[tuple[str, str]], why: str) -> str:
    if not tests:
        return why
    file, name = tests[0]
    more = f" and {len(tests) - 1} more" if len(tests) > 1 else ""
    return f"[`{name.partition('[')[2].rstrip(']') or name}`](../{file}){more}"


def table() -> Iterator[str]:
    """The lines of the table."""
    yield "| class | row | treatment | " + " | ".join(syntax.title for syntax in SYNTAXES.values()) + " |"
    yield "|---" * (3 + len(SYNTAXES)) + "|"
    for row in ROWS:
        cells = [_link(cell(row, syntax), ATT_ONLY.get(row.key, "")) for syntax in SYNTAXES]
        treatment = "ported" if row.treatment is Treatment.PORT else row.treatment.value
        yield f"| {row.group} | `{row.key}` | {treatment} | " + " | ".join(cells) + " |"


def page() -> str:
    """The page with its table as it should be."""
    text = PAGE.read_text()
    head, rest = text.split(BEGIN)
    return head + BEGIN + "\n".join(table()) + "\n" + END + rest.split(END)[1]


def main(arguments: list[str]) -> int:
    if PAGE.read_text() == page():
        return 0
    if "--check" in arguments:
        print(f"stale: {PAGE.relative_to(ROOT)} (run python -m tests.proof.reference)", file=sys.stderr)
        return 1
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
