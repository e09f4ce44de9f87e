"""How long ``ring3 port`` takes for a tree of a million lines, with nothing remembered from before."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from pathlib import Path

from rich.console import Console

from bench.tree_source import write_tree

LINES = 1_000_000
JOBS = 2
BOUND_SECONDS = 60.0


def _timed(command: list[str], environment: dict[str, str]) -> float:
    began = time.monotonic()
    subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL)
    return time.monotonic() - began


def port_a_tree(ring3: list[str], console: Console) -> bool:
    """Port the tree, then again with one file changed; prints the times; whether the first is within its bound."""
    with tempfile.TemporaryDirectory() as directory:
        root, out = Path(directory) / "src", Path(directory) / "out"
        lines = write_tree(root, LINES)
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
                       "XDG_CACHE_HOME": directory}
        command = [*ring3, "port", str(root), "-o", str(out), "--jobs", str(JOBS)]
        seconds = _timed(command, environment)
        one = next(root.glob("dir0/*.c"))
        one.write_text(one.read_text() + "int changed;\n")
        again = _timed(command, environment)
    met = seconds < BOUND_SECONDS
    console.print(f"port of {lines:,} lines on {JOBS} processors: {seconds:.1f} s (bound {BOUND_SECONDS:.0f} s) "
                  f"{'ok' if met else 'MISSED'}; again with one file changed: {again:.1f} s")
    return met
