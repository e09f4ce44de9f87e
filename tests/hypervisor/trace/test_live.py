"""Recording guests that run: start, stop, dump, top; marks and stacks that the monitor records."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypercalls import by_name
from hypercalls.structs import TraceKind
from hypervisor.trace import open_trace
from hypervisor.trace.stacks import states_of
from hypervisor.trace.summary import summarise
from tests.hypervisor import guests
from tests.hypervisor.cli.commands import refusal, ring3
from tests.hypervisor.trace.test_recorded_run import Recorded, gate, times
from tests.samples.kernels import RING3, environment

pytestmark = pytest.mark.usefixtures("monitor")
# A thousand hypercalls, then a byte to the serial port, over and over; slowly enough for every host.
CALLS = guests.forever(times(1000, gate("null") + b"\x31\xc0" * 200) + guests.say(b"."))


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[str]:
    """The name of a guest that makes hypercalls until the test is over."""
    name = f"busy-{os.getpid()}"
    kernel = guests.write(tmp_path, CALLS)
    out = tmp_path / "kernel.out"  # a pipe would fill, and hold up the guest
    with out.open("wb") as file, subprocess.Popen(
        [*RING3, "run", str(kernel), "--name", name, "--timeout", "100"], stdin=subprocess.DEVNULL, stdout=file,
        stderr=subprocess.STDOUT, env=environment(),
    ) as process:  # fmt: skip
        while not out.stat().st_size and process.poll() is None:
            time.sleep(0.02)
        try:
            yield name
        finally:
            process.terminate()
            process.wait()


def done(*arguments: object) -> str:
    run = ring3("trace", *map(str, arguments))
    assert run.returncode == 0, run.stderr
    return run.stdout.decode()


def until_it_has(path: Path, count: int) -> None:
    deadline = time.monotonic() + 20
    while len(open_trace(path)) < count and time.monotonic() < deadline:
        time.sleep(0.05)


def test_a_guest_is_recorded_while_it_runs(guest: str, tmp_path: Path) -> None:
    for number in (1, 2):  # one recording after the other
        path = tmp_path / f"trace{number}"
        assert "end it with" in done("start", guest, path, "--only", "null")
        assert "is being recorded to" in refusal("trace", "start", guest, tmp_path / "other")
        assert not (tmp_path / "other").exists()
        until_it_has(path, 2000)
        assert "records" in done("stop", guest)
        trace = open_trace(path)
        assert trace.condition.complete and trace.condition.damaged == 0 and trace.header.only == "null"
        assert {record.number for record in trace} == {by_name["null"].number} and len(trace) >= 2000
    assert f"guest {guest} is not being recorded" in refusal("trace", "stop", guest)


def test_a_flight_recorder_is_dumped_and_goes_on(guest: str, tmp_path: Path) -> None:
    assert "no flight recorder is running" in refusal("trace", "dump", guest, tmp_path / "dump")
    done("start", guest, tmp_path / "trace", "--last", "1", "--only", "null")
    time.sleep(1.5)
    assert (tmp_path / "trace").stat().st_size == 0  # nothing is written before the end
    assert "the last " in done("dump", guest, tmp_path / "dump")
    done("stop", guest)
    for name in ("dump", "trace"):
        trace = open_trace(tmp_path / name)
        assert trace.condition.complete and len(trace) > 100 and trace.header.keep == 1, name
        assert 0.5 < trace.seconds < 2.5


def test_the_recording_of_a_guest_that_ends_is_whole(guest: str, tmp_path: Path) -> None:
    done("start", guest, tmp_path / "trace", "--last", "60")
    assert ring3("stop", guest).returncode == 0
    trace = open_trace(tmp_path / "trace")
    assert trace.condition.complete and len(trace) > 0


def test_top_shows_what_a_guest_asks_for(guest: str) -> None:
    lines = done("top", guest, "--json", "--count", "2", "--interval", "0.5").splitlines()
    pictures = [json.loads(line) for line in lines]
    assert len(pictures) == 2 and pictures[1]["records"] > 0
    rows = {row["name"]: row for row in pictures[1]["tables"]["hypercalls"]}
    assert rows["null"]["count"] > 100 and rows["null"]["latency_ns"]["p50"] > 0
    plain = done("top", guest, "--count", "1", "--interval", "0.3", "--rows", "1")
    assert f"{guest}: " in plain and "null" in plain and "\x1b" not in plain
    assert f"guest {guest} is not being recorded" in refusal("trace", "stop", guest)  # top has cleared up


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["start", "nobody-there", "FILE"], "there is no guest 'nobody-there'"),
        (["top", "nobody-there"], "there is no guest 'nobody-there'"),
        (["start", "x", "FILE", "--only", "latency > 5"], "which cannot be known while recording"),
        (["start", "x", "FILE", "--stack", "5000"], "--stack 5000 is no number of bytes up to 4096"),
        (["start", "x", "FILE", "--last", "-1"], "--last -1 is no time"),
        (["start", "x", "FOLDER/none/file"], "cannot be written (No such file or directory)"),
        (["top", "x", "--interval", "0"], "--interval 0 is no time"),
        (["top", "x", "--only", "xyzzy"], "there is no hypercall 'xyzzy'"),
    ],
)
def test_what_cannot_be_recorded_is_refused(tmp_path: Path, arguments: list[str], message: str) -> None:
    places = {"FILE": str(tmp_path / "file"), "FOLDER/none/file": str(tmp_path / "none" / "file")}
    given = [places.get(argument, argument) for argument in arguments]
    assert message in refusal("trace", *given)
    assert list(tmp_path.iterdir()) == []


def test_what_a_guest_has_no_device_or_function_for_is_refused(guest: str, tmp_path: Path) -> None:
    start = ("trace", "start", guest, tmp_path / "t")
    assert "the machine has no device 'floppy'" in refusal(*start, "--only", "device:floppy")
    assert "the kernel has no function 'ide*'" in refusal(*start, "--caller", "ide*")
    assert not (tmp_path / "t").exists()


# --- marks and stacks -----------------------------------------------------------------------------------


def mark(address: int, length: int, number: int) -> bytes:
    return (b"\xbb" + address.to_bytes(4, "little") + b"\xb9" + length.to_bytes(4, "little")
            + b"\xba" + number.to_bytes(4, "little") + gate("trace_mark"))  # fmt: skip


def test_marks_of_the_guest(tmp_path: Path) -> None:
    text = b"hello, trace: this is far too long to be kept"
    jump = b"\xeb" + bytes([len(text)])  # over the text, which lies behind the 32 bytes of the multiboot header
    code = jump + text + mark(guests.LOAD + 34, 5, 42) + mark(guests.LOAD + 34, len(text), 2**32 - 1) + mark(0, 0, 7)
    run = Recorded(guests.write(tmp_path, code + guests.POWEROFF), tmp_path / "trace")
    marks = [(record.number, record.result) for record in run.trace if record.kind == TraceKind.MARK]
    assert marks == [(5, 42), (28, 2**32 - 1), (0, 7)]
    rows = [json.loads(line) for line in done("list", tmp_path / "trace", "--where", "mark", "--json").splitlines()]
    assert [row["name"] for row in rows] == ["hello", text[:28].decode(), ""]
    assert [row["args"]["number"] for row in rows] == [42, 2**32 - 1, 7]
    assert {row.name: row.count for row in summarise(run.trace).table("mark").rows} == {
        "hello": 1, text[:28].decode(): 1, "": 1}  # fmt: skip


def test_a_mark_whose_text_cannot_be_read_is_the_guests_fault(tmp_path: Path) -> None:
    code = mark(0xFFFF_FFF0, 64, 1) + guests.POWEROFF
    run = ring3("run", guests.write(tmp_path, code), "--trace", tmp_path / "trace", "--no-report", "--timeout", "20")
    assert b"triple fault" in run.stderr.lower()


def test_stacks_are_what_the_guest_had_on_its_stack(tmp_path: Path) -> None:
    push = b"".join(b"\x68" + value.to_bytes(4, "little") for value in range(0x1000, 0x1040))  # 64 words
    code = b"\xbd\x78\x56\x34\x12" + push + gate("null") + guests.POWEROFF  # mov $0x12345678,%ebp
    run = Recorded(guests.write(tmp_path, code), tmp_path / "trace", stack=200)
    found = [state for _, states in states_of(run.trace, "null") for state in states]
    assert len(found) == 1 and found[0]
    words = [int.from_bytes(found[0].stack[at : at + 4], "little") for at in range(0, 200, 4)]
    assert words == list(range(0x103F, 0x103F - 50, -1)) and found[0].ebp == 0x1234_5678
    assert run.calls["null"] == 1 and len(run.trace) == sum(
        row.count for row in summarise(run.trace).table("kind").rows)  # fmt: skip
