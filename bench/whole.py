"""Whole runs of one kernel: ported in ring3, unported in QEMU's emulator, side by side."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

PROMPT_BOUND_SECONDS = 0.5
EMULATOR_FACTOR = 0.1


@dataclass(frozen=True)
class WholeRun:
    """What to wait for on the console, what to type, what ends the run."""

    prompt: str
    command: str
    until: str


def wait_for(process: subprocess.Popen[bytes], text: str, seen: bytearray) -> None:
    """Read what the guest shows until `text` is in it. RuntimeError where it ends before."""
    assert process.stdout
    while text.encode() not in seen:
        chunk = os.read(process.stdout.fileno(), 65536)
        if not chunk:
            raise RuntimeError(f"the guest ended before it showed {text!r}: {bytes(seen[-300:])!r}")
        seen += chunk


def timed(run: WholeRun, command: list[str], environment: dict[str, str], cpu: int) -> tuple[float, float]:
    """Seconds from launch to the prompt, and from typing the command to its end, all on one CPU."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, env=environment,
                               preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
    seen = bytearray()
    try:
        wait_for(process, run.prompt, seen)
        ready = time.monotonic()
        if run.command:
            seen.clear()
            assert process.stdin
            process.stdin.write(run.command.encode() + b"\n")
            process.stdin.flush()
            wait_for(process, run.until or run.prompt, seen)
        return ready - start, time.monotonic() - ready
    finally:
        process.kill()
        process.wait()


def compare_whole(run: WholeRun, ring3: list[str], options: Namespace, console: Console) -> bool:
    """Ported and emulated in turn; prints the table; whether the bounds hold."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}
    figures: dict[str, list[tuple[float, float]]] = {"ring3": [], "QEMU": []}
    qemu = shutil.which("qemu-system-i386") if options.unported else None
    with tempfile.TemporaryDirectory() as directory:
        for round_number in range(options.rounds):
            disk = Path(directory) / "disk"
            arguments: list[str] = []
            if options.disk:
                shutil.copy(options.disk, disk)
                arguments = ["--disk", str(disk)]
            figures["ring3"].append(timed(run, [*ring3, "run", str(options.ported), *arguments], environment,
                                          options.cpu))
            if qemu and round_number < max(1, options.rounds // 3):
                emulator = [qemu, "-kernel", str(options.unported), "-m", "256", "-nographic", "-no-reboot"]
                if options.disk:
                    shutil.copy(options.unported_disk or options.disk, disk)
                    emulator += ["-drive", f"file={disk},index=1,media=disk,format=raw"]
                figures["QEMU"].append(timed(run, emulator, environment, options.cpu))
    table = Table("whole runs", "rounds", "to the prompt, s", "command, s")
    for name, values in figures.items():
        if values:
            table.add_row(name, str(len(values)), f"{statistics.median(v[0] for v in values):.3f}",
                          f"{statistics.median(v[1] for v in values):.3f}")
    console.print(table)
    prompt = statistics.median(value[0] for value in figures["ring3"])
    met = prompt < PROMPT_BOUND_SECONDS
    console.print(f"launch to the prompt {prompt:.3f} s (bound {PROMPT_BOUND_SECONDS} s) {'ok' if met else 'MISSED'}")
    if run.command and figures["QEMU"]:
        ratio = (statistics.median(v[1] for v in figures["ring3"]) / statistics.median(v[1] for v in figures["QEMU"]))
        ok = ratio <= EMULATOR_FACTOR
        met &= ok
        console.print(f"command: {ratio:.3f} of QEMU's time (bound {EMULATOR_FACTOR}) {'ok' if ok else 'MISSED'}")
    return met
