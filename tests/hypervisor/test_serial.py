"""Serial ports beside the console: what a guest finds, and their far ends."""

from __future__ import annotations

import os
import re
import select
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hypervisor.domain import Domain, DomainConfig
from hypervisor.rings import SerialRings
from hypervisor.serial import SerialConfig, parse_serial
from tests.hypervisor.cli.commands import ring3
from tests.hypervisor.engine import guests

SECONDS = 20

# Says what each port's scratch register keeps, then sends 20000 bytes to the second.
PROBE = """
.macro probe port:req
	movl $\\port+7,%edx
	movb $0x5a,%al
	r3_out %al,%dx
	xorl %eax,%eax
	r3_in %dx,%al
	say \\port, %eax
.endm
test:	probe 0x2f8
	probe 0x3e8
	probe 0x2e8
	movl $20000,%ecx
	movl $0x2f8,%edx
1:	movb %cl,%al
	r3_out %al,%dx
	decl %ecx
	jnz 1b
	finish
"""
SENT = bytes(count & 0xFF for count in range(20000, 0, -1))

# Sends back what comes at the third port until that is a q; waits in hlt, for the port's interrupt.
ECHO = """
	.macro port number:req, value:req
	movb \\value,%al
	r3_out %al,\\number
	.endm
test:	port $0x20, $0x11
	port $0x21, $0x20
	port $0x21, $4
	port $0x21, $1
	port $0x21, $0xef
	gate 0x24, taken
	movl $0x3e9,%edx
	movb $1,%al
	r3_out %al,%dx
1:	r3_sti
	r3_hlt
	r3_cli
	jmp 1b
taken:	pushal
	movl $0x3ed,%edx
2:	r3_in %dx,%al
	testb $0x10,%al
	jz 3f
	movl $0x3e8,%edx
	r3_in %dx,%al
	movb $'!',%al
	r3_out %al,%dx
	movl $0x3ed,%edx
	jmp 2b
3:	testb $1,%al
	jz 4f
	movl $0x3e8,%edx
	r3_in %dx,%al
	r3_out %al,%dx
	cmpb $'q',%al
	je 5f
	movl $0x3ed,%edx
	jmp 2b
4:	port $0x20, $0x20
	popal
	r3_iret
5:	finish
"""


@pytest.mark.parametrize(("text", "number", "kind"), [("2=null", 1, "null"), ("4=pty", 3, "pty")])
def test_what_users_ask_for(text: str, number: int, kind: str) -> None:
    assert parse_serial(text) == SerialConfig(number, kind)
    assert parse_serial("3=file:a=b:c").path == Path("a=b:c")


def test_ports_that_were_not_asked_for_are_absent(monitor: Path, tmp_path: Path) -> None:
    kernel, file = guests.assemble(PROBE, tmp_path / "guest", ported=True), tmp_path / "sent"
    run = ring3("run", kernel, "--serial", f"2=file:{file}", "--stats")
    said = [word for word in run.stdout.decode().split() if "=" in word]
    assert said == ["0x2f8=0000005a", "0x3e8=000000ff", "0x2e8=000000ff"], run.stderr
    assert file.read_bytes() == SENT
    assert re.search(r"^probed, absent ports: 0x2ef 0x3ef$", run.stderr.decode(), re.MULTILINE)


@contextmanager
def echo(folder: Path, far: SerialConfig) -> Iterator[Domain]:
    """A running guest of ECHO; its end is waited for."""
    kernel = guests.assemble(ECHO, folder / "guest", ported=True)
    with Domain(DomainConfig(kernel, memory=guests.MEMORY, serials=(far,))) as domain:
        domain.build()
        ended: list[object] = []
        thread = threading.Thread(target=lambda: ended.append(domain.run(guests.Recorder())))
        thread.start()
        try:
            yield domain
            thread.join(SECONDS)
            assert ended, "the guest did not come to its end"
        finally:
            domain.engine.kill()
            thread.join()


def receive(fd: int, length: int) -> bytes:
    data = b""
    while len(data) < length:
        assert select.select([fd], [], [], SECONDS)[0], f"{data!r} came, and no more"
        data += os.read(fd, length - len(data))
    return data


def test_a_pseudo_terminal_is_a_line_in_both_directions(monitor: Path, tmp_path: Path) -> None:
    with echo(tmp_path, SerialConfig(2, "pty")) as domain:
        (notice,) = domain.notices
        name = re.fullmatch(r"serial port 3 is (/dev/pts/\d+)", notice)
        assert name
        fd = os.open(name[1], os.O_RDWR | os.O_NOCTTY)
        try:
            os.write(fd, b"hello\r\n\x03")
            assert receive(fd, 8) == b"hello\r\n\x03", "nothing on the way is a terminal's business"
            os.close(fd)
            fd = os.open(name[1], os.O_RDWR | os.O_NOCTTY)  # another user of the same line
            os.write(fd, b"more q")
            assert receive(fd, 6) == b"more q"
        finally:
            os.close(fd)


def test_a_guest_is_sent_bytes_and_breaks(monitor: Path, tmp_path: Path) -> None:
    file = tmp_path / "sent"
    with echo(tmp_path, SerialConfig(2, "file", file)) as domain:
        rings = SerialRings(domain.shared, domain.engine.wake, 2)
        rings.feed(b"ab")
        rings.send_break()
        while b"!" not in file.read_bytes():
            time.sleep(0.01)
        rings.feed(b"q")
    assert file.read_bytes() == b"ab!q"


def test_a_file_begins_anew_but_for_a_guest_that_restarts(monitor: Path, tmp_path: Path) -> None:
    file = tmp_path / "sent"
    file.write_bytes(b"old")
    kernel = guests.assemble(PROBE, tmp_path / "guest", ported=True)
    for append, expected in ((False, SENT), (True, SENT + SENT)):
        guests.run(kernel, serials=(SerialConfig(1, "file", file, append),))
        assert file.read_bytes() == expected
