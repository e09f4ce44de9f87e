"""Accessed and dirty bits as processors set them: with the first access, and with the first write."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAE, PAGING
from tests.hypervisor.engine.said import none

# Entries 0 to 15 of the window map sixteen pages, one after the other.
NARROW = PAGING + """
	.set SIZE,4
	.set ROOT,PD
	.set DIRECTORY,PD+8
.macro fill flags=7
	.irp page,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movl $FRAME_A+0x1000*\\page+\\flags,TEST+4*\\page
	.endr
.endm
"""
WIDE = PAE + """
	.set SIZE,8
	.set ROOT,PDPT
	.set DIRECTORY,PD+8*4
.macro fill flags=7
	.irp page,0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
	movl $FRAME_A+0x1000*\\page+\\flags,TEST+8*\\page
	.endr
.endm
"""
BITS = """
.macro bits name:req, page:req
	movl TEST+SIZE*\\page,%ecx
	andl $0x60,%ecx
	say \\name, %ecx
.endm
.macro again
	movl $ROOT,%eax
	r3_write_cr3 %eax
.endm
"""
formats = pytest.mark.parametrize("tables", [NARROW, WIDE], ids=["two-level", "pae"])


@formats
def test_bits_follow_accesses(machine: Machine, tables: str) -> None:
    said = machine(tables + BITS + """
test:	call paging
	fill
	movl WINDOW+0x3000,%eax
	bits read, 3
	bits below, 2
	bits above, 4
	movl %eax,WINDOW+0x3000
	bits written, 3
	movl %eax,WINDOW+0x5000
	bits written_first, 5
	incl WINDOW+0x6000
	bits modified, 6
	movl WINDOW+0x7000,%eax
	movl %eax,WINDOW+0x7000
	movl WINDOW+0x7000,%eax
	bits all, 7
	movl DIRECTORY,%ecx
	andl $0x20,%ecx
	say directory, %ecx
	finish
""", exact_dirty=True)
    assert said == {"read": 0x20, "below": 0, "above": 0, "written": 0x60, "written_first": 0x60, "modified": 0x60,
                    "all": 0x60, "directory": 0x20}  # fmt: skip


@formats
@pytest.mark.parametrize("page", ["user", "kernel"])
@pytest.mark.parametrize("how", ["r3_invlpg WINDOW", "again"])
def test_bits_that_were_taken_back_come_again(machine: Machine, tables: str, page: str, how: str) -> None:
    said = machine(tables + BITS + f"""
test:	call paging
	fill {7 if page == "user" else 3}
	again
	movl %eax,WINDOW
	bits first, 0
	andl $~0x60,TEST
	{how}
	bits cleared, 0
	movl WINDOW,%eax
	bits read, 0
	movl %eax,WINDOW
	bits written, 0
	andl $~0x40,TEST
	{how}
	movl WINDOW,%eax
	bits clean, 0
	movl %eax,WINDOW
	bits dirty, 0
	finish
""", exact_dirty=True)
    assert said == {"first": 0x60, "cleared": 0, "read": 0x20, "written": 0x60, "clean": 0x20, "dirty": 0x60}


@formats
def test_bits_of_large_pages(machine: Machine, tables: str) -> None:
    """One entry for all of it: wherever it is written."""
    size, entry = (0x40_0000, "PD+4*3") if tables is NARROW else (0x20_0000, "PD+8*6")
    said = machine(tables + BITS + f"""
.macro large name:req
	movl {entry},%ecx
	andl $0x60,%ecx
	say \\name, %ecx
.endm
test:	call paging
	r3_read_cr4 %eax
	orl $0x10,%eax
	r3_write_cr4 %eax
	movl ${2 * size if tables is WIDE else size:#x}+0x83,{entry}
	large before
	movl 0xc05000,%eax
	large read
	movl %eax,0xc06000
	large written
	movl %eax,0xc05000
	andl $~0x40,{entry}
	r3_invlpg 0xc00000
	movl 0xc05000,%eax
	large clean
	movl %eax,0xc05000
	large dirty
	finish
""", exact_dirty=True)
    assert said == {"before": 0, "read": 0x20, "written": 0x60, "clean": 0x20, "dirty": 0x60}


@formats
def test_a_fault_sets_nothing_and_its_repair_only_what_is_done(machine: Machine, tables: str) -> None:
    """A user's fault, repaired: its page is not marked before the instruction runs again."""
    said = machine(tables + BITS + """
test:	call paging
	fill 5
	in_ring_3 refused, movl %eax,WINDOW
	bits refused_bits, 0
	in_ring_3 absent, movl WINDOW+0x20000,%eax
	movl $FRAME_A+7,TEST+SIZE*0x20
	in_ring_3 elsewhere, movl WINDOW+0x1000,%eax
	bits repaired, 0x20
	bits touched, 1
	finish
""", exact_dirty=True)
    assert (said["refused_bits"], said["repaired"], said["touched"]) == (0, 0, 0x20)


@formats
def test_the_monitors_own_accesses_count(machine: Machine, tables: str) -> None:
    """Stacks and string operations, which the monitor reads and writes for the guest."""
    said = machine(tables + BITS + """
handler: r3_iret
test:	call paging
	fill
	gate 0x41, handler
	movl %esp,%ebx
	movl $WINDOW+0x2000,%esp
	r3_int $0x41
	movl %ebx,%esp
	bits stack, 1
	movl $WINDOW+0x4000,%esi
	movl $0x3f8,%edx
	cld
	movb $10,FRAME_A+0x4000
	movl $0,%ecx
	r3_rep_outsb
	bits none, 4
	movl $1,%ecx
	r3_rep_outsb
	bits source, 4
	r3_sgdt WINDOW+0x5000
	bits stored, 5
	expect fine, nop
	finish
""", exact_dirty=True)
    bits = {"stack": 0x60, "none": 0, "source": 0x20, "stored": 0x60}
    assert said == bits | none("fine")


def test_write_protection_off(machine: Machine) -> None:
    """A kernel's write to a read-only page makes it dirty, too."""
    said = machine(NARROW + BITS + """
test:	call paging
	fill 1
	movl WINDOW,%eax
	bits read, 0
	movl %eax,WINDOW
	bits written, 0
	finish
""", exact_dirty=True)
    assert said == {"read": 0x20, "written": 0x60}
