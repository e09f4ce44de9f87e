"""Traces for other tools, read back by what reads them: Perfetto's own classes, babeltrace2, a JSON schema, SQL."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import Trace as PerfettoTrace
from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import TrackEvent

from hypercalls import by_name
from hypercalls.structs import TraceKind
from hypervisor.trace.export import ctf
from hypervisor.trace.reader import open_trace
from hypervisor.trace.summary import summarise
from tests.hypervisor.cli.commands import refusal, ring3
from tests.hypervisor.trace.traces import BEGIN, end, numbered, record, write

pytestmark = pytest.mark.usefixtures("monitor")
SLICES = ("hypercall", "exit", "emulated", "tlb_fill", "idle")
TRACE_EVENT_SCHEMA = {
    # What "Trace Event Format" asks of each phase that is used here, in our words.
    "type": "object",
    "required": ["traceEvents"],
    "properties": {
        "displayTimeUnit": {"enum": ["ms", "ns"]},
        "traceEvents": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["ph", "pid", "tid", "ts"],
                "properties": {
                    "ph": {"enum": ["B", "E", "i", "C", "M", "s", "f"]},
                    "pid": {"type": "integer"}, "tid": {"type": "integer"}, "ts": {"type": "number", "minimum": 0},
                    "name": {"type": "string"}, "cat": {"type": "string"}, "args": {"type": "object"},
                    "s": {"enum": ["g", "p", "t"]}, "bp": {"const": "e"}, "id": {"type": ["integer", "string"]},
                },
                "allOf": [
                    {"if": {"properties": {"ph": {"enum": ["B", "i", "C", "M", "s", "f"]}}},
                     "then": {"required": ["name"]}},
                    {"if": {"properties": {"ph": {"enum": ["s", "f"]}}}, "then": {"required": ["id", "cat"]}},
                    {"if": {"properties": {"ph": {"enum": ["C", "M"]}}}, "then": {"required": ["args"]}},
                ],
            },
        },
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def traces(
    sample_kernel: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, monitor: Path
) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("traces")
    for name in ("hello", "preempt"):
        run = ring3("run", sample_kernel(name, ported=True), "--name", f"guest-{name}", "--trace", folder / name)
        assert run.returncode == 0, run.stderr
    return folder / "hello", folder / "preempt"


def exported(out: Path, form: str, *traces: Path, where: str | None = None) -> Path:
    run = ring3("trace", "export", *traces, "--format", form, "-o", out, *(["--where", where] if where else []))
    assert (run.returncode, run.stdout) == (0, b"")
    assert not run.stderr or b"is gone" in run.stderr
    return out


def expected(trace: Path) -> dict[str, int]:
    return {row.name: row.count for row in summarise(open_trace(trace)).table("kind").rows}


class Tracks:
    """What a viewer would draw; each track must be in the order of time, and what begins must end."""

    def __init__(self) -> None:
        self.begun: dict[object, Counter[str]] = defaultdict(Counter)
        self.names: dict[object, Counter[str]] = defaultdict(Counter)
        self._open: dict[object, list[float]] = defaultdict(list)
        self._last: dict[object, float] = {}

    def at(self, track: object, time: float) -> None:
        assert time >= self._last.get(track, 0), f"time goes back on {track}"
        self._last[track] = time

    def begin(self, track: object, time: float, name: str, category: str) -> None:
        self.at(track, time)
        self._open[track].append(time)
        self.begun[track][category] += 1
        self.names[track][name] += 1

    def end(self, track: object, time: float) -> None:
        self.at(track, time)
        assert self._open[track], f"an end without a beginning on {track}"
        assert self._open[track].pop() <= time

    def check(self) -> None:
        assert not any(self._open.values())


def test_perfetto(traces: tuple[Path, Path], tmp_path: Path) -> None:
    decoded = PerfettoTrace()
    decoded.ParseFromString(exported(tmp_path / "out", "perfetto", *traces).read_bytes())
    drawn = Tracks()
    processes, threads, parents, instants = {}, {}, {}, Counter[tuple[int, str]]()
    flows: dict[int, list[int]] = defaultdict(list)
    counters = 0
    for packet in decoded.packet:
        assert packet.trusted_packet_sequence_id in (1, 2)
        if packet.HasField("track_descriptor"):
            found = packet.track_descriptor
            parents[found.uuid] = found.parent_uuid
            if found.HasField("process"):
                processes[found.uuid] = found.process.process_name
            if found.HasField("thread"):
                threads[found.uuid] = (found.thread.pid, found.thread.thread_name)
            continue
        event = packet.track_event
        assert event.track_uuid in parents
        match event.type:
            case TrackEvent.TYPE_SLICE_BEGIN:
                drawn.begin(event.track_uuid, packet.timestamp, event.name, event.categories[0])
            case TrackEvent.TYPE_SLICE_END:
                drawn.end(event.track_uuid, packet.timestamp)
            case TrackEvent.TYPE_INSTANT:
                drawn.at(event.track_uuid, packet.timestamp)
                instants[event.track_uuid, event.categories[0]] += 1
            case TrackEvent.TYPE_COUNTER:
                drawn.at(event.track_uuid, packet.timestamp)
                counters += 1
        for flow in event.flow_ids:
            flows[flow].append(event.track_uuid)
        for flow in event.terminating_flow_ids:
            assert flows[flow]
            flows[flow].append(event.track_uuid)
    drawn.check()
    assert sorted(processes.values()) == ["guest-hello", "guest-preempt"] and counters > 10
    assert sorted(threads.values()) == [(1, "vCPU 0"), (2, "vCPU 0")]
    for trace, thread in zip(traces, sorted(threads), strict=True):
        kinds = expected(trace)
        assert dict(drawn.begun[thread]) == {
            name: count for name, count in kinds.items() if name in SLICES}  # fmt: skip
        assert {name: instants[thread, name] for name in kinds if name not in SLICES} == {
            name: count for name, count in kinds.items() if name not in SLICES}  # fmt: skip
        own = [tracks for tracks in flows.values() if tracks[0] == thread]
        assert len(own) == kinds["interrupt"] and all(len(tracks) == 2 and tracks[0] != tracks[1] for tracks in own)
        calls = {row.name: row.count for row in summarise(open_trace(trace)).table("hypercall").rows}
        assert {name: drawn.names[thread][name] for name in calls} == calls


def test_chrome(traces: tuple[Path, Path], tmp_path: Path) -> None:
    decoded = json.loads(exported(tmp_path / "out", "chrome", *traces).read_bytes())
    jsonschema.validate(decoded, TRACE_EVENT_SCHEMA)
    drawn = Tracks()
    names, flows = [], Counter[int]()
    for event in decoded["traceEvents"]:
        track = event["pid"], event["tid"]
        match event["ph"]:
            case "B":
                drawn.begin(track, event["ts"], event["name"], event["cat"])
            case "E":
                drawn.end(track, event["ts"])
            case "M":
                names.append((event["pid"], event["name"], event["args"]["name"]))
            case "s" | "f":
                flows[event["id"]] += 1
    drawn.check()
    assert (1, "process_name", "guest-hello") in names and (2, "thread_name", "vCPU 0") in names
    assert set(flows.values()) == {2}
    for pid, trace in enumerate(traces, 1):
        kinds = expected(trace)
        assert drawn.begun[pid, 1] == Counter({name: count for name, count in kinds.items() if name in SLICES})


def ctf_counts(folder: Path) -> Counter[str]:
    """Events by name, read by what the description says of ids and by the sizes of packets."""
    names = {}
    for part in (folder / "metadata").read_text().split("event {")[1:]:
        name, rest = part.split('name = "')[1].split('"', 1)
        names[int(rest.split("id = ")[1].split(";")[0])] = name
    data, at, last = (folder / "stream").read_bytes(), 0, 0
    found: Counter[str] = Counter()
    while at < len(data):
        magic, _, begin, stop, content, size, _ = struct.unpack_from("<IIQQQQQ", data, at)
        assert magic == ctf.MAGIC and content == size and last <= begin <= stop
        for place in range(at + ctf.HEADER.itemsize, at + size // 8, ctf.EVENT.itemsize):
            number, time = struct.unpack_from("<IQ", data, place)
            assert last <= time
            found[names[number]] += 1
            last = time
        at += size // 8
    return found


def test_ctf(traces: tuple[Path, Path], tmp_path: Path) -> None:
    folder = exported(tmp_path / "out", "ctf", traces[1])
    found = ctf_counts(folder)
    kinds: Counter[str] = Counter()
    for name, count in found.items():
        kinds[name.partition(":")[0]] += count
    assert kinds == Counter(expected(traces[1]))
    calls = {row.name: row.count for row in summarise(open_trace(traces[1])).table("hypercall").rows}
    assert {name: found[f"hypercall:{name}"] for name in calls} == calls
    if shutil.which("babeltrace2"):
        run = subprocess.run(["babeltrace2", folder], capture_output=True, text=True, check=True)
        assert run.stderr == ""
        lines = run.stdout.splitlines()
        read = Counter(line.split(") ", 1)[1].split(": {")[0].split(" ", 1)[1] for line in lines)
        assert read == found
        line = next(line for line in lines if "hypercall:out16:" in line)
        assert "port = 0x604" in line and "value = " in line


def test_sql(traces: tuple[Path, Path], tmp_path: Path) -> None:
    def asked(query: str, *options: object) -> list[dict[str, Any]]:
        run = ring3("trace", "sql", traces[0], query, "--json", *options)
        assert run.returncode == 0, run.stderr
        return [json.loads(line) for line in run.stdout.splitlines()]

    rows = asked("SELECT kind, count(*) AS n FROM records GROUP BY kind", "--database", tmp_path / "db")
    assert {row["kind"]: row["n"] for row in rows} == expected(traces[0])
    question = f"SELECT count(*) AS n FROM records WHERE port = {0x604} AND name = 'out16'"
    again = asked(question, "--database", tmp_path / "db")
    assert again == [{"n": 1}]
    assert asked("SELECT guest, lost, complete FROM trace") == [{"guest": "guest-hello", "lost": 0, "complete": True}]
    assert asked("SELECT DISTINCT kind FROM records", "--where", "idle") == [{"kind": "idle"}]
    assert asked("SELECT duration_ns FROM records WHERE kind = 'interrupt' LIMIT 1") == [{"duration_ns": None}]
    table = ring3("trace", "sql", traces[0], "SELECT 1 AS one, 'x' AS two").stdout.decode().split()
    assert table == ["one", "two", "1", "x"]
    assert ring3("trace", "sql", traces[0], "SELECT 1 AS one", "--csv").stdout == b"one\r\n1\r\n"


def test_slices_of_an_odd_trace_are_balanced(tmp_path: Path) -> None:
    """Forged times: operations that overlap, never end, or end after what they are in."""
    odd = numbered(
        record(after=10, latency=100), record(after=50, latency=100), record(after=60, latency=0xFFFF_FFFF),
        record(TraceKind.INTERRUPT, 0x20, after=70), record(number=by_name["iret"].number, after=80, latency=5),
        record(number=by_name["iret"].number, after=90), record(number=250, after=95, latency=1),
        record(TraceKind.EXCEPTION, 31, after=96), record(TraceKind.MARK, 28, args=(0x22225C22,) * 5, after=97),
    )  # fmt: skip
    path = write(tmp_path, BEGIN, odd, record(after=98), end(120, 9))
    decoded = json.loads(exported(tmp_path / "out", "chrome", path).read_bytes())
    drawn = Tracks()
    for event in decoded["traceEvents"]:
        if event["ph"] == "B":
            drawn.begin(event["tid"], event["ts"], event["name"], event["cat"])
        elif event["ph"] == "E":
            drawn.end(event["tid"], event["ts"])
    drawn.check()
    assert ctf_counts(exported(tmp_path / "ctf", "ctf", path)).total() == 8  # without what the contract does not have
    exported(tmp_path / "perfetto", "perfetto", path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["export", "TRACE", "-o", "FOLDER"], "cannot be written (Is a directory); choose another file"),
        (["export", "TRACE", "-o", "FOLDER/none/x"], "cannot be written (No such file or directory)"),
        (["export", "TRACE", "--format", "ctf", "-o", "FOLDER"], "exists; name a new folder"),
        (["export", "TRACE", "TRACE", "--format", "ctf", "-o", "FOLDER/new"], "a CTF folder holds one trace"),
        (["export", "TRACE", "-o", "FOLDER/new", "--where", "x y"], "cannot be understood"),
        (["export", "TRACE"], "'ring3 trace export --help' tells"),
        (["sql", "TRACE", "SELEC"], "SQL: Parser Error"),
        (["sql", "TRACE", "SELECT 1", "--database", "TRACE"], "cannot be used"),
        (["sql", "TRACE", "DROP TABLE records"], "SQL: "),
    ],
)
def test_what_cannot_be_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = write(tmp_path, BEGIN, numbered(record(after=5)), end(10, 1))
    folder = tmp_path / "folder"
    folder.mkdir()
    given = [argument.replace("TRACE", str(path)).replace("FOLDER", str(folder)) for argument in arguments]
    assert message in refusal("trace", *given)
    assert list(folder.iterdir()) == [] and sorted(tmp_path.iterdir()) == [folder, path]
