"""Builds the kernel that draws screens, runs it here and on an emulated PC, and reduces what both show."""

from __future__ import annotations

import hashlib
import json
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from hypervisor.domain import Domain, DomainConfig
from hypervisor.memory_map import MIB
from hypervisor.screen.pixels import Pixels, render
from hypervisor.screen.snapshot import VgaSnapshot
from native.build import compiler
from tests.hypervisor.engine.guests import Recorder

HERE = Path(__file__).resolve().parent
RECORDED = HERE / "recorded.json"
SCREENS = ("text 80x25", "text, scrolled", "text, two fonts", "text 80x50", "mode 13h", "mode X", "mode 12h",
           "text again", "text 40x25", "mode 4", "mode 0Dh")  # fmt: skip
FLAGS = ("-m32", "-O2", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-nostdlib", "-static", "-no-pie",
          "-Wl,-Ttext-segment=0x100000,-e,start,-z,noexecstack,--build-id=none")  # fmt: skip
_SECONDS = 20


def build(screen: str, folder: Path, *options: str) -> Path:
    """The kernel for one screen. With the option -DSTAY it does not end."""
    number = SCREENS.index(screen)
    kernel = folder / f"screen{number}.elf"
    subprocess.run([*compiler(), *FLAGS, f"-DSCREEN={number}", *options, "-o", str(kernel), str(HERE / "screens.c")],
                   check=True)  # fmt: skip
    return kernel


def snapshot(kernel: Path) -> VgaSnapshot:
    """What the kernel leaves on its screen here."""
    console = Recorder()
    with Domain(DomainConfig(kernel, memory=16 * MIB)) as domain:
        domain.build()
        result = domain.run(console)
        assert console.data == b"drawn\n", (result, console.data)
        return domain.vga.snapshot()


def have_pc() -> bool:
    """Whether there is an emulated PC here."""
    return shutil.which("qemu-system-i386") is not None


def on_pc(kernel: Path) -> Pixels:
    """What the kernel leaves on the screen of an emulated PC."""
    with tempfile.TemporaryDirectory() as scratch:
        monitor, picture, said = Path(scratch, "monitor"), Path(scratch, "screen.ppm"), Path(scratch, "serial")
        command = ["qemu-system-i386", "-kernel", str(kernel), "-display", "none", "-serial", f"file:{said}",
                   "-monitor", f"unix:{monitor},server,nowait"]  # fmt: skip
        with subprocess.Popen(command, stdin=subprocess.DEVNULL) as process:
            try:
                _until(lambda: said.exists() and said.read_bytes() == b"drawn\n")
                with socket.socket(socket.AF_UNIX) as connection:
                    connection.connect(str(monitor))
                    connection.sendall(f"screendump {picture}\n".encode())
                    _until(lambda: picture.exists() and _is_whole(picture.read_bytes()))
                return ppm(picture.read_bytes())
            finally:
                process.kill()


def _until(condition: Any) -> None:
    deadline = time.monotonic() + _SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the emulated PC is too slow"
        time.sleep(0.02)


def _is_whole(data: bytes) -> bool:
    try:
        return ppm(data).size > 0
    except (ValueError, IndexError):
        return False


def ppm(data: bytes) -> Pixels:
    """The pixels of a binary PPM file. ValueError where it is cut off."""
    kind, size, most, content = data.split(b"\n", 3)
    assert (kind, most) == (b"P6", b"255")
    width, height = map(int, size.split())
    return np.frombuffer(content, np.uint8).reshape(height, width, 3)


def summary(pixels: Pixels) -> dict[str, Any]:
    """Size and content of a picture, 6 bits a component: how they become 8 is the monitor's affair."""
    height, width, _ = pixels.shape
    return {"width": width, "height": height, "sha256": hashlib.sha256((pixels >> 2).tobytes()).hexdigest()}


def recorded() -> dict[str, Any]:
    """What an emulated PC showed, by screen."""
    content: dict[str, Any] = json.loads(RECORDED.read_text())
    return content


def drawn(screen: str, folder: Path) -> dict[str, Any]:
    """The summary of one screen as ring3 draws it."""
    return summary(render(snapshot(build(screen, folder))))
