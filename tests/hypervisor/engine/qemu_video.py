"""``python -m tests.hypervisor.engine.qemu_video``: record what QEMU's VGA, keyboard and mouse answer to scripts."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from random import Random

from tests.hypervisor.engine import i8042_scripts, vga_scripts
from tests.hypervisor.engine.port_script import QEMU_SECONDS, Record, answers, assemble, have_qemu, play

RECORDED = Path(__file__).parent / "recorded_video"
CASES: dict[str, list[Record]] = {
    **{f"vga-{seed}": vga_scripts.register_script(Random(seed), 120) for seed in range(3)},
    **{f"i8042-{seed}": i8042_scripts.script(Random(seed)) for seed in range(3)},
}
_EXIT = 1  # isa-debug-exit with value 0


def on_qemu(name: str, folder: Path) -> str:
    """What QEMU answers now."""
    kernel = assemble(CASES[name], folder / "guest", ported=False)
    command = ["qemu-system-i386", "-M", "pc", "-kernel", str(kernel), "-serial", "stdio", "-display", "none",
               "-nic", "none", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]  # fmt: skip
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=QEMU_SECONDS)
    if run.returncode != _EXIT:
        raise RuntimeError(f"QEMU ended with status {run.returncode}: {run.stderr.decode()[-300:]}")
    return answers(run.stdout)


def in_ring3(name: str, folder: Path) -> str:
    """What ring3 answers."""
    return play(CASES[name], folder).said


def recorded(name: str) -> str:
    """What QEMU answered when it was recorded."""
    return (RECORDED / f"{name}.txt").read_text()


def main() -> int:
    if not have_qemu():
        print("record: qemu-system-i386 not found (Debian: apt-get install qemu-system-x86)", file=sys.stderr)
        return 2
    RECORDED.mkdir(exist_ok=True)
    for name in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            (RECORDED / f"{name}.txt").write_text(on_qemu(name, Path(scratch)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
