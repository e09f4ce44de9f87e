"""PAE page tables and the execute-disable bit (SDM vol. 3, 4.4 and 4.6)."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAE, TASKS
from tests.hypervisor.engine.said import GP, PF, fault, none


def test_pages_of_both_sizes(machine: Machine) -> None:
    said = machine(PAE + """
test:	call paging
	entry 0, $FRAME_A+7
	entry 511, $FRAME_B+3
	say first, WINDOW
	say last, WINDOW+511*0x1000
	movl $0x12345678,WINDOW+4
	say through, FRAME_A+4
	movl $0x200083,PD2+8*5
	say high, 0x80000000+5*0x200000+0x100000
	movl $0x83,PD2+8*5
	r3_invlpg 0x80a00000+0x1000
	movl $FRAME_A+3,TEST+8*3
	expect behind, movl WINDOW+0x200000,%eax
	expect absent, movl 0x40000000,%eax
	expect top, movl 0xc0000000,%eax
	r3_read_cr2 %eax
	say cr2, %eax
	finish
""")
    expected = {"first": 0xAAAAAAAA, "last": 0xBBBBBBBB, "through": 0x12345678, "high": 0xAAAAAAAA}
    assert said == expected | fault("behind", PF) | fault("absent", PF) | fault("top", PF) | {"cr2": 0xC0000000}


def test_pointers_are_read_when_cr3_is_loaded(machine: Machine) -> None:
    """And only then; reserved bits in them are a general-protection fault that changes nothing."""
    said = machine(PAE + """
test:	call paging
	movl $0x200083,PD2
	say before, 0x80100000
	movl $0,PDPT+16
	r3_invlpg 0x80100000
	say cached, 0x80100000
	reload
	expect gone, movl 0x80100000,%eax
	movl $PD2+1,PDPT+16
	movl $3,PDPT+24
	movl $PDPT,%eax
	expect reserved, r3_write_cr3 %eax
	expect still_gone, movl 0x80100000,%eax
	movl $0x1000,PDPT+24+4
	movl $1,PDPT+24
	movl $PDPT,%eax
	expect reserved_high, r3_write_cr3 %eax
	movl $0x80000006,PDPT+24
	movl $PDPT,%eax
	expect not_present, r3_write_cr3 %eax
	say again, 0x80100000
	finish
""")
    expected = {"before": 0xAAAAAAAA, "cached": 0xAAAAAAAA, "again": 0xAAAAAAAA} | none("not_present")
    expected |= fault("gone", PF) | fault("reserved", GP) | fault("still_gone", PF) | fault("reserved_high", GP)
    assert said == expected


def test_directory_pointer_tables_share_a_page(machine: Machine) -> None:
    """CR3 has bits 5 to 11 of the address."""
    said = machine(PAE + """
test:	call paging
	movl $PD+1,PDPT2
	movl $PD+1,PDPT2+8
	entry 0, $FRAME_A+3
	expect one, movl 0x40000000+WINDOW,%eax
	reload $PDPT2
	say two, 0x40000000+WINDOW
	movl $7,0x40000000+WINDOW+8
	r3_read_cr3 %eax
	say cr3, %eax
	reload
	say frame, WINDOW+8
	expect one_again, movl 0x40000000+WINDOW,%eax
	finish
""")
    assert said == {"two": 0xAAAAAAAA, "cr3": 0x214020, "frame": 7} | fault("one", PF) | fault("one_again", PF)


@pytest.mark.parametrize(
    ("page", "high"), [("$FRAME_A+3", 0x80000000), ("$FRAME_A+3", 0x10), ("$FRAME_A+1", 0x00100000)], ids=str
)
def test_reserved_bits(machine: Machine, page: str, high: int) -> None:
    """Above the physical address width, and execute-disable while IA32_EFER.NXE is clear."""
    said = machine(PAE + f"""
test:	call paging
	entry 0, {page}, {high:#x}
	expect read, movl WINDOW,%eax
	expect write, movl %eax,WINDOW
	in_ring_3 user, movl WINDOW,%eax
	movl $0x400083,PD+8*6
	movl ${high:#x},PD+8*6+4
	expect large, movl 0xc00000,%eax
	movl $0x402083,PD+8*6
	movl $0,PD+8*6+4
	expect low, movl 0xc00000,%eax
	finish
""")
    expected = fault("read", PF, 9) | fault("write", PF, 11) | fault("large", PF, 9) | fault("low", PF, 9)
    assert {name: said[name] for name in expected} == expected
    assert (said["user"], said["user.error"]) == (PF, 13)


def test_addresses_above_4_gib_are_no_memory(machine: Machine) -> None:
    said = machine(PAE + """
test:	call paging
	entry 0, $FRAME_A+3, 1
	say nothing, WINDOW
	movl $1,WINDOW
	say still, WINDOW
	say frame, FRAME_A
	entry 0, $FRAME_A+3
	movl $TEST+3,PD+8*6
	movl $1,PD+8*6+4
	expect table, movl 0xc00000,%eax
	finish
""")
    assert said["nothing"] == said["still"] == 0xFFFF_FFFF and said["frame"] == 0xAAAAAAAA
    assert said["table"] == PF, "there is no table, and none at the address's low half is taken for it"


def test_execute_disable(machine: Machine) -> None:
    """Fetches fault, with bit 4 of the error code; reads and writes do not."""
    said = machine(PAE + """
.macro fetch name:req, address:req
	movl $\\address,%eax
	movl %esp,trap_esp
	movl $.Lfetched\\@,trap_resume
	movl $-1,trap_vector
	movl $0,trap_error
	call *%eax
.Lfetched\\@:	movl $0,trap_resume
	say \\name, trap_vector
	say \\name\\().error, trap_error
.endm
test:	call paging
	movb $0xc3,FRAME_A
	entry 0, $FRAME_A+7
	fetch offered, WINDOW
	set_efer 0x800
	fetch allowed, WINDOW
	entry 0, $FRAME_A+7, 0x80000000
	r3_invlpg WINDOW
	fetch disabled, WINDOW
	r3_read_cr2 %eax
	say cr2, %eax
	expect read, movl WINDOW,%eax
	expect write, movl %eax,WINDOW
	fetch still_disabled, WINDOW
	fetch absent, WINDOW+0x1000
	movl $0x80000000,PD+8*4+4
	entry 0, $FRAME_A+7
	reload
	fetch by_directory, WINDOW
	movl $0x200087,PD+8*6
	movl $0x80000000,PD+8*6+4
	fetch large, 0xd00000
	movl $0,PD+8*4+4
	entry 0, $FRAME_A+7, 0x80000000
	reload
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $WINDOW
2:	movl $0,trap_resume
	say user, trap_vector
	say user.error, trap_error
	entry 0, $FRAME_A+7
	r3_invlpg WINDOW
	fetch enabled, WINDOW
	movl $0x80000000,PD+8*4+4
	reload
	fetch by_directory_alone, WINDOW
	movl $0,PD+8*4+4
	reload
	set_efer 0
	fetch absent_without, WINDOW+0x1000
	entry 0, $FRAME_A+7, 0x80000000
	r3_invlpg WINDOW
	fetch reserved, WINDOW
	finish
""")
    fetches = {
        "offered": (0xFFFF_FFFF, 0), "allowed": (0xFFFF_FFFF, 0), "disabled": (PF, 0x11), "read": (0xFFFF_FFFF, 0),
        "write": (0xFFFF_FFFF, 0), "still_disabled": (PF, 0x11), "absent": (PF, 0x10), "by_directory": (PF, 0x11),
        "large": (PF, 0x11), "user": (PF, 0x15), "enabled": (0xFFFF_FFFF, 0), "by_directory_alone": (PF, 0x11),
        "absent_without": (PF, 0),
        "reserved": (PF, 9),
    }  # fmt: skip
    found = {name: (said[name], said[f"{name}.error"]) for name in fetches}
    assert found == fetches and said["cr2"] == 0x800000


def test_execute_disable_needs_pae(machine: Machine) -> None:
    """Two-level tables have no such bit, and IA32_EFER has no other that this CPU offers."""
    said = machine(PAE + """
test:	set_efer 0x800
	movl $0xc0000080,%ecx
	r3_rdmsr
	say efer, %eax
	.irp bit,1,0x100,0x400
	movl $0xc0000080,%ecx
	movl $\\bit,%eax
	xorl %edx,%edx
	expect efer_\\bit, r3_wrmsr
	.endr
	movl $0x83,PDPT
	movl $PDPT,%eax
	set_cr4 0x10
	reload
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	movl $0x80000000,%eax
	movl %esp,trap_esp
	movl $1f,trap_resume
	call *%eax
1:	movl $0,trap_resume
	say fetch, trap_vector
	say fetch.error, trap_error
	finish
""")
    expected = {"efer": 0x800, "fetch": PF, "fetch.error": 0}
    assert said == expected | fault("efer_1", GP) | fault("efer_0x100", GP) | fault("efer_0x400", GP)


def test_between_the_formats(machine: Machine) -> None:
    """CR4.PAE changes what the tables mean, also while paging is on."""
    said = machine(PAE + """
	.set OLD,0x216000
test:	movl $OLD,%edi
	xorl %eax,%eax
	movl $1024,%ecx
	rep stosl
	call tables
	set_cr4 0x10
	movl $0x83,OLD
	movl $0x400083,OLD+4
	movl $0x83,OLD+8
	reload $OLD
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	say narrow, WINDOW+0x300000
	movl $OLD,%eax
	expect no_pointers, r3_write_cr3 %eax
	set_cr4 0x10
	r3_read_cr0 %eax
	andl $0x7fffffff,%eax
	r3_write_cr0 %eax
	set_cr4 0x30
	reload
	entry 0, $FRAME_B+3
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	say wide, WINDOW
	movl $4,PDPT+24
	movl $0x10,%eax
	movl $3,PDPT+24
	movl $0xb0,%eax
	expect bad_pointers, r3_write_cr4 %eax
	r3_read_cr4 %eax
	say cr4, %eax
	say still, WINDOW
	finish
""")
    expected = {"narrow": 0xAAAAAAAA, "wide": 0xBBBBBBBB, "still": 0xBBBBBBBB, "cr4": 0x30}
    assert said == expected | none("no_pointers") | fault("bad_pointers", GP)


def test_what_changed_is_dropped_by_a_cr3_load(machine: Machine) -> None:
    """Each of the entries of a table that is cached as a whole, low half and high half."""
    said = machine(PAE + """
test:	call paging
	set_efer 0x800
	movl $TEST,%edi
	movl $0x200007,%eax
	movl $512,%ecx
1:	stosl
	movl $0,(%edi)
	addl $4,%edi
	addl $0x1000,%eax
	loop 1b
	reload
	xorl %ebp,%ebp			# entries whose change was not seen
	xorl %ebx,%ebx			# the page
2:	movl $WINDOW,%esi
	movl $512,%ecx
3:	movl (%esi),%eax
	addl $0x1000,%esi
	loop 3b
	movl TEST(,%ebx,8),%edx
	movl $FRAME_B+7,TEST(,%ebx,8)
	reload
	movl %ebx,%esi
	shll $12,%esi
	cmpl $0xbbbbbbbb,WINDOW(%esi)
	je 4f
	incl %ebp
4:	movl %edx,TEST(,%ebx,8)
	movl $1,TEST+4(,%ebx,8)
	reload
	cmpl $0xffffffff,WINDOW(%esi)
	je 5f
	incl %ebp
5:	movl $0,TEST+4(,%ebx,8)
	reload
	incl %ebx
	cmpl $512,%ebx
	jne 2b
	say missed, %ebp
	finish
""")
    assert said == {"missed": 0}


def test_user_addresses_end_where_the_tables_say(machine: Machine) -> None:
    """Kernel pages behind the user's, in the same directory and in another."""
    said = machine(PAE + """
test:	call paging
	entry 0, $FRAME_A+7
	movl $0x200083,PD+8*7
	movl $0x200083,PD2
	in_ring_3 user, movl WINDOW,%eax
	in_ring_3 near, movl 0xf00000,%eax
	r3_read_cr2 %eax
	say near_cr2, %eax
	in_ring_3 far, movl %eax,0x80100000
	in_ring_3 absent, movl 0x40000000,%eax
	movl $0x200087,PD2
	in_ring_3 far_user, movl 0x80100000,%eax
	say kernel, 0xf00000
	finish
""")
    expected = {"user": 0x40, "far_user": 0x40, "kernel": 0xAAAAAAAA, "near_cr2": 0xF00000}
    expected |= fault("near", PF, 5) | fault("far", PF, 7) | fault("absent", PF, 4)
    assert {name: said[name] for name in expected} == expected


def test_accessed_and_dirty_bits(machine: Machine) -> None:
    said = machine(PAE + """
test:	call paging
	entry 0, $FRAME_A+1
	movl WINDOW,%eax
	say read, TEST
	entry 1, $FRAME_B+3
	movl %eax,WINDOW+0x1000
	say written, TEST+8
	movl PD+8*4,%eax
	andl $0x20,%eax
	say directory, %eax
	movl $0x400083,PD+8*6
	movl %eax,0xc00000
	say large, PD+8*6
	say pointer, PDPT
	finish
""")
    assert said == {"read": 0x300021, "written": 0x302063, "directory": 0x20, "large": 0x4000E3, "pointer": 0x211001}


def test_a_task_whose_tables_have_reserved_bits_is_told_so(machine: Machine) -> None:
    """The switch is over by then, so the fault is the new task's, whose segments are not loaded: a task takes it.

    Bochs shuts down here; the SDM leaves it open.
    """
    said = machine(TASKS + PAE + """
	task other, arrived
	task handler, faulted
test:	based 0, other, 103, 0x89
	based 1, handler, 103, 0x89
	r3_lgdt gdt_pointer
	call paging
	movl $PDPT,tss+CR3
	movl $PDPT,handler+CR3
	movl $7,PDPT2
	movl $PDPT2,other+CR3
	task_gate 13, FREE+8
	r3_ljmp $FREE,$0
	say returned, %eax
	finish
arrived: say arrived, %eax
	finish
faulted: popl %eax
	say error, %eax
	movzwl handler,%eax
	say task, %eax
	movl other+EIP,%eax
	subl $arrived,%eax
	say at, %eax
	r3_read_cr3 %eax
	say tables, %eax
	finish
""")
    assert said == {"error": 0, "task": 0x30, "at": 0, "tables": 0x210000}
