"""Builds the sample kernels, runs them, and knows what a PC printed for each."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from native.build import compiler
from tests.samples.conversation import Conversation, Keyboard, Step
from tests.samples.pc_keyboard import PcKeyboard

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "sample_kernels"
SAMPLES = ("hello", "preempt", "tasks", "micro", "count")
"""Built by a C compiler."""
NASM_SAMPLES = ("forth",)
TRANSCRIPTS = Path(__file__).resolve().parent / "transcripts"
RING3 = (sys.executable, "-m", "hypervisor.cli.main")
TIMEOUT_SECONDS = 60
POWERED_OFF = 0
"""Exit status of QEMU and of ring3 when a guest turns its machine off."""


@cache
def _runtime() -> tempfile.TemporaryDirectory[str]:
    """Where the guests of this test run have their control sockets: names do not meet those of other runs."""
    return tempfile.TemporaryDirectory(prefix="ring3-tests-")


def environment() -> dict[str, str]:
    """The environment in which ``RING3`` works from any directory, installed or not."""
    path = os.environ.get("PYTHONPATH")
    own = {"PYTHONPATH": f"{ROOT}{os.pathsep}{path}" if path else str(ROOT), "XDG_RUNTIME_DIR": _runtime().name}
    return os.environ | own


def _checked(command: list[str]) -> None:
    run = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=TIMEOUT_SECONDS)
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} failed:\n{run.stdout}{run.stderr}")


def make(sample: str, out: Path, ported: bool, tree: Path = SOURCES) -> Path:
    """Build ``sample`` of ``tree`` into the folder ``out``, through ring3's wrapper of its compiler (or of NASM) if
    ``ported``; returns the kernel. A failing build raises with its output."""
    if sample in NASM_SAMPLES:
        return make_with(sample, out, [*(RING3 if ported else ()), "nasm"], tree, tool="AS")
    return make_with(sample, out, [*(RING3 if ported else ()), *(("cc",) if ported else ()), *compiler()], tree)


def make_with(sample: str, out: Path, command: Sequence[str], tree: Path = SOURCES, tool: str = "CC") -> Path:
    """Build ``sample`` of ``tree`` into the folder ``out`` by a compiler command (or that of another ``tool``, by its
    make variable). Returns and raises as `make`."""
    _checked(["make", "-s", "-C", str(tree / sample), f"{tool}={' '.join(command)}", f"OUT={out}"])
    return out / f"{sample}.elf"


def port_tree(out: Path, sources: Path = SOURCES) -> Path:
    """Port the sources of all samples into the new folder ``out``, which is returned."""
    _checked([*RING3, "port", str(sources), "-o", str(out)])
    return out


def _console(command: list[str], steps: Sequence[Step], keyboard: Keyboard | None = None) -> str:
    with Conversation(command, environment(), TIMEOUT_SECONDS) as conversation:
        conversation.play(steps, keyboard)
        run = conversation.finish()
    text = run.stdout.decode().replace("\r\n", "\n")
    if run.returncode != POWERED_OFF:
        raise RuntimeError(f"{command[0]} ended with status {run.returncode}:\n{text}\n{run.stderr.decode()}")
    return text


def run_in_ring3(kernel: Path, *options: str, steps: Sequence[Step] = ()) -> str:
    """What ``kernel`` prints in ring3, while ``steps`` are typed, until it turns the machine off. Any other end
    raises."""
    return _console([*RING3, "run", str(kernel), *options], steps)


def have_pc() -> bool:
    """Whether there is an emulated PC here to run unported kernels on."""
    return shutil.which("qemu-system-i386") is not None


def run_on_pc(kernel: Path, *options: str, steps: Sequence[Step] = (), keyboard: bool = False) -> str:
    """What ``kernel``, unported, prints on an emulated PC while ``steps`` are typed: to its first serial port or, if
    ``keyboard``, on its keyboard."""
    command = ["qemu-system-i386", "-kernel", str(kernel), "-serial", "stdio", "-display", "none",
               "-device", "isa-debug-exit,iobase=0xf4,iosize=4", "-no-reboot", *options]
    if not keyboard:
        return _console(command, steps)
    with PcKeyboard() as pc:
        return _console([*command, *pc.options], steps, pc.type)


def have_nasm() -> bool:
    """Whether the samples written for NASM can be built here."""
    return shutil.which("nasm") is not None


def transcript(session: str) -> Path:
    """The file that holds what was printed on an emulated PC when the session of this name was recorded."""
    return TRANSCRIPTS / f"{session}.txt"
