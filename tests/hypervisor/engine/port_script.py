"""A guest that plays a script of port and memory accesses and says what it read, in ring3 or on QEMU's PC."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from enum import IntEnum
from pathlib import Path

from hypercalls.structs import ExitReason
from hypervisor.domain import DiskConfig, Domain, DomainConfig
from hypervisor.memory_map import MIB
from tests.hypervisor.engine import guests

AREA = 2 * MIB
"""Guest-physical address of the memory that scripts use."""
QEMU_SECONDS = 60
_QEMU_EXIT = 1  # isa-debug-exit with value 0


class Op(IntEnum):
    """What a record does with its argument (16 bits) and its value (32 bits); memory is counted in doublewords."""

    END = 0
    OUT8, OUT16, OUT32 = 1, 2, 3  # write the value to port `argument`
    IN8, IN16, IN32 = 4, 5, 6  # say what port `argument` reads, ANDed with the value
    DATA_IN = 7  # read that many doublewords by string input, say their sum
    DATA_OUT = 8  # write that many of a pattern by string output
    INTERRUPTS = 9  # take and say the slave PIC's highest request
    STORE = 10  # the value into the area, at doubleword `argument`
    SUM = 11  # say the sum of that many doublewords from `argument` on
    FILL = 12  # a pattern into that many doublewords from `argument` on
    WAIT = 13  # until port `argument`, ANDed with bits 0-7 of the value, reads bits 8-15
    PEEK = 14  # say the doubleword at `argument` of what DATA_IN read last, ANDed with the value
    QUIET_IN = 15  # as DATA_IN, but nothing is said


Record = tuple[int, int, int]

# EBP: the record. Data read is at `buffer`.
PLAYER = f".set AREA, {AREA}" + """
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
	incl number
	jmp *operations(,%ebx,4)

out8:	r3_out %al,%dx
	jmp next
out16:	r3_out %ax,%dx
	jmp next
out32:	r3_out %eax,%dx
	jmp next
in8:	movl %eax,%ebx
	xorl %eax,%eax
	r3_in %dx,%al
	jmp tell
in16:	movl %eax,%ebx
	xorl %eax,%eax
	r3_in %dx,%ax
	jmp tell
in32:	movl %eax,%ebx
	r3_in %dx,%eax
tell:	andl %ebx,%eax
	say r, %eax
	jmp next
data_in:
	movl %eax,%ecx
	movl $buffer,%edi
	r3_rep_insl
	movl %edi,%ecx
	movl $buffer,%esi
	jmp sum
quiet_in:
	movl %eax,%ecx
	movl $buffer,%edi
	r3_rep_insl
	jmp next
sum_area:
	leal AREA(,%edx,4),%esi
	leal (%esi,%eax,4),%ecx
sum:	subl %esi,%ecx
	shrl $2,%ecx
	xorl %eax,%eax
1:	jecxz 2f
	roll $1,%eax
	addl (%esi),%eax
	addl $4,%esi
	decl %ecx
	jmp 1b
2:	say d, %eax
	jmp next
data_out:
	movl $buffer,%edi
	call pattern
	movl %eax,%ecx
	movl $buffer,%esi
	r3_rep_outsl
	jmp next
fill:	leal AREA(,%edx,4),%edi
	call pattern
	jmp next
pattern:			# EAX doublewords at EDI, of this record and no other
	movl %eax,%ecx
	movl number,%ebx
	imull $0x9e3779b1,%ebx
1:	jecxz 2f
	movl %ebx,(%edi)
	roll $3,%ebx
	addl $0x1234567,%ebx
	addl $4,%edi
	decl %ecx
	jmp 1b
2:	ret
interrupts:
	movw $0xa0,%dx			# poll: the highest request is taken
	movb $0x0c,%al
	r3_out %al,%dx
	xorl %eax,%eax
	r3_in %dx,%al
	testb $0x80,%al		# the other bits mean nothing without
	jnz 1f
	xorl %eax,%eax
1:	say i, %eax
	movb $0x20,%al
	r3_out %al,%dx
	jmp next
store:	movl %eax,AREA(,%edx,4)
	jmp next
peek:	andl buffer(,%edx,4),%eax
	say p, %eax
	jmp next
wait:	movl %eax,%ebx
	movl $1<<20,%ecx
1:	r3_in %dx,%al
	andb %bl,%al
	cmpb %bh,%al
	je next
	loop 1b
	movzbl %al,%eax
	say timeout, %eax
	jmp next
end:	finish

	.data
	.balign 4
operations:
	.long end, out8, out16, out32, in8, in16, in32, data_in, data_out, interrupts, store, sum_area, fill, wait, peek
	.long quiet_in
number:	.long 0
	.bss
	.balign 4
buffer:	.skip 0x40000
	.data
	.balign 4
script:
"""


def assemble(script: Sequence[Record], out: Path, ported: bool) -> Path:
    """The guest that plays `script`."""
    words = "\n".join(f"\t.word {int(op)},{argument}\n\t.long {value}" for op, argument, value in
                      [*script, (Op.END, 0, 0)])
    return guests.assemble(PLAYER + words, out, ported)


def answers(output: bytes) -> str:
    """What a guest said, without what its prelude sends behind that and the serial line's line ends."""
    return output.decode().replace("\r\n", "\n").removesuffix("\x04")


class Played:
    """What the guest said, and how many exits of each reason that took."""

    def __init__(self, said: str, exits: dict[str, int]) -> None:
        self.said, self.exits = said, exits


def play(script: Sequence[Record], folder: Path, disks: Sequence[DiskConfig] = (),
         prepare: Callable[[Domain], None] | None = None, seconds: int = 10) -> Played:
    """Play `script` in ring3, after `prepare` of the built domain."""
    kernel = assemble(script, folder / "guest", ported=True)
    console = guests.Recorder()
    with Domain(DomainConfig(kernel, memory=guests.MEMORY, disks=tuple(disks))) as domain:
        domain.build()
        if prepare:
            prepare(domain)
        with guests.time_limit(seconds):
            result = domain.run(console)
        assert result.cause == "debug exit with value 0x0", (result, console.data[-300:])
        exits = {ExitReason(reason).name: count for reason, count in enumerate(domain.control.exits) if count}
    return Played(answers(console.data), exits)


def have_qemu() -> bool:
    """Whether there is a PC of QEMU's here."""
    return shutil.which("qemu-system-i386") is not None


def play_on_qemu(script: Sequence[Record], folder: Path, disks: Sequence[DiskConfig] = (), vga: str = "none") -> str:
    """What the guest says on QEMU's "pc" machine. `vga`: its video card, as QEMU's option names it."""
    kernel = assemble(script, folder / "qemu-guest", ported=False)
    drives = []
    for disk in disks:
        media = "cdrom" if disk.cdrom else "disk"
        drives += ["-drive", f"file={disk.path},format=raw,index={disk.index},media={media}"]
    run = subprocess.run(
        ["qemu-system-i386", "-M", "pc", "-m", str(guests.MEMORY // MIB), "-kernel", str(kernel), "-serial", "stdio",
         "-display", "none", "-nic", "none", "-vga", vga, "-no-reboot",
         "-device", "isa-debug-exit,iobase=0xf4,iosize=4", *drives],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=QEMU_SECONDS)  # fmt: skip
    if run.returncode != _QEMU_EXIT:
        raise RuntimeError(f"QEMU ended with status {run.returncode}: {run.stdout.decode()[-300:]}"
                           f"{run.stderr.decode()[-300:]}")
    return answers(run.stdout)
