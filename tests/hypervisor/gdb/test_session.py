"""Guests under the real gdb and its Python scripts, and under peers that are none."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from hypervisor.gdb.packets import frame
from tests.hypervisor import guests

GDB = shutil.which("gdb")
needs_gdb = pytest.mark.skipif(GDB is None, reason="gdb is not installed; tests without it speak its protocol")

# Counts the word at 1 MiB + 0x1000 to 1000, then speaks and switches off.
COUNTING = (b"\xb9" + (1000).to_bytes(4, "little")  # mov $1000,%ecx
            + bytes.fromhex("ff0500101000") + b"\x49\x75\xf7"  # 1: incl 0x101000; dec %ecx; jnz 1b
            + guests.say(b"done") + guests.POWEROFF)  # fmt: skip
ENTRY = guests.LOAD + 32
LOOP = ENTRY + 5


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def start(kernel: Path, port: int, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "hypervisor.cli.main", "run", str(kernel), "--gdb", str(port), "--timeout", "60"]
    return subprocess.Popen([*command, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def connect(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), 30)
        except ConnectionRefusedError:
            continue


def ask(peer: socket.socket, packet: bytes) -> bytes:
    """The content of the next packet that comes for `packet`."""
    peer.sendall(frame(packet))
    return hear(peer)


def hear(peer: socket.socket) -> bytes:
    data = b""
    while b"#" not in data or len(data.partition(b"#")[2]) < 2:
        more = peer.recv(4096)
        assert more, data
        data += more
    return data.partition(b"$")[2].partition(b"#")[0]


@pytest.fixture
def guest(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    process = start(guests.write(tmp_path, COUNTING), port)
    yield process, port
    process.kill()
    process.wait()


Guest = tuple[subprocess.Popen[bytes], int]


def ends(process: subprocess.Popen[bytes], status: int = 0, says: bytes = b"done") -> None:
    output, _ = process.communicate(timeout=60)
    assert (process.returncode, says in output) == (status, True), output


@needs_gdb
def test_a_script_of_gdb_steps_watches_and_detaches(tmp_path: Path, guest: Guest) -> None:
    process, port = guest
    script = tmp_path / "script.py"
    script.write_text(f"""
import gdb
def run(text): return gdb.execute(text, to_string=True)
run("set architecture i386"); connect = run
for _ in range(200):
    try: connect("target remote 127.0.0.1:{port}"); break
    except gdb.error: gdb.execute("shell sleep 0.1")
value = lambda text: int(gdb.parse_and_eval(text)) & 0xffffffff
print("start", hex(value("$eip")), value("$cr0") & 1, value("$cs") & 3)
run("break *{LOOP:#x}"); run("continue"); print("break", hex(value("$eip")), value("$ecx")); run("delete")
for _ in range(30): run("stepi")
print("stepped", value("$ecx"), value("*(int *)0x101000"))
run("watch *(int *)0x101000"); run("continue"); print("watch", value("*(int *)0x101000")); run("delete")
print(run("monitor pagetable 0x100000"))
run("set $ecx = 1"); run("detach")
""")
    result = subprocess.run([GDB or "", "-nx", "-batch", "-x", str(script)], capture_output=True, text=True,
                            timeout=60)  # fmt: skip
    assert f"start {ENTRY:#x} 1 0" in result.stdout, result.stdout + result.stderr
    assert f"break {LOOP:#x} 1000" in result.stdout
    assert "stepped 990 10" in result.stdout
    assert "watch 11" in result.stdout
    assert "physical 0x00100000" in result.stdout
    ends(process)


def test_points_steps_and_the_end_by_packets(guest: Guest) -> None:
    process, port = guest
    with connect(port) as peer:
        assert ask(peer, b"?") == b"T02thread:01;"
        assert ask(peer, b"Z0,%x,1" % LOOP) == b"OK"
        assert ask(peer, b"c") == b"T05thread:01;"
        assert int.from_bytes(bytes.fromhex(ask(peer, b"p8").decode()), "little") == LOOP
        assert ask(peer, b"m%x,2" % LOOP) == b"ff05"
        assert ask(peer, b"z0,%x,1" % LOOP) == b"OK"
        assert ask(peer, b"s") == b"T05thread:01;"
        assert ask(peer, b"Z2,101000,4") == b"OK"
        assert ask(peer, b"c") == b"T05watch:101000;thread:01;"
        assert ask(peer, b"z2,101000,4") == b"OK"
        assert ask(peer, b"c") == b"W00"
    ends(process)


def test_code_is_written(guest: Guest) -> None:
    process, port = guest
    with connect(port) as peer:
        assert ask(peer, b"X%x,2:\xeb\xfe" % LOOP) == b"OK"
        peer.sendall(frame(b"c"))
        peer.sendall(b"\x03")  # it loops
        assert hear(peer) == b"T02thread:01;"
        assert ask(peer, b"X%x,2:\xff\x05" % LOOP) == b"OK"
        assert ask(peer, b"D") == b"OK"
    ends(process)


def test_a_guest_that_idles_is_interrupted_and_idles_on(tmp_path: Path) -> None:
    port = free_port()
    idling = b"\xb0\xff\xe6\x21\xe6\xa1" + b"\xfb\xf4\xeb\xfc"  # mask all lines; 1: sti; hlt; jmp 1b
    process = start(guests.write(tmp_path, idling), port)
    try:
        with connect(port) as peer:
            for _ in range(3):
                peer.sendall(frame(b"c"))
                peer.sendall(b"\x03")
                assert hear(peer) == b"T02thread:01;"
            peer.sendall(frame(b"k"))
            process.communicate(timeout=60)
        assert process.returncode == 0
    finally:
        process.kill()
        process.wait()


def test_noise_a_second_peer_and_one_that_goes_away(guest: Guest) -> None:
    process, port = guest
    with connect(port) as peer:
        assert ask(peer, b"?") == b"T02thread:01;"
        with connect(port) as second:
            assert second.recv(1) == b""
        peer.sendall(b"noise$x#00$" + b"m" * 100000)
        assert ask(peer, b"#") is not None
        peer.sendall(b"$m1000,")  # and away
    ends(process)


def test_kill(guest: Guest) -> None:
    process, port = guest
    with connect(port) as peer:
        peer.sendall(frame(b"k"))
        process.communicate(timeout=60)
    assert process.returncode == 0


@pytest.mark.parametrize(("event", "code", "reply"), [
    ("port:0x3f8", guests.say(b"done") + guests.POWEROFF, ENTRY + 10),
    ("exception:6", guests.TRIPLE_FAULT, ENTRY),
])  # fmt: skip
def test_events(tmp_path: Path, event: str, code: bytes, reply: int) -> None:
    port = free_port()
    process = start(guests.write(tmp_path, code), port, "--break-on", event, "--no-report")
    try:
        with connect(port) as peer:
            assert ask(peer, b"c") == b"T05thread:01;"
            assert int.from_bytes(bytes.fromhex(ask(peer, b"p8").decode()), "little") == reply
            peer.sendall(frame(b"k"))
            process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize(("options", "words"), [
    (("--break-on", "exception:6"), "needs --gdb PORT"), (("--gdb-go",), "needs --gdb PORT"),
    (("--gdb", "dance"), "is no port"), (("--gdb", "1234", "--break-on", "dance"), "--break-on dance"),
])  # fmt: skip
def test_bad_options(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    kernel = guests.write(tmp_path, guests.POWEROFF)
    result = subprocess.run([sys.executable, "-m", "hypervisor.cli.main", "run", str(kernel), *options],
                            capture_output=True, text=True, timeout=60)  # fmt: skip
    assert (result.returncode, words in result.stderr, result.stderr.count("\n")) == (2, True, 1)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(guests.write(tmp_path, guests.POWEROFF), taken.getsockname()[1])
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 2 and b"choose another port" in output
