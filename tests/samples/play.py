"""Plays a session with a sample kernel: on an emulated PC, or in ring3."""

from __future__ import annotations

from pathlib import Path

from tests.samples import kernels
from tests.samples.sessions import SESSIONS


def _modules(sample: str, kernel: Path) -> list[tuple[Path, str]]:
    """What a loader is to bring along with the kernel: the programs beside it, each with its arguments."""
    listing = kernels.SOURCES / sample / "modules"
    lines = listing.read_text().splitlines() if listing.exists() else []
    return [(kernel.parent / line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def _disk(kernel: Path) -> Path | None:
    """The second disk of the machine: the one beside the kernel, if its build made one. The session changes it."""
    disk = kernel.parent / "disk.img"
    return disk if disk.exists() else None


def on_pc(name: str, kernel: Path) -> str:
    """What an emulated PC prints in this session, with the unported kernel."""
    session = SESSIONS[name]
    modules = [f"{path} {line}" for path, line in _modules(session.sample, kernel)]
    options = ["-initrd", ",".join(modules)] if modules else []
    if disk := _disk(kernel):
        options += ["-drive", f"file={disk},format=raw,index=1"]
    return kernels.run_on_pc(kernel, *options, steps=session.steps, keyboard=session.keyboard)


def in_ring3(name: str, kernel: Path, *options: str) -> str:
    """What is printed in ring3 in this session, with the ported kernel."""
    session = SESSIONS[name]
    modules = [f"--module={path}={path} {line}" for path, line in _modules(session.sample, kernel)]
    disk = _disk(kernel)
    disks = [f"--disk={disk}"] if disk else []
    return kernels.run_in_ring3(kernel, *modules, *disks, *options, steps=session.steps)
