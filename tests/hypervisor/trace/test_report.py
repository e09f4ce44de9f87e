"""The page and the terminal's timeline: what they show is what the trace holds."""

from __future__ import annotations

import base64
import gzip
import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hypercalls.structs import TRACE, TraceKind
from hypervisor.trace.reader import open_trace
from hypervisor.trace.report import data
from hypervisor.trace.report.page import page
from hypervisor.trace.summary import summarise
from tests.hypervisor.cli.commands import refusal, ring3
from tests.hypervisor.trace.traces import BEGIN, HEADER, START, end, numbered, record, write

CHROMIUM = shutil.which("chromium")


def busy(folder: Path, count: int) -> Path:
    """A trace of many records."""
    random = np.random.default_rng(1)
    records = np.zeros(count, np.dtype(TRACE.ctype))
    records["tsc"] = START + np.arange(count) * 1000
    kinds = [TraceKind.HYPERCALL] * 6 + [TraceKind.DEVICE, TraceKind.INTERRUPT, TraceKind.EXIT, TraceKind.IDLE]
    records["kind"] = random.choice(kinds, count)
    records["number"] = random.integers(70, 82, count)
    records["eip"] = random.integers(0, 50, count) * 16
    records["latency"] = np.where(records["kind"] == TraceKind.INTERRUPT, 0, random.integers(10, 900, count))
    records["sequence"] = np.arange(1, count + 1)
    return write(folder, BEGIN, records.tobytes(), end(count * 1000, count))


def held(text: str) -> dict[str, Any]:
    """The data that a page holds."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def unpacked(text: str, kind: str) -> Any:
    return np.frombuffer(gzip.decompress(base64.b64decode(text)), kind)


def test_a_page_holds_the_trace(tmp_path: Path) -> None:
    path = busy(tmp_path, 20_000)
    found = held(page(open_trace(path)))
    counts = {row.name: row.count for row in summarise(open_trace(path)).table("kind").rows}
    assert found["heading"]["records"] == found["heading"]["shown"] == found["records"]["count"] == 20_000
    lanes = unpacked(found["records"]["lanes"], "u1")
    assert {found["lanes"][lane]: int((lanes == lane).sum()) for lane in set(lanes.tolist())} == counts
    bins = {name: int(unpacked(lane, "<u4").sum()) for name, lane in zip(found["lanes"], found["bins"], strict=True)}
    assert {name: count for name, count in bins.items() if count} == counts
    assert np.cumsum(unpacked(found["records"]["steps"], "<f8")).tolist() == list(range(0, 20_000_000, 1000))
    timed = sum(count for name, count in counts.items() if name not in ("interrupt", "device"))
    assert sum(count for _, count in found["heat"]["maps"]["all"]) >= timed
    assert found["flame"]["c"] == 20_000
    assert {row["name"]: row["count"] for row in found["tables"]["records"]} == counts


def test_what_is_chosen_is_shown(tmp_path: Path) -> None:
    found = held(page(open_trace(busy(tmp_path, 5_000)), "idle", "Idle <time>"))
    assert found["title"] == "Idle <time>" and found["heading"]["where"] == "idle"
    assert found["heading"]["shown"] == found["records"]["count"] == found["flame"]["c"] < 5_000


def test_of_very_many_records_some_are_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "RECORDS_MOST", 1000)
    found = held(page(open_trace(busy(tmp_path, 2_500))))
    assert (found["records"]["stride"], found["records"]["count"]) == (3, 834)
    assert found["heading"]["shown"] == 2_500
    assert np.cumsum(unpacked(found["records"]["steps"], "<f8")).tolist() == list(range(0, 2_500_000, 3000))


def test_nothing_that_a_guest_says_ends_an_element(tmp_path: Path) -> None:
    nasty = b"</script><b>&"
    words = np.frombuffer(nasty.ljust(28, b"\0"), "<u4").tolist()
    mark = record(TraceKind.MARK, len(nasty), args=tuple(words[:5]), operand=tuple(words[5:]), after=5)
    text = page(open_trace(write(tmp_path, BEGIN, numbered(mark), end(10, 1))), title="<i>&")
    assert text.count("</script>") == 2 and "<b>" not in text and "<i>" not in text
    assert any(name.startswith("</script><b>&") for name in held(text)["records"]["names"])


def test_an_empty_trace_is_a_page(tmp_path: Path) -> None:
    found = held(page(open_trace(write(tmp_path, BEGIN))))
    assert found["records"]["count"] == 0 and "the recording was cut off" in found["notices"][0]


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed; what a page holds is tested above")
@pytest.mark.parametrize("count", [0, 30_000, 1_000_000])
def test_a_browser_shows_it(tmp_path: Path, count: int) -> None:
    """The page uses itself: it zooms, filters, goes through all tables, and tells what it then shows."""
    trace = busy(tmp_path, count) if count else write(tmp_path, BEGIN)
    out = tmp_path / "page.html"
    out.write_text(page(open_trace(trace)))
    run = subprocess.run(
        [str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
         f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=60000", "--dump-dom",
         f"file://{out}#selftest"], capture_output=True, text=True, timeout=110, check=True)  # fmt: skip
    assert "data-error" not in run.stdout, run.stdout[:500]
    found = re.search(r'data-selftest="([^"]*)"', run.stdout)
    assert found, run.stderr[-2000:]
    shown = json.loads(html.unescape(found[1]))
    assert shown["records"] == count and f": {count:,} records" in shown["all"]
    tables = {table.title: len(table.rows) for table in summarise(open_trace(trace)).tables()}
    assert shown["rows"] == tables
    assert len(shown["tip"]) == (5 if count else 0) and all(shown["tip"])


def test_the_command_writes_the_page(tmp_path: Path) -> None:
    trace = busy(tmp_path, 100)
    run = ring3("trace", "report", trace, "-o", tmp_path / "out.html", "--title", "Mine")
    assert run.returncode == 0 and held((tmp_path / "out.html").read_text())["title"] == "Mine"
    assert "cannot be written (Is a directory)" in refusal("trace", "report", trace, "-o", tmp_path)


# --- the terminal's timeline --------------------------------------------------------------------------


def timeline(*arguments: object) -> str:
    run = ring3("trace", "timeline", *arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout.decode()


def test_lanes_over_time(tmp_path: Path) -> None:
    early = [record(after=at) for at in range(0, 400, 10)]
    late = [record(TraceKind.INTERRUPT, 0x20, after=at) for at in range(900, 1000, 50)]
    path = write(tmp_path, BEGIN, numbered(*early, *late), end(1000, 42))
    found = json.loads(timeline(path, "--width", "20", "--json"))
    assert found["lanes"]["hypercall"] == [5] * 8 + [0] * 12
    assert found["lanes"]["interrupt"] == [0] * 18 + [1, 1]
    lines = timeline(path, "--width", "20").splitlines()
    assert lines[0].split() == ["hypercall", "@" * 8, "40"] and lines[1].split()[0] == "interrupt"
    assert lines[0].isascii() and "a column is 50 ns; the fullest has 5" in lines[-1]
    part = json.loads(timeline(path, "--width", "20", "--json", "--from", "9e-7", "--to", "1e-6"))
    assert list(part["lanes"]) == ["interrupt"] and sum(part["lanes"]["interrupt"]) == 2
    assert "in8" in timeline(path, "--by", "hypercall") and "and 1 more" in timeline(path, "--rows", "1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--width", "5"], "--width is a number from 20 to 1000"),
        (["--rows", "0"], "--rows one from 1 on"),
        (["--from", "5"], "is no time; the trace has"),
        (["--from", "-1"], "is no time"),
        (["--by", "colour"], "invalid choice"),
    ],
)
def test_wrong_pictures_are_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = write(tmp_path, BEGIN, numbered(record(after=5)), end(10, 1), header=HEADER)
    assert message in refusal("trace", "timeline", path, *arguments)
