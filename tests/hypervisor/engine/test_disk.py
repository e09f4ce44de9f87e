"""IDE in the engine: the monitor, which maps the images and moves their sectors by itself, and the VMM's device, to
which it leaves the rest, are one drive. Guests run random scripts of accesses, with the VMM's device alone and with
either help of the monitor.
"""

from __future__ import annotations

import os
import signal
import struct
from pathlib import Path
from random import Random

import pytest

from hypercalls.structs import ExitReason
from hypervisor.domain import DiskConfig, Domain, DomainConfig
from tests.hypervisor.engine import guests

SECTOR = 512
SECTORS = 40
END, WRITE_PORT, READ_PORT, DATA_IN, DATA_OUT, INTERRUPTS = range(6)
BASE, CONTROL = 0x1F0, 0x3F6
READ, WRITE, READ_MULTIPLE, WRITE_MULTIPLE, SET_MULTIPLE, IDENTIFY, FLUSH = 0x20, 0x30, 0xC4, 0xC5, 0xC6, 0xEC, 0xE7

# Runs the script at `script`: records of operation, port (u16 each) and value (u32). What is read is said as `r`, the
# words of data as their sum, and an interrupt of the channel as a request of the slave PIC, which is then taken.
MACHINE = """
test:	movb $0x11,%al
	movw $0xa0,%dx
	r3_out %al,%dx
	incl %edx
	movb $0x70,%al
	r3_out %al,%dx
	movb $2,%al
	r3_out %al,%dx
	movb $1,%al
	r3_out %al,%dx
	movb $0,%al
	r3_out %al,%dx
	movl $script,%ebp
next:	movzwl (%ebp),%ebx
	movzwl 2(%ebp),%edx
	movl 4(%ebp),%eax
	addl $8,%ebp
	cmpl $1,%ebx
	jb end
	je out
	cmpl $3,%ebx
	jb in
	je data_in
	cmpl $4,%ebx
	je data_out
	movw $0xa0,%dx			# poll: the highest request is taken
	movb $0x0c,%al
	r3_out %al,%dx
	xorl %eax,%eax
	r3_in %dx,%al
	say i, %eax
	movb $0x20,%al
	r3_out %al,%dx
	jmp next
out:	r3_out %al,%dx
	jmp next
in:	xorl %eax,%eax
	r3_in %dx,%al
	say r, %eax
	jmp next
data_in:
	movl %eax,%ecx
	movl $buffer,%edi
	r3_rep_insl
	movl %edi,%ecx
	subl $buffer,%ecx
	shrl $2,%ecx
	xorl %eax,%eax
	movl $buffer,%esi
1:	jecxz 2f
	roll $1,%eax
	addl (%esi),%eax
	addl $4,%esi
	decl %ecx
	jmp 1b
2:	say d, %eax
	jmp next
data_out:
	movl %eax,%ecx
	movl $buffer,%esi
1:	addl %ebp,(%esi)
	roll $3,(%esi)
	addl $4,%esi
	loop 1b
	movl %eax,%ecx
	movl $buffer,%esi
	r3_rep_outsl
	jmp next
end:	finish

	.bss
	.balign 4
buffer:	.skip 0x20000
	.data
	.balign 4
script:
"""

Access = tuple[int, int, int]


def command(code: int, sector: int = 0, count: int = 1, drive: int = 0, lba: bool = True) -> list[Access]:
    registers = (count & 0xFF, sector & 0xFF, sector >> 8 & 0xFF, sector >> 16 & 0xFF,
                 (0xE0 if lba else 0xA0) | drive << 4 | sector >> 24 & 15, code)
    return [(WRITE_PORT, BASE + 2 + place, value) for place, value in enumerate(registers)]


def random_script(random: Random) -> list[Access]:
    """Commands, most of them good, with transfers that mostly fit them; status, errors and interrupts looked at."""
    out: list[Access] = []
    for _ in range(40):
        code = random.choice([READ, READ + 1, READ_MULTIPLE, WRITE, WRITE, WRITE + 1, WRITE_MULTIPLE, SET_MULTIPLE,
                              IDENTIFY, FLUSH, 0x00, 0x90, 0x40])
        count = random.choice([1, 1, 2, 3, 4, 8])
        sector = random.choice([random.randrange(SECTORS), SECTORS - count, SECTORS - count + 1, 1 << 24])
        if random.random() < 0.05:
            value = random.choice([0, 2, 4])
            out.append((WRITE_PORT, CONTROL, value))
            if value & 4:
                out.append((WRITE_PORT, CONTROL, 0))
        out += command(code, sector, count, random.randrange(2), random.random() < 0.9)
        if random.random() < 0.5:
            out += [(READ_PORT, BASE + 7, 0), (INTERRUPTS, 0, 0)]
        if random.random() < 0.1:
            out.append((READ_PORT, BASE + random.randrange(1, 7), 0))
        if random.random() < 0.1:  # a driver that uses the registers while a transfer is under way
            out.append((WRITE_PORT, BASE + random.randrange(1, 7), random.randrange(256)))
        for _ in range(random.choice([count, count, count, 1, count + 1])):
            moves = DATA_OUT if code in (WRITE, WRITE + 1, WRITE_MULTIPLE) else DATA_IN
            if code not in (SET_MULTIPLE, FLUSH, 0x00, 0x90, 0x40) or random.random() < 0.1:
                out += [(moves, BASE, 128), (READ_PORT, BASE + 7, 0), (INTERRUPTS, 0, 0)]
        out += [(READ_PORT, BASE + 1, 0), (READ_PORT, CONTROL, 0)]
    return out


# The monitor moves sectors; it has no mapping, and begins writes; the VMM does all.
WAYS = ("mapped", "begun", "VMM")


class Rig:
    """Runs scripts on two fresh disks; gives what the guest said and what the disks then hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exits: dict[str, int] = {}  # of the last run, by reason

    def disk(self, name: str) -> Path:
        path = self.folder / name
        path.write_bytes(b"".join(struct.pack("<I", number * 0x1234567) * 128 for number in range(SECTORS)))
        return path

    def run(self, script: list[Access], way: str, read_only: bool = False, cut: int = SECTORS) -> tuple[str, bytes]:
        """`way` is of `WAYS`, `read_only` of the second disk, `cut` its sectors that are left when the guest begins."""
        first, second = self.disk("first"), self.disk("second")
        words = "\n".join(f"\t.word {what},{port}\n\t.long {value}" for what, port, value in [*script, (END, 0, 0)])
        kernel = guests.assemble(MACHINE + words, self.folder / "guest", ported=True)
        console = guests.Recorder()
        disks = (DiskConfig(first, index=0), DiskConfig(second, read_only=read_only, index=1))
        with Domain(DomainConfig(kernel, memory=guests.MEMORY, disks=disks)) as domain:
            domain.build()
            assert all(disk.bytes == SECTORS * SECTOR for disk in domain.control.disks[:2])
            if way != "mapped":
                domain.engine.disks = []
                for disk in domain.control.disks:
                    disk.bytes = 0
            if way == "VMM":
                domain.control.ide[0].sectors[:] = [0, 0]
            os.truncate(second, cut * SECTOR)
            signal.alarm(10)
            try:
                result = domain.run(console)
            finally:
                signal.alarm(0)
            assert result.cause == "debug exit with value 0x0", (result, console.data[-300:])
            self.exits = {ExitReason(reason).name: count for reason, count in enumerate(domain.control.exits) if count}
        return console.data.decode(), first.read_bytes() + second.read_bytes()


@pytest.fixture
def rig(tmp_path: Path, monitor: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize("seed", range(24))
def test_random_scripts_see_one_drive(rig: Rig, seed: int) -> None:
    script = random_script(Random(seed))
    read_only = seed % 4 == 3
    mapped, begun, alone = (rig.run(script, way, read_only) for way in WAYS)
    assert mapped == alone and begun == alone


def test_sectors_move_without_exits(rig: Rig) -> None:
    script: list[Access] = []
    for drive in (0, 1):
        script += command(SET_MULTIPLE, 0, 8, drive)
        for code, count in ((READ, 3), (WRITE, 2), (READ_MULTIPLE, 16), (WRITE_MULTIPLE, 16)):
            moves = DATA_OUT if code in (WRITE, WRITE_MULTIPLE) else DATA_IN
            script += [*command(code, 5, count, drive), (moves, BASE, 128 * count), (READ_PORT, BASE + 7, 0)]
    mapped = rig.run(script, "mapped")
    assert rig.exits == {"PORT_OUT": 3, "NEW_MEMBER": 1}, "SET MULTIPLE twice, and the guest's end"
    assert rig.run(script, "begun") == mapped
    assert rig.exits == {"PORT_OUT": 7, "FIFO_DONE": 4, "NEW_MEMBER": 1}, "each command one"


def test_an_image_that_was_cut_short_reads_zeros_and_grows_again(rig: Rig) -> None:
    """The mapping faults behind the file's end: the VMM then reads and writes the file."""
    script = [*command(READ, 30, 2, 1), (DATA_IN, BASE, 256), (READ_PORT, BASE + 7, 0)]
    script += [*command(WRITE, 30, 1, 1), (DATA_OUT, BASE, 128), (READ_PORT, BASE + 7, 0), (INTERRUPTS, 0, 0)]
    said, data = rig.run(script, "mapped", cut=16)
    assert said.splitlines()[:2] == ["d=00000000", "r=00000050"] and said.splitlines()[2] == "r=00000050"
    assert len(data) == (SECTORS + 31) * SECTOR and any(data[-SECTOR:])
    assert (said, data) == rig.run(script, "VMM", cut=16)
