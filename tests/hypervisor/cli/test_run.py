"""``ring3 run``: exit statuses, options, refusals."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from hypercalls.structs import LostTicks
from hypervisor.cli.run import _module, _parser, configuration
from hypervisor.domain import Domain
from hypervisor.loaders.handover import ModuleFile
from tests.hypervisor import guests
from tests.hypervisor.cli.commands import refusal, ring3
from tests.hypervisor.loaders.elves import Part, elf
from tests.samples.kernels import RING3, environment

pytestmark = pytest.mark.usefixtures("monitor")


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        (guests.POWEROFF, 0, ""),
        (guests.out(0xF4, 0x10), 0x21, ""),
        (guests.HALT, 6, "halted with interrupts off"),
        (guests.TRIPLE_FAULT, 4, "triple fault"),
    ],
)
def test_exit_status(tmp_path: Path, code: bytes, status: int, said: str) -> None:
    run = ring3("run", guests.write(tmp_path, guests.say(b"hi\n") + code))
    assert run.returncode == status and run.stdout == b"hi\n"
    if said:
        assert said in run.stderr.decode() and "registers:" in run.stderr.decode()
    else:
        assert run.stderr == b""


def test_no_report(tmp_path: Path) -> None:
    run = ring3("run", "--no-report", guests.write(tmp_path, guests.HALT))
    assert run.returncode == 6
    assert run.stderr.decode().count("\n") == 1 and b"halted with interrupts off" in run.stderr


def test_timeout(tmp_path: Path) -> None:
    run = ring3("run", "--timeout", "0.5", guests.write(tmp_path, guests.SPIN))
    assert run.returncode == 124 and run.stderr == b"ring3: timeout: the time given is over\n"


def test_a_reset_starts_again_or_ends(tmp_path: Path) -> None:
    kernel = guests.write(tmp_path, guests.say(b"boot ") + guests.RESET)
    once = ring3("run", "--no-reboot", kernel)
    assert once.returncode == 0 and once.stdout == b"boot "
    disk = tmp_path / "disk"
    disk.write_bytes(bytes(4096))
    again = ring3("run", "--timeout", "1", "--disk", disk, kernel)
    assert again.returncode == 124 and again.stdout.startswith(b"boot boot boot "), again.stderr


def test_piped_input_reaches_the_guest_and_its_end_does_not_stop_it(tmp_path: Path) -> None:
    run = ring3("run", guests.write(tmp_path, guests.ECHO), stdin=b"x" * 6000 + b"q")
    assert run.returncode == 0 and run.stdout == b"x" * 6000 + b"q"
    no_end = ring3("run", "--timeout", "0.5", guests.write(tmp_path, guests.ECHO), stdin=b"abc")
    assert no_end.returncode == 124 and no_end.stdout == b"abc"


def test_a_flat_binary(tmp_path: Path) -> None:
    kernel = tmp_path / "flat"
    kernel.write_bytes(b"data" + guests.say(b"flat\n") + guests.POWEROFF)
    run = ring3("run", "--load-at", "0x7c00", "--entry", "0x7c04", kernel)
    assert run.returncode == 0 and run.stdout == b"flat\n" and run.stderr == b""


def test_an_initrd_makes_an_elf_kernel_linux(tmp_path: Path) -> None:
    """movl 0x218(%esi),%esi; then the initrd's text, up to a zero, to the serial port."""
    code = bytes.fromhex("8bb618020000 66baf803 ac 84c0 7403 ee ebf8") + guests.POWEROFF
    (tmp_path / "kernel").write_bytes(elf(Part(code, 0x10_0000)))
    (tmp_path / "initrd").write_bytes(b"initrd\n")
    run = ring3("run", "--initrd", tmp_path / "initrd", tmp_path / "kernel")
    assert run.returncode == 0 and run.stdout == b"initrd\n"


def test_stats_and_cpu(tmp_path: Path) -> None:
    run = ring3("run", "--stats", "--cpu", "any", "--slide", guests.write(tmp_path, guests.POWEROFF))
    assert run.returncode == 0 and b"hypercalls" in run.stderr


def test_a_reader_that_goes_away_ends_the_guest(tmp_path: Path) -> None:
    kernel = guests.write(tmp_path, guests.forever(guests.say(b"line\n")))
    command = [*RING3, "run", str(kernel)]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          env=environment()) as process:  # fmt: skip
        assert process.stdout and process.stderr
        assert process.stdout.read(5) == b"line\n"
        process.stdout.close()
        assert process.wait(10) == 141 and process.stderr.read() == b""


def test_output_that_cannot_be_written_is_a_failure_of_the_host(tmp_path: Path) -> None:
    kernel = guests.write(tmp_path, guests.say(b"x") + guests.SPIN)
    with Path("/dev/full").open("wb") as full:
        run = subprocess.run([*RING3, "run", str(kernel)], stdin=subprocess.DEVNULL, stdout=full,
                             stderr=subprocess.PIPE, env=environment(), timeout=10)  # fmt: skip
    assert run.returncode == 74
    assert run.stderr == b"ring3: the host failed: No space left on device\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_end_the_run_and_tell_the_parent(tmp_path: Path, number: signal.Signals) -> None:
    kernel = guests.write(tmp_path, guests.say(b"up") + guests.SPIN)
    with subprocess.Popen([*RING3, "run", str(kernel)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, env=environment()) as process:  # fmt: skip
        assert process.stdout and process.stderr
        assert process.stdout.read(2) == b"up"
        process.send_signal(number)
        status = process.wait(10)
        assert status == (130 if number is signal.SIGINT else -number)
        assert process.stderr.read() == b""


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    return guests.write(tmp_path, guests.POWEROFF)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--memory", "lots"], "'lots' is no memory size"),
        (["--memory", "8G"], "does not fit a 32-bit PC"),
        (["--memory", "1M"], "too small"),
        (["--disk", "/nowhere/disk.img"], "disk /nowhere/disk.img does not exist"),
        (["--disk", "x,rw"], "'rw' is no disk option"),
        (["--disk", "x,index=9"], "index 9 is not one of 0 to 3"),
        (["--disk", "x,index=²"], "'index=²' is no disk option"),
        (["--disk", "x,index=-1"], "'index=-1' is no disk option"),
        (["--cdrom", "/nowhere/cd.iso"], "disk /nowhere/cd.iso does not exist"),
        (["--cdrom", "x,ro"], "--cdrom x,ro: 'ro' is no option of a CD"),
        (["--module", "/nowhere/initrd=x"], "module /nowhere/initrd does not exist"),
        (["--initrd", "/nowhere/initrd"], "started by multiboot, which knows no initrd; give --module"),
        (["--protocol", "linux", "--initrd", "/nowhere/initrd"], "is not an ELF file"),
        (["--protocol", "multiboot2"], "has no multiboot2 header"),
        (["--protocol", "grub"], "invalid choice: 'grub'"),
        (["--entry", "0x100000"], "--entry goes with it"),
        (["--load-at", "here"], "--load-at here is no address; write for example 0x100000"),
        (["--load-at", "-1"], "--load-at"),
        (["--load-at", "0x100000000"], "--load-at 0x100000000 is no address"),
        (["--load-at", "0xa0000"], "overlaps video memory and BIOS"),
        (["--cpu", "4096"], "--cpu 4096 is not available"),
        (["--cpu", "one"], "--cpu one is not available"),
        (["--timeout", "0"], "--timeout 0 is no time"),
        (["--timeout", "nan"], "--timeout nan is no time"),
        (["--timeout", "inf"], "--timeout inf is no time"),
        (["--timeout", "soon"], "invalid float value"),
        (["--serial", "5=null"], "'5' is no serial port"),
        (["--serial", "pty"], "'pty' is no serial port"),
        (["--serial", "1=null"], "the first port is the console"),
        (["--serial", "2=socket"], "'socket' is no far end"),
        (["--serial", "2=file:"], "'file:' is no far end"),
        (["--serial", "2=file:/nowhere/x"], "cannot write /nowhere/x"),
        (["--serial", "2=null", "--serial", "2=pty"], "serial port 2 is given twice"),
        (["--lost-ticks", "keep"], "invalid choice: 'keep'"),
        (["--trace-only", "exit"], "--trace-only needs --trace FILE"),
    ],
)
def test_refused_options(kernel: Path, arguments: list[str], message: str) -> None:
    assert message in refusal("run", kernel, *arguments)


def test_lost_ticks_and_serial_ports_reach_the_machine(kernel: Path) -> None:
    options = _parser().parse_args([str(kernel), "--lost-ticks", "slew", "--serial", "3=null"])
    with Domain(configuration(options)) as domain:
        domain.build()
        assert domain.control.lost_ticks == LostTicks.SLEW
        assert [port.present for port in domain.control.serial] == [1, 0, 1, 0]
        assert domain.memory.read(0x400, 4) == bytes.fromhex("f803e803"), "the BIOS data area lists them"


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "is not an ELF file"), (b"\x7fELF", "truncated or damaged"), (b"\x7fELF\2" + bytes(100), "damaged|64-bit")],
)
def test_refused_kernels(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "kernel"
    path.write_bytes(content)
    said = refusal("run", path)
    assert any(part in said for part in message.split("|"))


def test_a_missing_kernel_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal("run", tmp_path / "kernel")
    assert "cannot be read" in refusal("run", "--unported", tmp_path / "kernel")


@pytest.mark.parametrize(
    ("option", "string"), [("initrd", "initrd"), ("initrd=/boot/x a=b", "/boot/x a=b"), ("initrd=", "")]
)
def test_the_string_of_a_module(option: str, string: str) -> None:
    """GRUB 2 and boot loaders before it differ in whether the file's name is part of it, so kernels do."""
    assert _module(option) == ModuleFile(Path("initrd"), string)
