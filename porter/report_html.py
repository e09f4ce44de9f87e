"""The report as one page for a browser, which needs nothing else: no network, no other file.

The page's parts are in ``page/``. Whatever comes from sources or file names goes into it as JSON in which no
character can end the element that it stands in; the script, which alone may run, puts it in as text.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from porter.report import TREATMENTS, Entry, Report, symbol

_PARTS = Path(__file__).with_name("page")
_AROUND = 3  # lines shown before and after an instruction
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}

_Field = tuple[str, Callable[[Entry], Any]]
# What the page is told of each entry. Those of the first list come up often, and are indices into a list of words.
_INDEXED: tuple[_Field, ...] = (
    ("file", lambda e: e.file), ("group", lambda e: e.group), ("treatment", lambda e: e.treatment),
    ("macro", lambda e: e.macro), ("cost", lambda e: e.cost), ("ring3", lambda e: e.ring3),
    ("reason", lambda e: e.reason), ("remedy", lambda e: e.remedy), ("input", lambda e: e.input),
    ("text", lambda e: e.text),
)
_PLAIN: tuple[_Field, ...] = (("line", lambda e: e.line),)
_CODE: tuple[_Field, ...] = (
    ("address", lambda e: e.place and e.place.address), ("section", lambda e: e.place and e.place.section),
    ("bytes", lambda e: e.place and e.place.code.hex(" ")), ("symbol", lambda e: symbol(e) if e.place else ""),
)
_HOT: tuple[_Field, ...] = (
    ("times", lambda e: e.hot.times if e.hot else 0), ("seconds", lambda e: e.hot.seconds if e.hot else 0),
)


def page(report: Report) -> str:
    """The page as HTML text."""
    script = (_PARTS / "report.js").read_text()
    subject = ", ".join(one.name for one in report.inputs[:3]) + (" ..." if len(report.inputs) > 3 else "")
    values = {
        "TITLE": html.escape(f"ring3 {report.command}: {subject}"),
        "SUMMARY": html.escape(_summary(report)),
        "STYLE": (_PARTS / "report.css").read_text(),
        "HASH": "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "DATA": _embedded(_data(report)),
        "SCRIPT": script,
    }
    text = (_PARTS / "report.html").read_text()
    pieces = text.split("@")  # the page's own text has no other use for it
    return "".join(values[piece] if at % 2 else piece for at, piece in enumerate(pieces))


def _embedded(data: Any) -> str:
    """JSON that can stand in a script element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    return text


def _summary(report: Report) -> str:
    counts = [f"{len(report.of(name)):,} {name}" for name in TREATMENTS if report.of(name)]
    told = ", ".join(counts) or "no sensitive instruction"
    if report.port:
        return f"{report.port.scanned:,} files read, {len(report.port.changed):,} changed: {told}"
    return f"{len(report.inputs):,} files: {told}"


def _data(report: Report) -> dict[str, Any]:
    code = any(entry.place for entry in report.entries)
    hot = any(entry.hot for entry in report.entries)
    plain = [*_PLAIN, *(_CODE if code else ()), *(_HOT if hot else ())]
    words: dict[str, int] = {}
    sites = [[*(words.setdefault(value(entry), len(words)) for _, value in _INDEXED),
              *(value(entry) for _, value in plain)] for entry in report.entries]
    return {
        "command": report.command,
        "treatments": TREATMENTS,
        "fields": [name for name, _ in (*_INDEXED, *plain)],
        "indexed": [name for name, _ in _INDEXED],
        "words": list(words),
        "sites": sites,
        "hot": hot,
        "lines": report.lines,
        "around": _AROUND,
        "notes": [{"title": title, "notes": notes} for title, notes in _notes(report) if notes],
    }


def _note(text: str, code: str = "") -> dict[str, str]:
    return {"text": text, "code": code}


def _notes(report: Report) -> Iterable[tuple[str, list[dict[str, str]]]]:
    """What the report tells besides the instructions."""
    if report.port:
        port = report.port
        yield "Build files: lines to change", [
            _note(f"{p.file}:{p.line}: {p.why}", f"- {p.before}\n+ {p.after}") for p in port.proposals]
        yield "Hot places", [
            _note(f"{p.what}: {p.times:,} times, {p.seconds * 1000:,.1f} ms, "
                  f"{f'{p.file}:{p.line}' if p.file else p.symbol}: {p.action}") for p in port.hot]
        yield "Kept as they were changed in the ported tree", [_note(path) for path in port.kept]
    ported = [_note(f"{one.name}: " + ", ".join(f"{name} {n}" for name, n in one.ported.most_common()))
              for one in report.inputs if one.ported]
    yield "Ported", ported
    yield "16-bit code, not checked: a guest enters at its 32-bit entry point", [
        _note(f"{one.name}: {section} {start:#x}-{end:#x}") for one in report.inputs
        for section, start, end in one.real_mode]
    yield "32-bit code that only 16-bit code leads to, not checked", [
        _note(f"{one.name}: {section} {start:#x}-{end:#x}") for one in report.inputs
        for section, start, end in one.after_real_mode]
    yield "No known instruction, though the code leads there", [
        _note(f"{one.name}: {section} {address:#x}") for one in report.inputs for section, address in one.undecodable]
