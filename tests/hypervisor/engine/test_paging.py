"""Page tables, the TLB that hides behind them, and page faults of the kernel."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAGING
from tests.hypervisor.engine.said import PF, fault, none


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
