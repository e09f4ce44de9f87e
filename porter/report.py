"""What a port did: a table for the terminal, and JSON.

The JSON object has ``schema`` (this layout's number, 1), ``source`` and ``output`` (directories, output
null for a dry run), ``scanned`` (number of files), ``changed`` (paths), ``classes`` (for each class of
instructions the number of sites by treatment) and ``sites``, a list of objects with ``file``, ``line``,
``column`` (from 1), ``text``, ``key`` and ``class`` of the catalogue, ``treatment`` (ported, left, stays,
refused), ``macro``, ``cost`` (inline, gate, exit, none), ``ring3`` (traps, silently wrong, reaches the
host: what the unported instruction does) and ``reason`` (why it is not ported, or empty).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from porter.model import Site

TREATMENTS = ("ported", "left", "stays", "refused")


def by_class(sites: Sequence[Site]) -> dict[str, Counter[str]]:
    """Sites counted by class and treatment, and by class and cost, classes in the catalogue's order of use."""
    classes: dict[str, Counter[str]] = {}
    for site in sites:
        classes.setdefault(site.item.row.group, Counter())[site.treatment] += 1
    return classes


def write_json(source: Path, output: Path | None, scanned: int, changed: Sequence[str],
               sites: Sequence[Site]) -> str:
    """The report as JSON text: see the module's description."""
    document = {
        "schema": 1,
        "source": str(source),
        "output": str(output) if output else None,
        "scanned": scanned,
        "changed": list(changed),
        "classes": {name: dict(counts) for name, counts in by_class(sites).items()},
        "sites": [
            {"file": site.file, "line": site.line, "column": site.column, "text": site.text, "key": site.item.key,
             "class": site.item.row.group, "treatment": site.treatment, "macro": site.item.macro, "cost": site.cost,
             "ring3": site.item.row.ring3.value, "reason": site.item.reason}
            for site in sites
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def print_report(scanned: int, changed: Sequence[str], sites: Sequence[Site]) -> None:
    """The report on the terminal: classes, changed files, and what is not ported, with the reason."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    classes = Table("class", *TREATMENTS, "inline", "gate", "exit")
    for name, counts in by_class(sites).items():
        costs = Counter(site.cost for site in sites if site.item.row.group == name)
        classes.add_row(name, *(str(counts[t] or "") for t in TREATMENTS),
                        *(str(costs[c] or "") for c in ("inline", "gate", "exit")))
    files = Table("changed file", "ported", "not ported")
    ported = Counter(site.file for site in sites if site.treatment == "ported")
    other = Counter(site.file for site in sites if site.treatment != "ported")
    for path in changed:
        files.add_row(path, str(ported[path]), str(other[path] or ""))
    if sites:
        console.print(classes)
        console.print(files)
    open_sites = [site for site in sites if site.treatment != "ported"]
    if open_sites:
        rest = Table("not ported", "sites", "first at", "reason")
        groups: dict[tuple[str, str], list[Site]] = {}
        for site in open_sites:
            groups.setdefault((site.file, site.item.reason), []).append(site)
        for (file, reason), group in groups.items():
            rest.add_row(" ".join(group[0].text.split()), str(len(group)), f"{file}:{group[0].line}", reason)
        console.print(rest)
    console.print(f"{scanned} files read, {len(changed)} changed, {sum(ported.values())} instructions ported, "
                  f"{len(open_sites)} not")
