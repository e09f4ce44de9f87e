"""Domains with a real engine: how guests end, what they find, what is left behind."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import pytest

from hypercalls.structs import ExitReason
from hypervisor.domain import DiskConfig, Domain, DomainConfig, DomainState
from hypervisor.errors import RingError
from hypervisor.memory_map import MIB
from hypervisor.outcome import Ending, Outcome
from hypervisor.report import crash_report, statistics
from tests.hypervisor import guests

pytestmark = pytest.mark.usefixtures("monitor")


class Transcript:
    """A console that keeps what the guest prints, and may type when it begins."""

    def __init__(self, typed: bytes = b"") -> None:
        self.output, self._typed, self.closed = b"", typed, 0

    def open(self, domain: Domain) -> None:
        assert domain.type_bytes(self._typed) == len(self._typed)

    def write(self, data: bytes) -> None:
        self.output += data

    def close(self) -> None:
        self.closed += 1


def config(folder: Path, code: bytes, **fields: object) -> DomainConfig:
    return DomainConfig(guests.write(folder, code), memory=4 * MIB, **fields)  # type: ignore[arg-type]


def run(folder: Path, code: bytes, **fields: object) -> tuple[Outcome, bytes]:
    console = Transcript()
    with Domain(config(folder, code, **fields)) as domain:
        domain.build()
        result = domain.run(console)
    assert console.closed == 1
    return result, console.output


@pytest.mark.parametrize(
    ("code", "ending", "status"),
    [
        (guests.POWEROFF, Ending.POWEROFF, 0),
        (guests.RESET, Ending.RESET, 0),
        (guests.out(0x64, 0xFE), Ending.RESET, 0),
        (guests.out(0xF4, 3), Ending.EXIT, 7),
        (guests.HALT, Ending.DEAD_HALT, 6),
        (guests.TRIPLE_FAULT, Ending.TRIPLE_FAULT, 4),
    ],
)
def test_endings(tmp_path: Path, code: bytes, ending: Ending, status: int) -> None:
    result, output = run(tmp_path, guests.say(b"last words") + code)
    assert (result.ending, result.status) == (ending, status)
    assert output == b"last words"


@pytest.mark.parametrize("slide", [False, True])
def test_typed_input_reaches_the_guest(tmp_path: Path, slide: bool) -> None:
    console = Transcript(b"hello, guest q")
    with Domain(config(tmp_path, guests.ECHO, slide=slide)) as domain:
        domain.build()
        assert domain.run(console).ending is Ending.POWEROFF
    assert console.output == b"hello, guest q"


def test_absent_ports_are_told(tmp_path: Path) -> None:
    with Domain(config(tmp_path, guests.in_(0x998, 4) + guests.out(0x999, 1) + guests.POWEROFF)) as domain:
        domain.build()
        domain.run(Transcript())
        assert domain.bus.absent == {("in", 0x998): 1, ("out", 0x999): 1}
        assert "probed, absent ports: 0x998 0x999" in statistics(domain)
        domain.bus.port_out(0xCF8, 4, 0x8000_1A00)
        assert domain.bus.port_in(0xCFC, 4) == 0xFFFF_FFFF
        assert "probed, absent PCI functions: 03.2" in statistics(domain)


def test_the_report_of_a_dead_guest(tmp_path: Path) -> None:
    load_esp = b"\xbc\x00\x30\x10\x00"
    push = b"\x68\xef\xbe\xad\xde"
    with Domain(config(tmp_path, load_esp + push + b"\xb8\x78\x56\x34\x12" + guests.HALT)) as domain:
        domain.build()
        result = domain.run(Transcript())
        text = crash_report(domain, result)
    assert "halted with interrupts off at 0x00100030" in text
    assert "eax 12345678" in text and "esp 00102ffc" in text
    assert "00102ffc  deadbeef" in text
    assert "interrupts off, ring 0" in text


def descriptors(folder: Path) -> list[str]:
    """This process's descriptors of guest memory and of files in `folder`."""
    links = [os.readlink(entry) for entry in Path("/proc/self/fd").iterdir() if entry.is_symlink()]
    return [link for link in links if "ring3-ram" in link or str(folder) in link]


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    gc.collect()
    before = descriptors(tmp_path)  # other tests of this process may keep a guest
    domain = Domain(config(tmp_path, guests.POWEROFF))
    domain.build()
    domain.run(Transcript())
    pids = domain.engine.pids
    domain.close()
    domain.close()
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    del domain
    gc.collect()  # the state file's mapping goes with the last view of it
    assert descriptors(tmp_path) == before


def test_states(tmp_path: Path) -> None:
    domain = Domain(config(tmp_path, guests.POWEROFF))
    with pytest.raises(RuntimeError, match="is new"):
        domain.run(Transcript())
    domain.build()
    with pytest.raises(RuntimeError, match="is built"):
        domain.build()
    domain.run(Transcript())
    with pytest.raises(RuntimeError, match="is ended"):
        domain.run(Transcript())
    domain.close()
    assert domain.state is DomainState.CLOSED
    with pytest.raises(RuntimeError, match="is closed"):
        domain.build()


class Failing(Transcript):
    """A console that breaks at the first output."""

    def write(self, data: bytes) -> None:
        raise BrokenPipeError


def test_a_failing_console_ends_the_guest(tmp_path: Path) -> None:
    console = Failing()
    with Domain(config(tmp_path, guests.say(b"x") + guests.SPIN)) as domain:
        domain.build()
        with pytest.raises(BrokenPipeError):
            domain.run(console)
        assert domain.state is DomainState.ENDED
        assert not [pid for pid in domain.engine.pids if Path(f"/proc/{pid}").exists()]
    assert console.closed == 1


# --- disks


@pytest.fixture
def disks(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"disk{number}" for number in range(5)]
    for number, path in enumerate(paths):
        path.write_bytes(bytes([number]) * 1024)
    return paths


def places(folder: Path, *wanted: DiskConfig) -> list[Path | None]:
    with Domain(config(folder, guests.POWEROFF, disks=wanted)) as domain:
        domain.build()
        return [
            drive.image.path if drive else None
            for device in domain.bus.devices if device.name.startswith("IDE")
            for drive in device.drives  # type: ignore[attr-defined]
        ]  # fmt: skip


def test_the_first_place_shows_the_kernel_unless_taken(tmp_path: Path, disks: list[Path]) -> None:
    kernel = tmp_path / "kernel"
    assert places(tmp_path) == [kernel, None, None, None]
    assert places(tmp_path, DiskConfig(disks[0]), DiskConfig(disks[1])) == [kernel, disks[0], disks[1], None]
    assert places(tmp_path, DiskConfig(disks[0]), DiskConfig(disks[1], index=0)) == [disks[1], disks[0], None, None]


def test_disks_without_a_place_are_refused(tmp_path: Path, disks: list[Path]) -> None:
    with pytest.raises(RingError, match="disk3: no place left"):
        places(tmp_path, *[DiskConfig(path) for path in disks[:4]])
    with pytest.raises(RingError, match="index 2 is taken"):
        places(tmp_path, DiskConfig(disks[0], index=2), DiskConfig(disks[1], index=2))
    with pytest.raises(RingError, match="index 4 is not one of 0 to 3"):
        places(tmp_path, DiskConfig(disks[0], index=4))


def test_a_refused_domain_releases_its_disks(tmp_path: Path, disks: list[Path]) -> None:
    for _ in range(2):
        with pytest.raises(RingError, match="does not exist"):
            places(tmp_path, DiskConfig(disks[0]), DiskConfig(tmp_path / "missing"))


def test_an_incomplete_sector_is_told(tmp_path: Path, disks: list[Path]) -> None:
    disks[0].write_bytes(b"x" * 600)
    with Domain(config(tmp_path, guests.POWEROFF, disks=(DiskConfig(disks[0]),))) as domain:
        domain.build()
        assert domain.notices == [f"disk {disks[0]}: the last 88 bytes are no sector and are left out"]


def test_a_guest_reads_its_disk(tmp_path: Path, disks: list[Path]) -> None:
    """Select drive 1, read sector 1, print its first word's low byte + 'A'."""
    setup = b"".join(
        guests.out(port, value)
        for port, value in ((0x1F6, 0xF0), (0x1F2, 1), (0x1F3, 1), (0x1F4, 0), (0x1F5, 0), (0x1F7, 0x20))
    )
    show = guests.in_(0x1F0, 2) + b"\x04\x41\x66\xba\xf8\x03\xee"  # add $'A',%al; mov $0x3f8,%dx; out
    result, output = run(tmp_path, setup + show + guests.POWEROFF, disks=(DiskConfig(disks[3], read_only=True),))
    assert result.ending is Ending.POWEROFF and output == b"D"


def task_file(select: int, sector: int, count: int, command: int) -> bytes:
    """Write an LBA address and a command to the first channel."""
    low, middle, high = sector & 255, sector >> 8 & 255, sector >> 16 & 255
    return b"".join(
        guests.out(port, value)
        for port, value in zip(range(0x1F2, 0x1F8), (count, low, middle, high, select, command), strict=True)
    )


def words_out(count: int, value: int) -> bytes:
    """mov $count,%ecx; again: (mov $0x1f0,%dx; mov $value,%eax; out %ax,%dx;) dec %ecx; jnz again."""
    body = guests.out(0x1F0, value, 2) + b"\x49"
    return b"\xb9" + count.to_bytes(4, "little") + body + b"\x75" + (-len(body) - 2 & 255).to_bytes(1, "little")


@pytest.mark.parametrize("drive", [0, 1])
def test_a_guest_writes_its_disk_without_an_exit(tmp_path: Path, disks: list[Path], drive: int) -> None:
    """Sectors 1 and 2 of a disk of three, as words of `ab`."""
    for number in (0, 1):
        disks[number].write_bytes(b"." * 512 * 3)
    code = task_file(0xE0 | drive << 4, 1, 2, 0x30) + words_out(512, 0x6261) + guests.POWEROFF
    wanted = (DiskConfig(disks[0], index=0), DiskConfig(disks[1], index=1))
    with Domain(config(tmp_path, code, disks=wanted)) as domain:
        domain.build()
        assert domain.run(Transcript()).ending is Ending.POWEROFF
        exits = {ExitReason(reason).name: count for reason, count in enumerate(domain.control.exits) if count}
    assert disks[drive].read_bytes() == b"." * 512 + b"ab" * 512
    assert disks[1 - drive].read_bytes() == b"." * 512 * 3
    assert exits == {"PORT_OUT": 1, "NEW_MEMBER": 1}, "those of its start and its end"


@pytest.mark.parametrize(
    ("select", "sector", "count"),
    [(0xE0, 2, 2), (0xEF, 0xFFFFFF, 1), (0xE0, 0, 0), (0xA0, 1, 1)],
    ids=["behind the end", "far behind", "256 sectors", "CHS"],
)
def test_other_writes_are_the_vmms(tmp_path: Path, disks: list[Path], select: int, sector: int, count: int) -> None:
    """Status and error as printed: beyond the end refuses at once, a CHS write asks for data."""
    disks[0].write_bytes(b"." * 512 * 3)
    show = guests.in_(0x1F7) + b"\x66\xba\xf8\x03\xee"  # mov $0x3f8,%dx; out
    code = task_file(select, sector, count, 0x30) + show + guests.POWEROFF
    result, output = run(tmp_path, code, disks=(DiskConfig(disks[0], index=0),))
    assert result.ending is Ending.POWEROFF and output == (b"\x58" if select == 0xA0 else b"\x51")
    assert disks[0].read_bytes() == b"." * 512 * 3
