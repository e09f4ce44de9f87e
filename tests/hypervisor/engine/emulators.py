"""The same guests, unported, on PCs that others have built: QEMU, and Bochs, which checks what a processor checks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from elftools.elf.elffile import ELFFile

from tests.hypervisor.engine.guests import items
from tests.proof import oracle
from tests.proof.build import Kernel

QEMU = shutil.which("qemu-system-i386")
BOCHS = oracle.available()
SECONDS = 30.0
_END = b"\x04"  # what `finish` sends last


def run_in_qemu(kernel: Path) -> dict[str, int]:
    """What a guest says in QEMU, which must be installed; it must end by `finish`."""
    assert QEMU
    command = (QEMU, "-kernel", str(kernel), "-m", "16", "-display", "none", "-serial", "stdio", "-net", "none",
               "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4")  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False)
    text = done.stdout.decode(errors="replace")
    assert done.returncode == 1, (done, text)
    return items(text)


def run_in_bochs(kernel: Path, folder: Path) -> dict[str, int]:
    """What a guest says in Bochs, which must be installed; it must end by `finish`."""
    with kernel.open("rb") as file:
        entry = ELFFile(file).header.e_entry
    machine = oracle.Bochs(folder, Kernel(kernel, {"_start": entry}, {}, 0, b""))
    said = b""
    try:
        link = machine.start()
        while _END not in said:
            part = link.recv(4096)
            assert part, said
            said += part
    finally:
        machine.close()
    return items(said.decode(errors="replace"))
