"""Page tables, the TLB that hides behind them, and page faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.said import PF, fault, none

# Identity for the first 4 MiB by 4 KiB pages (table at 0x201000), 0x800000-0xbfffff by the table at
# 0x202000, which is empty at first; a page table for 0xff000000 at 0x203000, one for 0xfec00000 at 0x204000.
PAGING = """
	.set PD,0x200000
	.set LOW,0x201000
	.set TEST,0x202000
	.set TOP,0x203000
	.set DEVICES,0x204000
	.set WINDOW,0x800000
	.set FRAME_A,0x300000
	.set FRAME_B,0x302000

.macro entry page:req, value:req
	movl \\value,TEST+4*\\page
.endm

paging:	movl $PD,%edi
	xorl %eax,%eax
	movl $5*1024,%ecx
	rep stosl
	movl $LOW+7,PD
	movl $TEST+7,PD+4*2
	movl $TOP+7,PD+4*0x3fc
	movl $DEVICES+7,PD+4*0x3fb
	movl $LOW,%edi
	movl $7,%eax
	movl $1024,%ecx
1:	stosl
	addl $0x1000,%eax
	loop 1b
	movl $0xaaaaaaaa,FRAME_A
	movl $0xbbbbbbbb,FRAME_B
	movl $PD,%eax
	r3_write_cr3 %eax
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	ret
"""


def test_paging_on_and_off(machine: Machine) -> None:
    said = machine(PAGING + """
test:	call paging
	entry 0, $FRAME_A+7
	say mapped, WINDOW
	movl $0x12345678,WINDOW+4
	say through, FRAME_A+4
	r3_read_cr0 %eax
	andl $0x7fffffff,%eax
	r3_write_cr0 %eax
	movl $0xdddddddd,WINDOW
	say flat, WINDOW
	say frame, FRAME_A
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	say again, WINDOW
	finish
""")
    assert said == {"mapped": 0xAAAAAAAA, "through": 0x12345678, "flat": 0xDDDDDDDD, "frame": 0xAAAAAAAA,
                    "again": 0xAAAAAAAA}  # fmt: skip


def test_page_faults_of_the_kernel(machine: Machine) -> None:
    said = machine(PAGING + """
test:	call paging
	expect read, movl WINDOW+0x1234,%eax
	r3_read_cr2 %eax
	say read_cr2, %eax
	expect write, movl %eax,WINDOW+0x2345
	r3_read_cr2 %eax
	say write_cr2, %eax
	movl $WINDOW+0x3000,%eax
	movl %esp,trap_esp
	movl $1f,trap_resume
	jmp *%eax
1:	movl $0,trap_resume
	say fetch, trap_vector
	say fetch.error, trap_error
	say fetch.eip, trap_eip
	expect absent_directory, movl 0x70000000,%eax
	movl $WINDOW+0x7ffe,%ebx
	entry 7, $FRAME_A+3
	expect straddle, movl %eax,(%ebx)
	r3_read_cr2 %eax
	say straddle_cr2, %eax
	finish
""")
    expected = fault("read", PF, 0) | fault("write", PF, 2) | fault("absent_directory", PF, 0)
    expected |= fault("straddle", PF, 2) | {"read_cr2": 0x801234, "write_cr2": 0x802345, "straddle_cr2": 0x808000}
    assert said == expected | {"fetch": PF, "fetch.error": 0, "fetch.eip": 0x803000}


def test_write_protection(machine: Machine) -> None:
    """CR0.WP decides whether the kernel may write to read-only pages."""
    said = machine(PAGING + """
test:	call paging
	entry 0, $FRAME_A+1
	expect unprotected, movl $1,WINDOW
	say written, FRAME_A
	r3_read_cr0 %eax
	orl $0x10000,%eax
	r3_write_cr0 %eax
	expect protected, movl $2,WINDOW
	r3_read_cr2 %eax
	say cr2, %eax
	say kept, FRAME_A
	say readable, WINDOW
	entry 0, $FRAME_A+3
	r3_invlpg WINDOW
	expect writable, movl $3,WINDOW
	r3_read_cr0 %eax
	andl $~0x10000,%eax
	r3_write_cr0 %eax
	entry 0, $FRAME_A+1
	r3_invlpg WINDOW
	expect unprotected_again, movl $4,WINDOW
	say last, FRAME_A
	finish
""")
    assert said == (
        none("unprotected") | {"written": 1} | fault("protected", PF, 3) | {"cr2": 0x800000, "kept": 1, "readable": 1}
        | none("writable") | none("unprotected_again") | {"last": 4}
    )  # fmt: skip


def test_user_access(machine: Machine) -> None:
    said = machine(PAGING + """
test:	call paging
	entry 0, $FRAME_A+7
	entry 1, $FRAME_A+5
	entry 2, $FRAME_A+3
	in_ring_3 read, movl WINDOW,%eax
	in_ring_3 write, movl $5,WINDOW
	in_ring_3 write_readonly, movl $6,WINDOW+0x1000
	in_ring_3 read_readonly, movl WINDOW+0x1000,%eax
	in_ring_3 read_supervisor, movl WINDOW+0x2000,%eax
	in_ring_3 write_supervisor, movl $7,WINDOW+0x2000
	in_ring_3 read_absent, movl WINDOW+0x3000,%eax
	in_ring_3 write_absent, movl $8,WINDOW+0x3000
	movl $9,WINDOW+0x2000
	in_ring_3 after_kernel, movl WINDOW+0x2000,%eax
	r3_read_cr2 %eax
	say cr2, %eax
	say frame, FRAME_A
	finish
""")
    expected = {"read": 0x40, "write": 0x40, "read_readonly": 0x40} | fault("write_readonly", PF, 7)
    expected |= fault("read_supervisor", PF, 5) | fault("write_supervisor", PF, 7) | fault("read_absent", PF, 4)
    expected |= fault("write_absent", PF, 6) | fault("after_kernel", PF, 5) | {"cr2": 0x802000, "frame": 9}
    assert {name: said[name] for name in expected} == expected


# The kernel's own page behind the user's, so that user addresses end at 0x4000000; and, mapped later, user
# pages above it.
BEHIND = """
	.set BEYOND,0x8000000
	.set TEST2,0x209000
behind:	movl $DEVICES+3,PD+4*16
	movl $FRAME_A+3,DEVICES
	movl $TEST2,%edi
	xorl %eax,%eax
	movl $1024,%ecx
	rep stosl
	ret
beyond:	movl $TEST2+7,PD+4*32
	movl $FRAME_B+7,TEST2
	ret
"""


def test_kernel_pages_behind_the_users(machine: Machine) -> None:
    """What lies beyond the end of user addresses is a page fault like any other."""
    said = machine(PAGING + BEHIND + """
test:	call paging
	call behind
	in_ring_3 read, movl 0x4000010,%eax
	r3_read_cr2 %eax
	say cr2, %eax
	in_ring_3 write, movl %eax,0x4000010
	in_ring_3 absent, movl 0x5000000,%eax
	in_ring_3 push, pushl 0x4000010
	in_ring_3 top, movl 0xfffff000,%eax
	in_ring_3 add, addl %eax,0x4000010
	movl $0x4000010,%edi
	movl $1,%ecx
	in_ring_3 string, stosb
	say kernel, 0x4000000
	finish
""")
    expected = fault("read", PF, 5) | fault("write", PF, 7) | fault("absent", PF, 4) | fault("push", PF, 5)
    expected |= fault("top", PF, 4) | fault("add", PF, 7) | {"cr2": 0x4000010, "kernel": 0xAAAAAAAA}
    assert {name: said[name] for name in expected} == expected
    assert (said["string"], said["string.at"]) == (PF, 0)


@pytest.mark.parametrize(
    "use",
    ["movl BEYOND,%eax", "movl %eax,BEYOND", "addl %eax,BEYOND", "movl $BEYOND+8,%esp\n pushl %eax",
     "movl $BEYOND+8,%esp\n popl %eax", "movl $BEYOND,%esi\n lodsl", "movl $BEYOND,%edi\n stosl",
     "movl $BEYOND+128,%esp\n pushal", "movl $BEYOND,%eax\n call *%eax"],
)  # fmt: skip
def test_user_pages_that_come_later(machine: Machine, use: str) -> None:
    """The end of user addresses moves when the guest maps user pages behind it."""
    said = machine(PAGING + BEHIND + f"""
test:	call paging
	call behind
	in_ring_3 before, nop
	movl $0xc3c3c3c3,FRAME_B
	call beyond
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	{use}
	r3_int $0x40
2:	movl $0,trap_resume
	say vector, trap_vector
	finish
""")
    assert said["before"] == said["vector"] == 0x40


@pytest.mark.parametrize(
    ("jump", "stack"),
    [("jmp 0x4000010", 0), ("movl $0x4000010,%eax\n jmp *%eax", 0), ("call 0x4000010", -4), ("call *target", -4),
     ("xorl %eax,%eax\n jz 0x4000010", 0), ("pushl $0x4000010\n ret", 0), ("pushl $1\n pushl $0x4000010\n ret $4", 0)],
)  # fmt: skip
def test_jumps_behind_the_users_end(machine: Machine, jump: str, stack: int) -> None:
    """The jump is done, and the fetch at its target is a page fault; so is one by the kernel's iret."""
    said = machine(PAGING + BEHIND + f"""
test:	call paging
	call behind
	in_ring_3 before, nop
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	{jump}
	r3_int $0x40
2:	movl $0,trap_resume
	say vector, trap_vector
	say error, trap_error
	say eip, trap_eip
	subl $stack_top-8192,trap_user_esp
	say esp, trap_user_esp
	r3_read_cr2 %eax
	say cr2, %eax
	movl $3f,trap_resume
	user $0x4000020
3:	movl $0,trap_resume
	say iret, trap_vector
	say iret.error, trap_error
	say iret.eip, trap_eip
	finish
	.data
target:	.long 0x4000010
	.text
""")
    expected = {"before": 0x40, "vector": PF, "error": 5, "eip": 0x4000010, "cr2": 0x4000010,
                "esp": stack & 0xFFFF_FFFF, "iret": PF, "iret.error": 5, "iret.eip": 0x4000020}  # fmt: skip
    assert {name: said[name] for name in expected} == expected


def test_ported_user_code_reads_the_contracts_data(machine: Machine) -> None:
    """Flags and segment registers in user programs that were ported too, beyond the end of their segments."""
    said = machine(PAGING + BEHIND + """
test:	call paging
	call behind
	in_ring_3 before, nop
	movl $stack_top-8192,%ebp
	in_ring_3 store, r3_store_ds %ebx
	say ds, %ebx
	movl $0x23,%ebx
	in_ring_3 load, r3_load_es %ebx
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	r3_pushf
	popl %esi
	pushl %esi
	r3_popf
	r3_int $0x40
2:	movl $0,trap_resume
	andl $0x200,%esi
	say flags, %esi
	say vector, trap_vector
	in_ring_3 cli, r3_cli
	finish
""")
    assert {said[name] for name in ("before", "store", "load", "vector")} == {0x40}
    assert (said["ds"], said["flags"]) == (0x23, 0x200)
    assert (said["cli"], said["cli.error"]) == (13, 0)


def test_kernel_reaches_user_pages_through_user_segments(machine: Machine) -> None:
    """In ring 0 a user segment is as long as its descriptor says, not cut where user addresses end."""
    said = machine(PAGING + BEHIND + """
test:	call paging
	call behind
	in_ring_3 before, nop
	movl $USER_DS,%eax
	r3_load_ds %eax
	r3_load_es %eax
	movl $0x4000000,%esi
	movl $0x4000004,%edi
	cld
	movsl
	movl 0x4000004,%ebx
	call kernel_data
	say copied, %ebx
	in_ring_3 after, movl 0x4000004,%eax
	finish
""")
    assert said["copied"] == 0xAAAAAAAA
    assert (said["before"], said["after"], said["after.error"]) == (0x40, PF, 5)


@pytest.mark.parametrize("page", [0xFF00_0000, 0xFEEF_0000, 0x80_0000, 0x40_0000 - 0x1000], ids=hex)
def test_invlpg_drops_one_page(machine: Machine, page: int) -> None:
    """Wherever the page lies: next to what the hypervisor keeps for itself, too."""
    said = machine(PAGING + f"""
	.set PAGE,{page:#x}
test:	call paging
	movl PD+4*(PAGE>>22),%ebx
	andl $~0xfff,%ebx
	addl $4*(PAGE>>12&0x3ff),%ebx
	movl $FRAME_A+3,(%ebx)
	r3_invlpg PAGE
	say before, PAGE
	movl $FRAME_B+3,(%ebx)
	r3_invlpg PAGE
	say after, PAGE
	movl $0,(%ebx)
	r3_invlpg PAGE
	expect gone, movl PAGE,%eax
	finish
""")
    assert said == {"before": 0xAAAAAAAA, "after": 0xBBBBBBBB} | fault("gone", PF, 0)


def test_cr3_load_drops_what_has_changed(machine: Machine) -> None:
    said = machine(PAGING + """
test:	call paging
	entry 0, $FRAME_A+3
	entry 1, $FRAME_B+3
	say first, WINDOW
	say second, WINDOW+0x1000
	entry 0, $FRAME_B+3
	entry 1, $0
	r3_read_cr3 %eax
	r3_write_cr3 %eax
	say changed, WINDOW
	expect unmapped, movl WINDOW+0x1000,%eax
	movl $0,PD+4*2
	r3_write_cr3 %eax
	expect no_table, movl WINDOW,%eax
	finish
""")
    expected = {"first": 0xAAAAAAAA, "second": 0xBBBBBBBB, "changed": 0xBBBBBBBB}
    assert said == expected | fault("unmapped", PF) | fault("no_table", PF)


def test_accessed_and_dirty_bits(machine: Machine) -> None:
    said = machine(PAGING + """
test:	call paging
	entry 0, $FRAME_A+1
	movl WINDOW,%eax
	movl TEST,%eax
	andl $0x60,%eax
	say read, %eax
	entry 1, $FRAME_A+3
	movl $0xaaaaaaaa,WINDOW+0x1000
	movl TEST+4,%eax
	andl $0x60,%eax
	say written, %eax
	movl PD+8,%eax
	andl $0x20,%eax
	say directory, %eax
	finish
""")
    assert said == {"read": 0x20, "written": 0x60, "directory": 0x20}


def test_large_pages(machine: Machine) -> None:
    said = machine(PAGING + """
test:	call paging
	r3_read_cr4 %eax
	orl $0x10,%eax
	r3_write_cr4 %eax
	movl $0x83,PD+4*3
	say low, 0xc00000+FRAME_A
	movl $0x400083,PD+4*3
	movl $0xcccccccc,0xc00010
	r3_invlpg 0xc00010
	movl $0xeeeeeeee,0xc00010
	movl $0x400083,PD+4*1
	say through, 0x400010
	movl $0x400087,PD+4*4
	in_ring_3 user, movl 0x1000010,%eax
	in_ring_3 supervisor, movl 0xc00010,%eax
	movl $0,PD+4*3
	r3_invlpg 0xf00000
	expect gone, movl 0xc00010,%eax
	finish
""")
    expected = {"low": 0xAAAAAAAA, "through": 0xEEEEEEEE, "user": 0x40} | fault("supervisor", PF, 5) | fault("gone", PF)
    assert {name: said[name] for name in expected} == expected


def test_global_pages(machine: Machine) -> None:
    """A global page survives a CR3 load; invlpg and a change of CR4.PGE drop it."""
    said = machine(PAGING + """
test:	call paging
	r3_read_cr4 %eax
	orl $0x80,%eax
	r3_write_cr4 %eax
	entry 0, $FRAME_A+0x103
	say before, WINDOW
	entry 0, $FRAME_B+0x103
	r3_invlpg WINDOW
	say invalidated, WINDOW
	entry 0, $FRAME_A+0x103
	r3_read_cr4 %eax
	andl $~0x80,%eax
	r3_write_cr4 %eax
	say flushed, WINDOW
	finish
""")
    assert said == {"before": 0xAAAAAAAA, "invalidated": 0xBBBBBBBB, "flushed": 0xAAAAAAAA}


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


def test_fpu_state_follows_the_guest_across_address_spaces(machine: Machine) -> None:
    said = machine(PAGING + """
	.set PD2,0x208000
test:	call paging
	movl $PD,%esi
	movl $PD2,%edi
	movl $1024,%ecx
	rep movsl
	r3_read_cr4 %eax
	orl $0x200,%eax
	r3_write_cr4 %eax
	fninit
	pushl $12345
	fildl (%esp)
	movd (%esp),%xmm5
	movl $PD2,%eax
	r3_write_cr3 %eax
	fistpl (%esp)
	say integer, (%esp)
	movd %xmm5,(%esp)
	say vector, (%esp)
	finish
""")
    assert said == {"integer": 12345, "vector": 12345}


def test_pages_that_are_no_memory(machine: Machine) -> None:
    """Reads of nothing give ones; writes are lost; the tables may point anywhere."""
    said = machine(PAGING + """
test:	call paging
	entry 0, $0x50000003
	say nothing, WINDOW
	movl $1,WINDOW
	say still, WINDOW
	movl $0x50000007,PD+4*5
	expect table, movl 0x1400000,%eax
	movl $0xfec00003,DEVICES
	movl $1,0xfec00000
	movl 0xfec00010,%eax
	andl $0xff,%eax
	say version, %eax
	finish
""")
    assert said["nothing"] == 0xFFFF_FFFF and said["still"] == 0xFFFF_FFFF
    assert said["version"] in (0x11, 0x20)  # Intel's 82093AA, or the later ones that QEMU models


def test_code_is_seen_as_written(machine: Machine) -> None:
    """Self-modifying code, through the page itself and through an alias."""
    said = machine(PAGING + """
test:	call paging
	movl $patched,%eax
	shrl $12,%eax
	movl LOW(,%eax,4),%ecx
	movl %ecx,TEST
	call patched
	say first, %eax
	movl $0x22222222,patched+1
	call patched
	say second, %eax
	movl $patched+1,%ecx
	andl $0xfff,%ecx
	movl $0x33333333,WINDOW(%ecx)
	call patched
	say third, %eax
	finish
	.balign 16
patched:
	movl $0x11111111,%eax
	ret
""")
    assert said == {"first": 0x11111111, "second": 0x22222222, "third": 0x33333333}


def test_walk_to_the_top_of_the_address_space(machine: Machine) -> None:
    """Sequential reads up to the last page, which the host may not let the guest map."""
    said = machine(PAGING + """
test:	call paging
	r3_read_cr4 %eax
	orl $0x10,%eax
	r3_write_cr4 %eax
	movl $0x83,PD+4*0x3ff
	movl $0xffc00000,%esi
	xorl %ebx,%ebx
	movl $1024,%ecx
1:	movl (%esi),%eax
	movl (%esi),%edx
	subl %eax,%edx
	orl %edx,%ebx
	addl $0x1000,%esi
	loop 1b
	say difference, %ebx
	say top, %esi
	say frame, 0xffc00000+FRAME_A
	finish
""")
    assert said == {"difference": 0, "top": 0, "frame": 0xAAAAAAAA}


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
