"""The bare machine: Bochs, which checks what a processor checks (segment limits and types included).

It starts from a ROM of ours (rom.S) and speaks with us over its serial port. While nothing is asked of it,
it is stopped: it would wait busily.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import struct
import subprocess
from pathlib import Path

from tests.proof.build import Kernel, build_rom
from tests.proof.machine import MAX_CHANGES, RESULT_FIELDS, RESULT_SIZE, Raw, State

TIMEOUT = 10.0
_CONFIG = """
plugin_ctrl: unmapped=0, biosdev=0, speaker=0, extfpuirq=0, parallel=0, gameport=0, usb_uhci=0
config_interface: textconfig
display_library: term
memory: guest=32, host=32
romimage: file={rom}, address=0xfffc0000, options=none
vgaromimage: file={vga}
cpu: model=p3_katmai, count=1, ips=1000000, reset_on_triple_fault=0, ignore_bad_msrs=0
clock: sync=none, time0=0
com1: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
log: {log}
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
"""


def available() -> bool:
    """Is there a bare machine on this host?"""
    return shutil.which("bochs") is not None


class Died(Exception):
    """The bare machine did not answer: a triple fault, or a halt without end."""


class Bochs:
    """One bare machine with `kernel` in it; answers one case at a time."""

    def __init__(self, folder: Path, kernel: Kernel) -> None:
        self.folder, self.kernel = folder, kernel
        self.rom = build_rom(folder, kernel)
        self.process: subprocess.Popen[bytes] | None = None
        self.link: socket.socket | None = None

    def start(self) -> socket.socket:
        """Power it on. Raises RuntimeError with what Bochs says where it does not come up."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(TIMEOUT)
            config, vga = self.folder / "bochsrc", self.folder / "vga.bin"
            vga.write_bytes(bytes([0x55, 0xAA, 1, 0xCB]).ljust(511, b"\0") + bytes([-(0x55 + 0xAA + 1 + 0xCB) & 0xFF]))
            config.write_text(_CONFIG.format(rom=self.rom, vga=vga, port=server.getsockname()[1],
                                             log=self.folder / "bochs.log"))
            commands = self.folder / "bochs.commands"  # where it is built with its debugger: go on
            commands.write_text("c\n")
            self.process = subprocess.Popen(
                ["bochs", "-q", "-f", str(config), "-rc", str(commands)], cwd=self.folder, stdin=subprocess.DEVNULL,
                stdout=(self.folder / "bochs.out").open("wb"), stderr=subprocess.STDOUT,
                env={**os.environ, "TERM": "vt100"}, start_new_session=True)
            try:
                link, _ = server.accept()
            except TimeoutError:
                self.close()
                said = (self.folder / "bochs.out").read_text(errors="replace")
                raise RuntimeError(f"Bochs does not start (Debian: apt-get install bochs bochs-term)\n{said}") from None
        link.settimeout(TIMEOUT)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.link = link
        return link

    def run(self, number: int, state: State) -> Raw:
        """What site `number` makes of `state`. Raises Died where the machine does not answer."""
        link = self.link or self.start()
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)
        try:
            link.sendall(state.pack(number))
            data = self._receive(link, RESULT_SIZE)
            (count,) = struct.unpack_from("<I", data)
            assert count <= MAX_CHANGES, data
            data += self._receive(link, 8 * count)
        except (OSError, EOFError) as error:
            self.close()
            raise Died(str(error)) from error
        self.process.send_signal(signal.SIGSTOP)
        return Raw.unpack(data)

    @staticmethod
    def _receive(link: socket.socket, size: int) -> bytes:
        data = b""
        while len(data) < size:
            # Bochs writes byte by byte: it must not wait for an acknowledgement of the first.
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
            part = link.recv(size - len(data))
            if not part:
                raise EOFError("the machine has ended")
            data += part
        return data

    def close(self) -> None:
        """End the machine; `run` starts another."""
        if self.link:
            self.link.close()
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            self.process.wait()
        self.link = self.process = None


assert RESULT_FIELDS[0] == "count"
