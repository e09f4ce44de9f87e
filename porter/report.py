"""The report of a port or a check: one model, which a terminal, JSON (docs/report-format.md) and a page show.

An entry is one sensitive instruction. What its treatment is, the porter decided; what its author can do about
it is in ``remedies``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from porter.binary import Site as CodeSite
from porter.binary import Survey
from porter.binary.sensitive import Effect
from porter.catalogue_model import Ring3
from porter.model import Site
from porter.remedies import remedy

SCHEMA = 2
TREATMENTS = ("ported", "left", "stays", "refused", "unreached")
COSTS = ("inline", "gate", "exit", "none")
_NATIVE = "native"
_RING3 = {Effect.TRAPS: Ring3.TRAPS.value, Effect.SILENT: Ring3.SILENT.value, Effect.NATIVE: _NATIVE}
MEANING = {_RING3[effect]: effect.meaning for effect in Effect}
UNREACHED = "in bytes that nothing shows to be code"


class Place(NamedTuple):
    """Where an instruction of compiled code lies: see docs/report-format.md."""

    address: int
    section: str
    code: bytes
    symbol: tuple[str, int] | None
    evidence: str
    physical: int | None
    file_offset: int


class Hot(NamedTuple):
    """What a profile tells of a place: how often it trapped or called, and the seconds that it took."""

    times: int
    seconds: float


class Entry(NamedTuple):
    """One sensitive instruction. `file`, `line` and `column` are of the source, '' and 0 where not known."""

    input: str
    file: str
    line: int
    column: int
    text: str
    key: str  # the row of the catalogue; '' for compiled code
    group: str
    treatment: str
    macro: str
    cost: str
    ring3: str
    reason: str
    place: Place | None = None
    hot: Hot | None = None
    tactic: str = ""  # of a binary port

    @property
    def remedy(self) -> str:
        """What to do about an entry that is not ported; '' for nothing."""
        return remedy(self.treatment, self.reason, compiled=self.place is not None, binary=bool(self.tactic))


class Range(NamedTuple):
    section: str
    start: int
    end: int


@dataclass
class Input:
    """What was looked at: a source tree, or a file of compiled code (``archive(member)`` for a member)."""

    name: str
    kind: str  # tree, code, or no code
    ported: Counter[str] = field(default_factory=Counter)  # replacements found in compiled code, by name
    real_mode: list[Range] = field(default_factory=list)
    after_real_mode: list[Range] = field(default_factory=list)
    undecodable: list[tuple[str, int]] = field(default_factory=list)


class Proposal(NamedTuple):
    """A line of a build file that the ported tree needs changed; `line` 0: a new line at the end."""

    file: str
    line: int
    before: str
    after: str
    why: str


class HotPlace(NamedTuple):
    """A place that a profile names, and what the port did about it."""

    what: str
    file: str
    line: int
    symbol: str
    times: int
    seconds: float
    action: str


@dataclass
class PortResult:
    """What only the port of a tree has to tell. Paths are relative to the tree."""

    output: str | None = None
    scanned: int = 0
    reused: int = 0  # of them, not ported again since nothing had changed
    changed: list[str] = field(default_factory=list)
    added: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)  # files of the output that its user had changed
    proposals: list[Proposal] = field(default_factory=list)
    hot: list[HotPlace] = field(default_factory=list)


@dataclass
class Report:
    """Everything that is told of one command.

    `port` is None for a check. `lines` are source lines around the entries, by file and number: for the page.
    """

    command: str
    inputs: list[Input]
    entries: list[Entry]
    port: PortResult | None = None
    lines: dict[str, dict[int, str]] = field(default_factory=dict)

    def of(self, *treatments: str) -> list[Entry]:
        return [entry for entry in self.entries if entry.treatment in treatments]

    def by_class(self) -> dict[str, Counter[str]]:
        """Entries counted by class and treatment, the classes in the order in which they come up."""
        return _counted(self.entries, lambda entry: entry.group)

    def by_file(self) -> dict[str, Counter[str]]:
        """Entries counted by source file and treatment, '' where the source is not known."""
        return _counted(self.entries, lambda entry: entry.file)


def _counted(entries: Iterable[Entry], key: Callable[[Entry], str]) -> dict[str, Counter[str]]:
    counts: dict[str, Counter[str]] = {}
    for entry in entries:
        counts.setdefault(key(entry), Counter())[entry.treatment] += 1
    return counts


def source_entry(site: Site) -> Entry:
    """The entry of a statement in a source tree."""
    row = site.item.row
    return Entry("", site.file, site.line, site.column, site.text, site.item.key, row.group, site.treatment,
                 site.item.macro, site.cost, row.ring3.value, site.item.reason)


def code_entry(name: str, site: CodeSite, treatment: str) -> Entry:
    """The entry of an instruction in compiled code."""
    file, line = site.source or ("", 0)
    place = Place(site.address, site.section, site.code, site.symbol, site.evidence.name.lower(), site.physical,
                  site.file_offset)
    return Entry(name, file, line, 0, site.text, "", site.kind.name, treatment, "", "none",
                 _RING3[site.kind.effect], site.kind.remark, place)


def code_report(surveys: Iterable[Survey]) -> Report:
    """The report of a check."""
    report = Report("check", [], [])
    for survey in surveys:
        name = str(survey.path)
        report.inputs.append(Input(
            name, "code" if survey.has_code else "no code", survey.ported, [Range(*r) for r in survey.real_mode],
            [Range(*r) for r in survey.after_real_mode], survey.undecodable))
        for treatment, sites in (("left", survey.left), ("stays", survey.native), ("unreached", survey.unreached)):
            report.entries += [code_entry(name, site, treatment) for site in sites]
    return report


def as_json(report: Report) -> dict[str, Any]:
    """The report as docs/report-format.md describes it."""
    totals = Counter(entry.treatment for entry in report.entries)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "command": report.command,
        "inputs": [_input_json(one) for one in report.inputs],
        "totals": {name: totals[name] for name in TREATMENTS},
        "classes": {name: dict(counts) for name, counts in report.by_class().items()},
        "files": {name: dict(counts) for name, counts in report.by_file().items()},
        "sites": [_entry_json(entry) for entry in report.entries],
    }
    if report.port:
        port = report.port
        document["port"] = {
            "output": port.output, "scanned": port.scanned, "reused": port.reused, "changed": port.changed,
            "added": port.added, "kept": port.kept, "build": [entry._asdict() for entry in port.proposals],
            "hot": [place._asdict() for place in port.hot],
        }
    return document


def _input_json(one: Input) -> dict[str, Any]:
    return {
        "name": one.name,
        "kind": one.kind,
        "ported": dict(sorted(one.ported.items())),
        "real_mode": [entry._asdict() for entry in one.real_mode],
        "after_real_mode": [entry._asdict() for entry in one.after_real_mode],
        "undecodable": [{"section": section, "address": address} for section, address in one.undecodable],
    }


def _entry_json(entry: Entry) -> dict[str, Any]:
    document: dict[str, Any] = {
        "file": entry.file or None, "line": entry.line or None, "column": entry.column or None, "text": entry.text,
        "class": entry.group, "treatment": entry.treatment, "macro": entry.macro, "cost": entry.cost,
        "ring3": entry.ring3, "reason": entry.reason, "remedy": entry.remedy,
    }
    if entry.place is None:
        document["key"] = entry.key
    else:
        symbol, offset = entry.place.symbol or (None, None)
        document |= {
            "input": entry.input, "address": entry.place.address, "section": entry.place.section,
            "bytes": entry.place.code.hex(), "symbol": symbol, "offset": offset, "evidence": entry.place.evidence,
            "physical": entry.place.physical, "file_offset": entry.place.file_offset,
        }
    if entry.tactic:
        document["tactic"] = entry.tactic
    if entry.hot:
        document["hot"] = entry.hot._asdict()
    return document


def json_text(report: Report) -> str:
    """The report as JSON text, a site a line."""
    document = as_json(report)
    sites = document.pop("sites")
    head = json.dumps(document, indent=1)
    body = ",\n".join(f"  {json.dumps(site)}" for site in sites)
    return f'{head[:-2]},\n "sites": [{chr(10) if body else ""}{body}{chr(10) if body else ""} ]\n}}\n'


def plain(entry: Entry) -> str:
    """An entry of compiled code in a line."""
    assert entry.place
    where = f"{entry.place.address:#010x} {source(entry) or entry.place.section}"
    return (f"{where}: {entry.text}  [{entry.place.code.hex(' ')}]  {symbol(entry)}  "
            f"{entry.group}: {MEANING[entry.ring3]} ({entry.reason})")


def source(entry: Entry) -> str:
    return f"{entry.file}:{entry.line}" if entry.file else ""


def symbol(entry: Entry) -> str:
    if entry.place is None or entry.place.symbol is None:
        return "(no symbol)"
    name, offset = entry.place.symbol
    return f"{name}+{offset:#x}" if offset else name
