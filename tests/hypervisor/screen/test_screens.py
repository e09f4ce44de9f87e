"""What a guest draws by the registers of the VGA looks as on a PC, dot by dot.

`recorded.json` holds what an emulated PC showed; ``python -m tests.hypervisor.screen.record`` makes it anew.
"""

from __future__ import annotations

import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest

from hypervisor.screen.pixels import Pixels
from hypervisor.screen.png import SIGNATURE
from tests.hypervisor.cli.commands import ring3
from tests.hypervisor.screen import screens
from tests.samples.kernels import RING3, environment


@pytest.mark.parametrize("screen", screens.SCREENS)
def test_a_screen_looks_as_on_a_pc(screen: str, tmp_path: Path, monitor: Path) -> None:
    assert screens.drawn(screen, tmp_path) == screens.recorded()[screen]


@pytest.mark.parametrize("screen", screens.SCREENS)
def test_the_recording_is_what_a_pc_shows(screen: str, tmp_path: Path) -> None:
    if not screens.have_pc():
        pytest.skip("qemu-system-i386 is not here; the other test compares with what was recorded of it")
    assert screens.summary(screens.on_pc(screens.build(screen, tmp_path))) == screens.recorded()[screen]


def test_ring3_screenshot_shows_the_same(tmp_path: Path, monitor: Path) -> None:
    """The whole way: a running guest, its socket, the command, the file."""
    kernel = screens.build("mode 13h", tmp_path, "-DSTAY")
    name, picture = f"shot-{tmp_path.name[-40:]}", tmp_path / "screen.png"
    with subprocess.Popen([*RING3, "run", str(kernel), "--name", name], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, env=environment()) as guest:  # fmt: skip
        try:
            assert guest.stdout and guest.stdout.read(6) == b"drawn\n"
            run = ring3("screenshot", name, "-o", picture)
            assert run.returncode == 0, run.stderr
        finally:
            guest.kill()
    assert screens.summary(pixels(picture.read_bytes())) == screens.recorded()["mode 13h"]


def pixels(data: bytes) -> Pixels:
    """The pixels of a PNG file in true colour without filters."""
    at, lines = len(SIGNATURE), b""
    width = height = 0
    while at < len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height = struct.unpack_from(">II", body)
        elif kind == b"IDAT":
            lines += body
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(lines), np.uint8).reshape(height, 1 + width * 3)
    assert not rows[:, 0].any(), "no filter"
    return rows[:, 1:].reshape(height, width, 3)
