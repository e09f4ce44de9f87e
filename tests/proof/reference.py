"""``python -m tests.proof.reference``: write the tables of docs/proof.md; ``--check``: exit 1 if they are stale."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from tests.proof.deviations import CASES, DEVIATIONS
from tests.proof.rows import BESIDES, LINES, REFUSED, Line
from tests.proof.syntaxes import SYNTAXES
from tests.proof.table import SITES

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "proof.md"
END = "<!-- end of table -->"
COMPARED = ("tests/proof/test_sites.py", "test_ported_as_on_a_bare_machine")
DEVIATING = ("tests/proof/test_deviations.py", "test_known_deviation")
REFUSING = ("tests/proof/test_treatment.py", "test_refused")

Test = tuple[str, str]  # file, and id in it


def _ids(test: Test, keys: Iterator[str], syntax: str) -> list[Test]:
    return [(test[0], f"{test[1]}[{key}-{syntax}]") for key in keys]


def cell(line: Line, syntax: str) -> list[list[Test]]:
    """The tests of one cell, by test function."""
    sites = (site.key for site in SITES if site.row == line.key and syntax in site.texts)
    cases = (name for name, case in CASES.items() if case.site.row == line.key)
    refused = (key for key in REFUSED if key == line.key)
    return [found for found in (_ids(COMPARED, sites, syntax), _ids(DEVIATING, cases, syntax),
                                _ids(REFUSING, refused, syntax)) if found]


def _link(test: Test, name: str = "") -> str:
    return f"[`{name or test[1].partition('[')[2].rstrip(']') or test[1]}`](../{test[0]})"


def _links(tests: list[Test]) -> str:
    return _link(tests[0]) + (f" and {len(tests) - 1} more" if len(tests) > 1 else "")


def _cell_text(line: Line, syntax: str) -> str:
    texts = [("but for " if tests[0][0] == DEVIATING[0] else "") + _links(tests) for tests in cell(line, syntax)]
    return ", ".join(texts).removeprefix("but for ")


def _rows() -> Iterator[str]:
    yield "| class | row | treatment | " + " | ".join(syntax.title for syntax in SYNTAXES.values()) + " |"
    yield "|---" * (3 + len(SYNTAXES)) + "|"
    for line in LINES:
        cells = " | ".join(_cell_text(line, syntax) for syntax in SYNTAXES)
        yield f"| {line.group} | `{line.key}` | {line.treatment} | {cells} |"


def _deviations() -> Iterator[str]:
    yield "| what | on a processor | ported | test |"
    yield "|---|---|---|---|"
    for what, processor, ported, cases in DEVIATIONS:
        links = ", ".join(_link(DEVIATING, name) for name in cases)
        yield f"| {what} | {processor} | {ported} | {links} |"


def _besides() -> Iterator[str]:
    yield "| what | tests |"
    yield "|---|---|"
    for what, tests in BESIDES:
        links = ", ".join(f"{_link(test)} ({test[0].rpartition('/')[2]})" for test in tests)
        yield f"| {what} | {links} |"


TABLES = {"rows": _rows, "deviations": _deviations, "besides": _besides}


def page() -> str:
    """The page with its tables as they should be."""
    text = PAGE.read_text()
    for name, table in TABLES.items():
        begin = f"<!-- {name}: python -m tests.proof.reference -->"
        head, rest = text.split(begin)
        text = "\n".join((head + begin, *table(), END)) + rest.partition(END)[2]
    return text


def linked() -> set[Test]:
    """Every test that the tables name."""
    rows = {test for line in LINES for syntax in SYNTAXES for tests in cell(line, syntax) for test in tests}
    return rows | {test for _, tests in BESIDES for test in tests}


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
