"""Sequential reads of a disk image in a guest, beside the host's own reads of that file."""

from __future__ import annotations

import os
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from native.build import compiler

HERE = Path(__file__).resolve().parent
IMAGE_BYTES = 256 << 20
_CHUNK = 1 << 20
# What the guest measures, and the MB/s that it is to reach (0: told only)
READS = {
    "dma_1m": ("bus master, 1 MiB at a time", 1000),
    "dma_128k": ("bus master, 128 KiB", 1000),
    "dma_4k": ("bus master, 4 KiB", 0),
    "pio_multiple": ("string input, 8 KiB a block", 300),
    "pio_sectors": ("string input, 512 bytes a block", 300),
}

Measure = Callable[[list[str], int], dict[str, list[float]]]


def read_disk(ring3: list[str], measure: Measure, rounds: int, cpu: int, console: Console) -> bool:
    """Guest and host in turn; prints the table; whether every bound holds. `measure` runs a command on a CPU and gives
    what it prints, in cycles per byte."""
    guest: dict[str, list[float]] = {}
    host: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as directory:
        scratch = Path(directory)
        image, program = scratch / "image", scratch / "host"
        with image.open("wb") as file:
            for _ in range(IMAGE_BYTES // _CHUNK):
                file.write(os.urandom(_CHUNK))
        subprocess.run([*compiler(), "-O2", "-o", str(program), str(HERE / "host.c")], check=True)
        subprocess.run(["make", "-s", "-C", str(HERE / "disk"), f"CC={' '.join([*ring3, 'cc', *compiler()])}",
                        f"OUT={scratch}"], check=True, env={**os.environ, "PYTHONPATH": str(HERE.parent)})
        kernel = [*ring3, "run", str(scratch / "disk.elf"), "--disk", f"{image},ro"]
        for _ in range(rounds):
            for figures, command in ((host, [str(program), str(image)]), (guest, kernel)):
                for name, values in measure(command, cpu).items():
                    figures.setdefault(name, []).append(statistics.median(values))
    cycles = statistics.median(host["tsc"]) * 1000  # per microsecond: bytes per microsecond are MB/s
    table = Table(f"read of {IMAGE_BYTES >> 20} MiB", "guest MB/s", "host MB/s", "ratio", "bound", "")
    theirs, met = cycles / statistics.median(host["read"]), True
    for name, (title, bound) in READS.items():
        mine = cycles / statistics.median(guest[name])
        met &= mine >= bound
        table.add_row(title, f"{mine:,.0f}", f"{theirs:,.0f}", f"{mine / theirs:.2f}", f"{bound}" if bound else "",
                      ("ok" if mine >= bound else "MISSED") if bound else "")
    console.print(table)
    return met
