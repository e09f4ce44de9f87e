"""``ring3 trace`` as a command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hypercalls.structs import TraceKind
from tests.hypervisor import guests
from tests.hypervisor.cli.commands import refusal, ring3
from tests.hypervisor.trace.traces import BEGIN, end, numbered, record, write

pytestmark = pytest.mark.usefixtures("monitor")


@pytest.fixture(scope="module")
def hello(sample_kernel: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, monitor: Path) -> Path:
    trace = tmp_path_factory.mktemp("hello") / "trace"
    run = ring3("trace", "record", trace, sample_kernel("hello", ported=True))
    assert run.returncode == 0 and run.stderr == b"" and b"hello: goodbye" in run.stdout
    return trace


def output(*arguments: object) -> str:
    run = ring3("trace", *arguments)
    assert run.returncode == 0, run.stderr
    assert run.stderr == b""
    return run.stdout.decode()


def test_list_shows_a_line_for_each_record(hello: Path) -> None:
    lines = output("list", hello).splitlines()
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times)
    assert "exit      new_member(pid=" in lines[0]
    assert any("hypercall ltr" in line or "hypercall lgdt(operand=[0x" in line for line in lines)
    assert sum("device      port_out(port=0x0020 [PIC], value=0x20)" in line for line in lines) >= 50  # EOIs
    assert "no end 0 exit        port_out(port=0x0604 [power management], value=0x2000)" in lines[-1]
    assert "power_off+0x" in lines[-1]


def test_list_can_be_narrowed(hello: Path) -> None:
    assert len(output("list", hello, "--limit", "5").splitlines()) == 5
    assert output("list", hello, "--limit", "0") == ""
    halts = output("list", hello, "--where", "safe_halt").splitlines()
    assert len(halts) == 50 and all(" hypercall safe_halt" in line for line in halts)
    both = output("list", hello, "--where", "interrupt,exception").splitlines()
    assert {line.split()[2] for line in both if "vector 0x20" in line} == {"interrupt"}
    assert output("list", hello, "--where", "exit and iret") == ""


def test_list_as_json(hello: Path) -> None:
    records = [json.loads(line) for line in output("list", hello, "--where", "out16", "--json").splitlines()]
    assert [(found["kind"], found["name"], found["args"]) for found in records] == [
        ("hypercall", "out16", {"port": 0x604, "value": 0x2000})]  # fmt: skip
    assert records[0]["latency_ns"] is None and records[0]["caller"].startswith("power_off")


def test_summary_in_a_pipe_is_plain_and_whole(hello: Path) -> None:
    text = output("summary", hello)
    assert "hello.elf, recorded 20" in text and ", 0 lost" in text
    assert "\x1b" not in text and text.isascii()
    rows = {line.split()[0]: line.split() for line in text.splitlines() if line}
    assert rows["iret"][1] == "51"  # 50 ticks and a breakpoint
    for title in ("hypercalls", "callers", "exits", "interrupts", "devices"):
        assert title in rows


def test_summary_as_json_agrees_with_its_tables(hello: Path) -> None:
    whole = json.loads(output("summary", hello, "--json"))
    tables = whole["tables"]
    assert whole["records"] == sum(row["count"] for row in tables["records"])
    calls = sum(row["count"] for row in tables["hypercalls"])
    assert calls == sum(row["count"] for row in tables["callers of hypercalls"])
    one = json.loads(output("summary", hello, "--by", "hypercall", "--json"))
    assert one["tables"] == {"hypercalls": tables["hypercalls"]}


@pytest.mark.parametrize(("by", "title"), [("hypercall", "hypercalls"), ("caller", "callers"), ("kind", "records")])
def test_summary_by(hello: Path, by: str, title: str) -> None:
    tables = output("summary", hello, "--by", by).split("\n\n")
    assert len(tables) == 2 and tables[1].startswith(title)


def test_summary_cuts_long_tables_and_says_so(hello: Path) -> None:
    text = output("summary", hello, "--by", "caller", "--top", "2")
    assert "more with" in text and "--top 0 shows all" in text
    assert "--top 0" not in output("summary", hello, "--by", "caller", "--top", "0")


def test_a_guest_that_restarts_is_one_trace(tmp_path: Path) -> None:
    # The CMOS survives no restart, so the guest restarts until the time is over.
    kernel = guests.write(tmp_path, guests.RESET)
    run = ring3("run", kernel, "--trace", tmp_path / "trace", "--timeout", "2")
    assert b"the guest starts again" in run.stderr
    whole = json.loads(output("summary", tmp_path / "trace", "--json"))
    assert whole["boots"] > 1 and whole["damaged"] == 0


def test_cut_traces_are_shown_with_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path, BEGIN, numbered(record(after=10), record(TraceKind.IDLE, 0, after=20)))
    path.write_bytes(path.read_bytes() + b"R3CHcut")
    run = ring3("trace", "list", path)
    assert run.returncode == 0 and len(run.stdout.splitlines()) == 2
    assert b"cut off; its last records are missing" in run.stderr
    assert b"kernel /no/such/kernel.elf is gone" in run.stderr
    assert "cut off" in ring3("trace", "summary", path).stdout.decode()


def test_a_kernel_that_changed_is_told(sample_kernel: Callable[..., Path], tmp_path: Path) -> None:
    kernel = tmp_path / "kernel.elf"
    kernel.write_bytes(sample_kernel("hello", ported=True).read_bytes())
    assert ring3("run", kernel, "--trace", tmp_path / "trace").returncode == 0
    kernel.write_bytes(kernel.read_bytes() + b"\n")
    assert "has changed since the recording" in ring3("trace", "summary", tmp_path / "trace").stdout.decode()
    by_name = ring3("trace", "summary", tmp_path / "trace", "--symbols", sample_kernel("hello", ported=True)).stdout
    assert b"has changed" not in by_name and b"power_off" in by_name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "'ring3 trace --help' tells"),
        (["show", "x"], "invalid choice: 'show'"),
        (["list", "/nowhere/trace"], "trace /nowhere/trace cannot be read (No such file or directory)"),
        (["list", "TRACE", "--where", "kind:irq"], "'irq' is no kind of record; choose from hypercall"),
        (["list", "TRACE", "--where", "outb"], "there is no hypercall 'outb'; perhaps out"),
        (["list", "TRACE", "--where", "xyzzy"], "there is no hypercall 'xyzzy'; 'ring3 abi' lists them"),
        (["list", "TRACE", "--limit", "-1"], "--limit -1 is no number of records"),
        (["summary", "TRACE", "--top", "-1"], "--top -1 is no number of rows"),
        (["summary", "TRACE", "--by", "colour"], "invalid choice: 'colour'"),
        (["summary", "TRACE", "--symbols", "/nowhere/elf"], "symbols /nowhere/elf cannot be read"),
        (["summary", "TRACE", "--symbols", "TRACE"], "has no symbols"),
        (["record", "/nowhere/trace", "/nowhere/kernel"], "kernel /nowhere/kernel"),
    ],
)
def test_wrong_arguments_are_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    path = write(tmp_path, BEGIN, end(10, 0))
    given = [str(path) if argument == "TRACE" else argument for argument in arguments]
    assert message in refusal("trace", *given)


def test_no_trace_is_left_where_nothing_ran(tmp_path: Path) -> None:
    refusal("run", tmp_path / "none.elf", "--trace", tmp_path / "trace")
    assert not (tmp_path / "trace").exists()
