"""Page directories that a guest switches between, and what of one is remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAGING
from tests.hypervisor.engine.said import PF, fault


def test_address_spaces(machine: Machine) -> None:
    """Several page directories, with the same kernel and different or equal user pages."""
    said = machine(PAGING + """
	.set PD2,0x208000
	.set TEST2,0x209000
	.set PD3,0x20a000
test:	call paging
	movl $PD,%esi
	movl $PD2,%edi
	movl $1024,%ecx
	rep movsl
	movl $PD,%esi
	movl $PD3,%edi
	movl $1024,%ecx
	rep movsl
	movl $TEST2,%edi
	xorl %eax,%eax
	movl $1024,%ecx
	rep stosl
	movl $TEST2+7,PD2+8
	entry 0, $FRAME_A+7
	movl $FRAME_B+7,TEST2
	movl $PD2,%ebx
	movl $PD,%ecx
	movl $PD3,%edx
	say one, WINDOW
	r3_write_cr3 %ebx
	say two, WINDOW
	movl $0x22222222,WINDOW+8
	r3_write_cr3 %ecx
	say one_again, WINDOW
	r3_write_cr3 %edx
	say three, WINDOW
	movl $0x33333333,WINDOW+8
	r3_write_cr3 %ebx
	say second_word, WINDOW+8
	r3_write_cr3 %ecx
	say first_word, WINDOW+8
	# a table changed while another directory was loaded
	movl $FRAME_A+7,TEST2
	r3_write_cr3 %ebx
	say moved, WINDOW
	# a kernel page changed in one is changed in all that share its table
	movl $FRAME_A+3,LOW+4*0x3f0
	r3_invlpg 0x3f0000
	say shared_one, 0x3f0000
	r3_write_cr3 %ecx
	movl $FRAME_B+3,LOW+4*0x3f0
	r3_invlpg 0x3f0000
	say shared_two, 0x3f0000
	r3_write_cr3 %ebx
	say shared_three, 0x3f0000
	r3_read_cr3 %eax
	say cr3, %eax
	finish
""")
    assert said == {
        "one": 0xAAAAAAAA, "two": 0xBBBBBBBB, "one_again": 0xAAAAAAAA, "three": 0xAAAAAAAA, "second_word": 0x22222222,
        "first_word": 0x33333333, "moved": 0xAAAAAAAA, "shared_one": 0xAAAAAAAA, "shared_two": 0xBBBBBBBB,
        "shared_three": 0xBBBBBBBB, "cr3": 0x208000,
    }  # fmt: skip


def test_more_address_spaces_than_processes(machine: Machine) -> None:
    said = machine(PAGING + """
	.set MANY,0x500000
test:	call paging
	movl $0x83,PD
	movl $0x400083,PD+4
	r3_read_cr4 %eax
	orl $0x10,%eax
	r3_write_cr4 %eax
	movl $0,%ebp
1:	movl $PD,%esi
	movl %ebp,%edi
	shll $13,%edi
	addl $MANY,%edi
	movl $1024,%ecx
	rep movsl
	leal 7(%edi),%eax
	movl %eax,-0x1000+8(%edi)
	movl $0x300007,%eax
	movl %ebp,%ecx
	shll $12,%ecx
	addl %ecx,%eax
	movl %eax,(%edi)
	andl $~0xfff,%eax
	movl %ebp,(%eax)
	incl %ebp
	cmpl $80,%ebp
	jne 1b
	xorl %ebx,%ebx
	movl $3,%edx
2:	xorl %ebp,%ebp
3:	movl %ebp,%eax
	shll $13,%eax
	addl $MANY,%eax
	r3_write_cr3 %eax
	cmpl WINDOW,%ebp
	je 4f
	incl %ebx
4:	incl %ebp
	cmpl $80,%ebp
	jne 3b
	decl %edx
	jnz 2b
	say wrong, %ebx
	finish
""")
    assert said == {"wrong": 0}


DIRECT_MAP = PAGING + """
test:	call paging
	movl $TEST,%edi			# the window maps the first 4 MiB, as a kernel's direct map does
	movl $7,%eax
	movl $1024,%ecx
1:	stosl
	addl $0x1000,%eax
	loop 1b
.macro reload times=1
	.rept \\times
	movl $PD,%eax
	r3_write_cr3 %eax
	.endr
.endm
	reload				# the address space that it was until now had no process of its own
	movl $WINDOW,%esi
	movl $1024,%ecx
2:	movl (%esi),%eax		# all of it is cached
	addl $0x1000,%esi
	loop 2b
	reload 3
"""


@pytest.mark.parametrize("page", [0, 1, 7, 8, 63, 64, 511, 959, 960, 1023])
@pytest.mark.parametrize("change", ["$FRAME_B+7", "$FRAME_B+0x27", "$FRAME_B+0x67", "$0"])
def test_one_entry_of_a_direct_map_changes(machine: Machine, page: int, change: str) -> None:
    """Whatever place it has among thousands that follow each other; and the others stay."""
    read = f"expect changed, movl WINDOW+{page:#x}*0x1000,%eax" if change == "$0" else (
        f"say changed, WINDOW+{page:#x}*0x1000")
    other = 0x300 if page != 0x300 else 0x301
    said = machine(DIRECT_MAP + f"""
	entry {page}, {change}
	reload
	{read}
	say other, WINDOW+{other:#x}*0x1000
	reload 3
	entry {page}, $FRAME_A+7
	reload
	say again, WINDOW+{page:#x}*0x1000
	movl $0xcccccccc,{page:#x}*0x1000+0xffc
	reload				# remembered as it is, which is not straight
	entry {page}, ${page:#x}*0x1000+7
	reload
	say straight, WINDOW+{page:#x}*0x1000+0xffc
	entry 0x300, $FRAME_B+7
	reload
	say frame, WINDOW+0x300*0x1000
	finish
""")
    changed = fault("changed", PF, 0) if change == "$0" else {"changed": 0xBBBBBBBB}
    assert said == changed | {"other": 0xAAAAAAAA if other == 0x300 else 0, "again": 0xAAAAAAAA,
                              "straight": 0xCCCCCCCC, "frame": 0xBBBBBBBB}  # fmt: skip


VECTOR_FLAGS = Path("/proc/cpuinfo").read_text().split()


@pytest.mark.skipif("avx2" not in VECTOR_FLAGS, reason="this processor has no AVX2")
@pytest.mark.parametrize("upper", [True, False], ids=["upper halves in use", "not in use"])
def test_vector_registers_survive_a_comparison(machine: Machine, upper: bool) -> None:
    """CR3 loads compare with vector registers, which are the guest's."""
    registers = "\n".join(
        f"\tvinserti128 $1,pattern+{16 * number},%ymm{number},%ymm{number}" if upper
        else f"\tmovdqu pattern+{16 * number},%xmm{number}"
        for number in range(8)
    )
    stores = "\n".join(
        f"\tvmovdqu %ymm{number},stored+{32 * number}" if upper else f"\tmovdqu %xmm{number},stored+{32 * number}"
        for number in range(8)
    )
    checks = "\n".join(f"\tsay r{number}, stored+{32 * number + (16 if upper else 0)}" for number in range(8))
    said = machine(DIRECT_MAP + f"""
	reload 3
{registers}
	reload 2
{stores}
{checks}
	finish

	.balign 32
pattern:
	.irp n,0,1,2,3,4,5,6,7
	.long 0x11110000+\\n, 0x22220000+\\n, 0x33330000+\\n, 0x44440000+\\n
	.endr
stored:	.skip 256
""")
    assert said == {f"r{number}": 0x11110000 + number for number in range(8)}
