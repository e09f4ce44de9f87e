"""User-mode Linux as a peer, where it is installed (Debian: user-mode-linux): its console."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from rich.console import Console

from native.build import compiler

HERE = Path(__file__).resolve().parent


def user_mode_linux(scratch: Path, console: Console) -> list[str] | None:
    """The command that runs uml.c in a user-mode Linux, built below `scratch`; None where that cannot be."""
    kernel = shutil.which("linux.uml")
    if not kernel:
        console.print("no linux.uml on the path: the console is not compared")
        return None
    root = scratch / "uml"
    for name in ("dev", "proc"):
        (root / name).mkdir(parents=True)
    built = subprocess.run([*compiler(), "-O2", "-static", "-o", str(root / "init"), str(HERE / "uml.c")],
                           capture_output=True, text=True)
    if built.returncode:
        console.print(f"no static program for linux.uml can be built: {built.stderr.strip().splitlines()[-1]}")
        return None
    return [kernel, "mem=128M", "rootfstype=hostfs", f"rootflags={root}", "ro", "init=/init", "con0=fd:0,fd:1",
            "con=null", "quiet"]
