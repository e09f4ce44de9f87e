"""A guest that makes random accesses to the ports of PCI and IDE: it lives, and so does the monitor."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor.domain import DiskConfig
from tests.hypervisor.engine import guests
from tests.hypervisor.engine.ide_scripts import SECTOR, disk_image

ACCESSES = 8_000
SECTORS = 400

# Ports by an index of 6 bits; what is done to them by bits of the same random number (xorshift32).
GUEST = """
.macro random			# EAX
	movl seed,%eax
	movl %eax,%ecx
	shll $13,%ecx
	xorl %ecx,%eax
	movl %eax,%ecx
	shrl $17,%ecx
	xorl %ecx,%eax
	movl %eax,%ecx
	shll $5,%ecx
	xorl %ecx,%eax
	movl %eax,seed
.endm

test:	movl $COUNT,%ebp
next:	random
	movl %eax,%ebx
	andl $63,%eax
	movzwl ports(,%eax,2),%edx
	random				# the value; low ones more often
	testb $0x40,%bh
	jz 1f
	andl $0x80000fff,%eax
1:	shrl $8,%ebx
	andl $15,%ebx
	jmp *operations(,%ebx,4)
out8:	r3_out %al,%dx
	jmp done
out16:	r3_out %ax,%dx
	jmp done
out32:	r3_out %eax,%dx
	jmp done
in8:	r3_in %dx,%al
	jmp done
in16:	r3_in %dx,%ax
	jmp done
in32:	r3_in %dx,%eax
	jmp done
string_in:
	movl %eax,%ecx
	andl $0x3f,%ecx
	movl $buffer,%edi
	r3_rep_insl
	jmp done
string_out:
	movl %eax,%ecx
	andl $0x3f,%ecx
	movl $buffer,%esi
	r3_rep_outsw
	jmp done
configure:				# bus masters on and at their place
	movl $0xcf8,%edx
	movl $0x80000920,%eax
	r3_out %eax,%dx
	movl $0xcfc,%edx
	movl $0xc000,%eax
	r3_out %eax,%dx
	movl $0xcf8,%edx
	movl $0x80000904,%eax
	r3_out %eax,%dx
	movl $0xcfc,%edx
	movl $5,%eax
	r3_out %ax,%dx
	jmp done
read:	movl $reads,%esi
	jmp 1f
write:	movl $writes,%esi
1:	shrl $9,%eax
	andl $7,%eax
	movb (%esi,%eax),%bl
	movl $0x1f6,%edx
	movb $0xe0,%al
	r3_out %al,%dx
	movb %bl,%al
	incl %edx
	r3_out %al,%dx
	movl $0xc000,%edx
	movb $1,%al
	r3_out %al,%dx
	jmp done
table:	movl $0xc004,%edx		# zeros: 64 KiB at 0, as often as wanted
	movl $0x400000,%eax
	r3_out %eax,%dx
done:	decl %ebp
	jnz next
	say alive, $1
	finish

	.data
	.balign 4
seed:	.long SEED
operations:
	.long out8, out8, out8, out8, out16, out32, in8, in8, in16, in32, string_in, string_out, configure, read, write
	.long table
reads:	.byte 0x20, 0x24, 0xc4, 0x29, 0xc8, 0x25, 0xec, 0xc6
writes:	.byte 0x30, 0x34, 0xc5, 0x39, 0xca, 0x35, 0xe7, 0xa0
ports:	.word 0x1f0, 0x1f1, 0x1f2, 0x1f2, 0x1f3, 0x1f3, 0x1f4, 0x1f5, 0x1f6, 0x1f6, 0x1f7, 0x1f7, 0x1f7, 0x3f6
	.word 0x170, 0x170, 0x171, 0x172, 0x173, 0x174, 0x175, 0x176, 0x176, 0x177, 0x177, 0x177, 0x376
	.word 0xc000, 0xc000, 0xc001, 0xc002, 0xc003, 0xc004, 0xc008, 0xc008, 0xc00a, 0xc00c, 0xc00f
	.word 0xcf8, 0xcf8, 0xcf8, 0xcfc, 0xcfd, 0xcfe, 0xcff, 0x1f0, 0x1f0, 0x1f0, 0x170, 0x1f7, 0xc000
	.fill 13, 2, 0x1f2
	.bss
buffer:	.skip 0x2000
"""


@pytest.mark.parametrize("seed", [0x1234_5678, 0x0F1E_2D3C])
def test_the_guest_lives(seed: int, tmp_path: Path, monitor: Path) -> None:
    paths = [disk_image(tmp_path / name, SECTORS, place) for place, name in enumerate(("first", "second", "cd"))]
    before = [path.read_bytes() for path in paths]
    kernel = guests.assemble(f".set SEED, {seed}\n.set COUNT, {ACCESSES}\n{GUEST}", tmp_path / "guest", ported=True)
    disks = (DiskConfig(paths[0], index=0), DiskConfig(paths[1], read_only=True, index=1),
             DiskConfig(paths[2], index=2, cdrom=True))
    result = guests.run(kernel, seconds=30, disks=disks)
    assert result.outcome.cause == "debug exit with value 0x0" and result.items == {"alive": 1}, result
    assert [path.read_bytes() for path in paths[1:]] == before[1:]
    assert len(paths[0].read_bytes()) == SECTORS * SECTOR and paths[0].read_bytes() != before[0]
