"""``ring3 trace record``, ``start``, ``stop``, ``dump`` and ``top``: recording, and watching a guest that runs."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypervisor.cli.arguments import Parser
from hypervisor.cli.recording import add_recording_options, recording_config
from hypervisor.cli.trace.options import Commands
from hypervisor.errors import RingError
from hypervisor.trace.format import TraceError

_SHORTEST = 0.1  # seconds between two pictures


def add_commands(commands: Commands) -> None:
    """Add what this module does to the parser."""
    record = commands.add_parser("record", help="run a kernel and record it: ring3 run with --trace FILE")
    record.add_argument("file", metavar="FILE", help="the trace to write")
    record.add_argument("rest", nargs=argparse.REMAINDER, metavar="KERNEL ...",
                        help="the kernel and the options of ring3 run")
    record.set_defaults(command=_record)

    start = commands.add_parser("start", help="begin to record a guest that runs")
    start.add_argument("name", metavar="NAME", help="the guest, as 'ring3 list' shows it")
    start.add_argument("file", type=Path, metavar="FILE", help="the trace to write")
    add_recording_options(start, "--")
    start.set_defaults(command=_start)

    stop = commands.add_parser("stop", help="end a recording, which is then whole")
    stop.add_argument("name", metavar="NAME", help="the guest, as 'ring3 list' shows it")
    stop.set_defaults(command=_stop)

    dump = commands.add_parser("dump", help="write what a flight recorder (--last) remembers, and let it go on")
    dump.add_argument("name", metavar="NAME", help="the guest, as 'ring3 list' shows it")
    dump.add_argument("file", type=Path, metavar="FILE", help="the trace to write")
    dump.set_defaults(command=_dump)

    _add_top(commands.add_parser("top", help="watch what a guest asks for while it runs"))


def _add_top(parser: Parser) -> None:
    add = parser.add_argument
    add("name", metavar="NAME", help="the guest, as 'ring3 list' shows it")
    add("--only", default="", metavar="WHAT", help="watch only this, for example mmu,port:0x3f8")
    add("--caller", default="", metavar="GLOBS", help="watch only what these functions ask for")
    add("--interval", type=float, default=1.0, metavar="SECONDS", help="time between two pictures (default 1)")
    add("--count", type=int, default=0, metavar="N", help="end after N pictures (default: Ctrl-C ends)")
    add("--rows", type=int, default=10, metavar="N", help="rows of each table (default 10)")
    add("--json", action="store_true", help="one JSON object for each picture, a line each")
    parser.set_defaults(command=_top)


def _record(options: argparse.Namespace) -> int:
    from hypervisor.cli import run  # with all that a machine is made of

    return run.main(["--trace", options.file, *options.rest])


def _ask(name: str, command: str, fd: int, **arguments: Any) -> dict[str, Any]:
    from hypervisor.control.client import ask

    return ask(name, command, arguments, [fd] if fd >= 0 else [])


def _request(name: str, command: str, config: Any, fd: int) -> dict[str, Any]:
    return _ask(name, command, fd, path=str(config.path.absolute()), only=config.selection.only,
                caller=config.selection.caller, stack=config.stack, keep=config.keep)  # fmt: skip


def _create(path: Path) -> int:
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise TraceError(f"trace {path} cannot be written ({error.strerror}); choose another file") from error


def _into(path: Path, command: str, name: str, config: Any = None) -> dict[str, Any]:
    """Let the guest write to a new file at `path`, which takes the place of one that is there when that has begun."""
    part = path.with_name(f"{path.name}.{os.getpid()}")
    fd = _create(part)
    try:
        answer = _request(name, command, config, fd) if config else _ask(name, command, fd)
        part.rename(path)
        return answer
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _start(options: argparse.Namespace) -> int:
    config = recording_config(options, options.file, "--")
    answer = _into(options.file, "trace-start", options.name, config)
    print(f"recording {answer['name']} to {options.file}; end it with 'ring3 trace stop {options.name}'")
    return 0


def _stop(options: argparse.Namespace) -> int:
    answer = _ask(options.name, "trace-stop", -1)
    lost = f", {answer['lost']:,} lost" if answer["lost"] else ""
    print(f"{answer['path']}: {answer['records']:,} records{lost}")
    if answer["problem"]:
        print(f"ring3: {answer['problem']}", file=sys.stderr)
        return 1
    return 0


def _dump(options: argparse.Namespace) -> int:
    answer = _into(options.file, "trace-dump", options.name)
    print(f"{options.file}: the last {answer['seconds']:.1f} s")
    return 0


def _top(options: argparse.Namespace) -> int:
    from hypervisor.trace.recording import TraceConfig
    from hypervisor.trace.ring_filter import check
    from hypervisor.trace.selection import Selection
    from hypervisor.trace.stream import Stream
    from hypervisor.trace.top import watch

    if not options.interval >= _SHORTEST:
        raise TraceError(f"--interval {options.interval:g} is no time; give seconds from {_SHORTEST:g} on")
    if options.count < 0 or options.rows < 1:
        raise TraceError("--count is a number of pictures, --rows one of rows from 1 on")
    config = TraceConfig(Path(f"top of process {os.getpid()}"), Selection(options.only, options.caller))
    check(config.selection)
    reading, writing = os.pipe()
    try:
        answer = _request(options.name, "trace-start", replace(config), writing)
    finally:
        os.close(writing)
    try:
        with Stream(reading, f"guest {answer['name']}") as stream:
            show = (lambda picture: print(json.dumps(picture), flush=True)) if options.json else None
            watch(stream, answer["name"], options.interval, options.count, options.rows, show)
    except KeyboardInterrupt:
        pass
    finally:
        with contextlib.suppress(RingError):  # the guest may have ended, too
            _ask(options.name, "trace-stop", -1)
    return 0
