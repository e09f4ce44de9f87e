"""Rings 1 and 2, and what IOPL, the I/O bitmap and the kinds of segments allow outside ring 0."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import DESCRIPTORS, RINGS
from tests.hypervisor.engine.said import DONE, GP, SS, fault
from tests.hypervisor.engine.test_privilege import PRIVILEGED

BY_IOPL = ("cli", "sti", "in", "out", "insb")
FREE = 0x30


@pytest.mark.parametrize("ring", [1, 2])
def test_privileged_instructions(pc: Machine, ring: int) -> None:
    """Rings 1 and 2 may no more than ring 3."""
    names = [name for name in PRIVILEGED if name not in BY_IOPL]
    tries = "".join(f"	in_ring {ring}, 0x3202, {name}, {PRIVILEGED[name]}\n" for name in names)
    said = pc(f"{RINGS}test:	rings\n{tries}	finish\n")
    expected: dict[str, int] = {}
    for name in names:
        expected |= fault(name, GP, 0)
    assert said == expected


@pytest.mark.parametrize("iopl", [0, 1, 2])
def test_io_privilege_level(pc: Machine, iopl: int) -> None:
    """cli, sti and ports, ported and not: in the rings up to IOPL."""
    instructions = {"cli": "cli", "sti": "sti", "in": "inb $0x61,%al", "r3_cli": "r3_cli", "r3_sti": "r3_sti",
                    "r3_in": "r3_in $0x61,%al"}  # fmt: skip
    tries = "".join(f"	in_ring {ring}, {iopl << 12 | 2:#x}, {name}_{ring}, {instruction}\n" for ring in (1, 2)
                    for name, instruction in instructions.items())  # fmt: skip
    said = pc(f"{RINGS}test:	rings\n{tries}	finish\n")
    allowed = {name: said[name] == DONE for name in said if "." not in name}
    assert allowed == {f"{name}_{ring}": ring <= iopl for ring in (1, 2) for name in instructions}
    assert all(said[name] == GP and said[f"{name}.error"] == said[f"{name}.at"] == 0
               for name in allowed if not allowed[name])  # fmt: skip


def test_flags_outside_ring_0(pc: Machine) -> None:
    """popf and iret change IF in the rings up to IOPL only, IOPL nowhere; pushf shows both."""
    said = pc(RINGS + """
.macro flags ring, value, name
	movl %esp,trap_esp
	movl $.Lback\\@,trap_resume
	pushl $RING\\ring\\()_DS
	pushl $stack_top-8192
	pushl $\\value
	pushl $RING\\ring\\()_CS
	pushl $.Lin\\@
	clc
	jc .Lin\\@
	r3_iret
.Lin\\@:	r3_pushf
	popl %ebx
	pushl $0x2002
	r3_popf
	r3_pushf
	popl %ecx
	pushl $0x3202
	r3_popfw
	popl %eax
	r3_pushf
	popl %edx
	pushl $0x0002
	pushl $RING\\ring\\()_CS
	pushl $.Lon\\@
	clc
	jc .Lon\\@
	r3_iret
.Lon\\@:	r3_pushf
	popl %esi
	int $0x40
.Lback\\@: andl $0x3200,%ebx
	andl $0x3200,%ecx
	andl $0x3200,%edx
	andl $0x3200,%esi
	say \\name, %ebx
	say \\name\\().popf, %ecx
	say \\name\\().popfw, %edx
	say \\name\\().iret, %esi
.endm
test:	rings
	flags 1, 0x0202, on
	flags 1, 0x0002, off
	flags 1, 0x1202, allowed
	flags 2, 0x1202, not_allowed
	finish
""")
    assert said == {
        "on": 0x200, "on.popf": 0x200, "on.popfw": 0x200, "on.iret": 0x200,
        "off": 0, "off.popf": 0, "off.popfw": 0, "off.iret": 0,
        "allowed": 0x1200, "allowed.popf": 0x1000, "allowed.popfw": 0x1200, "allowed.iret": 0x1000,
        "not_allowed": 0x1200, "not_allowed.popf": 0x1200, "not_allowed.popfw": 0x1200, "not_allowed.iret": 0x1200,
    }  # fmt: skip


def test_io_bitmap_of_inner_rings(pc: Machine) -> None:
    said = pc(RINGS + """
test:	rings
	movw $bitmap-tss,tss+102
	movw $bitmap-tss+32,gdt+TSS
	movb $0x89,gdt+TSS+5
	movb $0xfd,bitmap+0x60/8
	movl $TSS,%eax
	r3_ltr %ax
	in_ring 1, 2, open, inb $0x61,%al
	in_ring 2, 2, closed, inb $0x60,%al
	in_ring 2, 0x2002, by_iopl, inb $0x60,%al
	in_ring 1, 2, wide, inw $0x61,%ax
	finish
	.data
bitmap:	.fill 0x60/8,1,255
	.byte 255
	.fill 256,1,0
	.text
""")
    assert {name: said[name] for name in ("open", "closed", "by_iopl", "wide")} == {
        "open": DONE, "closed": GP, "by_iopl": DONE, "wide": GP}  # fmt: skip


def test_an_unreachable_io_bitmap_is_a_page_fault(pc: Machine) -> None:
    said = pc(RINGS + """
test:	rings
	xorl %ecx,%ecx
1:	movl %ecx,%eax
	shll $12,%eax
	orl $7,%eax
	movl %eax,0x401000(,%ecx,4)
	incl %ecx
	cmpl $1024,%ecx
	jne 1b
	movl $0x401007,0x400000
	movl $0,0x401000+0x3ff*4
	movl $0x400000,%eax
	r3_write_cr3 %eax
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	movw $0xff00,tss+102
	movw $0xffff,gdt+TSS
	movl $0x3f0fff-0xff0c,%eax
	movl $0x3f00f4,%eax
	movw %ax,gdt+TSS+2
	shrl $16,%eax
	movb %al,gdt+TSS+4
	movb $0x89,gdt+TSS+5
	movl tss+4,%eax
	movl %eax,0x3f00f4+4
	movl tss+8,%eax
	movl %eax,0x3f00f4+8
	movw $0xff00,0x3f00f4+102
	movl $TSS,%eax
	r3_ltr %ax
	in_ring 2, 2, in, inb $0x61,%al
	r3_read_cr2 %eax
	say address, %eax
	finish
""")
    # 0x3f00f4 + 0xff00 + 0x61 / 8
    assert said == fault("in", 14, 0) | {"address": 0x400000}


def test_data_segments_that_expand_down(bare: Machine) -> None:
    """Offsets above the limit, up to 4 GiB or 64 KiB. QEMU does not look at limits."""
    said = bare(DESCRIPTORS + """
.macro reach name, selector, offset
	movl $\\selector,%eax
	r3_load_fs %eax
	expect \\name, movl %eax,%fs:\\offset
.endm
test:	descriptor 0, 0x00409600, 0x00000fff
	descriptor 1, 0x00009630, 0x00000fff
	descriptor 2, 0x00c0f600, 0x000001ff
	descriptor 3, 0x0040f500, 0x00000fff
	r3_lgdt gdt_pointer
	reach inside, FREE, 0x300000
	reach limit, FREE, 0xfff
	reach straddling, FREE, 0xffd
	reach first, FREE, 0x1000
	reach small_inside, FREE+8, 0xfffc
	reach small_end, FREE+8, 0xfffd
	reach small_beyond, FREE+8, 0x10000
	reach pages, FREE+16, 0x200000
	reach pages_below, FREE+16, 0x1ffffc
	reach read_only, FREE+24, 0x300000
	movl $FREE+24,%eax
	r3_load_fs %eax
	in_ring_3 user, movl %fs:0x300000,%eax
	movl $FREE+24,%eax
	r3_load_fs %eax
	in_ring_3 user_below, movl %fs:0x100,%eax
	finish
""")
    allowed = {name for name in said if "." not in name and said[name] in (DONE, 0xFFFF_FFFF)}
    assert allowed == {"inside", "first", "small_inside", "pages", "user"}
    assert {said[name] for name in said if "." not in name and name not in allowed} == {GP}


def test_stacks_that_expand_down(bare: Machine) -> None:
    """A push below the limit is #SS: for the stack it is the segment's bottom."""
    said = bare(DESCRIPTORS + """
test:	descriptor 0, 0x00c0f600, 0x00000104
	descriptor 1, 0x0000f600, 0x00000fff
	r3_lgdt gdt_pointer
	movl %esp,trap_esp
	pushl $FREE+3
	pushl $0x105008
	pushl $0x202
	pushl $USER_CS
	pushl $1f
	movl $2f,trap_resume
	clc
	jc 1f
	r3_iret
1:	pushl %eax
	pushl %eax
3:	pushl %eax
2:	subl $3b,trap_eip
	say bottom, trap_vector
	say bottom.error, trap_error
	say bottom.at, trap_eip
	say esp, trap_user_esp
	pushl $FREE+8+3
	pushl $0x1004
	pushl $0x202
	pushl $USER_CS
	pushl $1f
	movl $2f,trap_resume
	clc
	jc 1f
	r3_iret
1:	pushl %eax
3:	pushl %eax
2:	subl $3b,trap_eip
	say small, trap_vector
	say small.error, trap_error
	say small.at, trap_eip
	finish
""")
    assert said == fault("bottom", SS) | {"esp": 0x105000} | fault("small", SS)


def test_conforming_segments(pc: Machine) -> None:
    """Code of an inner ring that runs in the ring of its caller, by every way into it."""
    said = pc(RINGS + """
test:	rings
	descriptor 2, 0x00cf9e00, 0x0000ffff
	descriptor 3, 0x00cffe00, 0x0000ffff
	gate 0x50, handler, 0xee00
	movw $FREE+16,idt+8*0x50+2
	in_ring_3 by_jump, ljmp $FREE+16,$landing
	say cs, trap_cs
	in_ring_3 by_call, lcall $FREE+19,$landing
	say cs_by_call, trap_cs
	in_ring 1, 2, from_ring_1, ljmp $FREE+16,$landing
	say cs_of_ring_1, trap_cs
	in_ring_3 by_int, int $0x50
	say cs_by_int, trap_cs
	expect outward, r3_ljmp $FREE+24,$landing
	pushl $USER_DS
	pushl $stack_top-8192
	pushl $FREE+16+3
	pushl $landing
	movl %esp,trap_esp
	movl $4f,trap_resume
	r3_lret
handler: int $0x40
landing: int $0x40
4:	movl $0,trap_resume
	say by_return, trap_vector
	say cs_by_return, trap_cs
	movl $FREE+16,%eax
	r3_load_ds %eax
	movl gdt,%eax
	say as_data, %eax
	finish
""")
    found = {name: value for name, value in said.items() if "." not in name}
    for name in found:
        if name.startswith("cs"):
            found[name] &= 0xFFFF
    assert found == {
        "by_jump": DONE, "cs": FREE + 19, "by_call": DONE, "cs_by_call": FREE + 19, "from_ring_1": DONE,
        "cs_of_ring_1": FREE + 17, "by_int": DONE, "cs_by_int": FREE + 19, "outward": GP, "by_return": DONE,
        "cs_by_return": FREE + 19, "as_data": 0,
    }  # fmt: skip
    assert said["outward.error"] == FREE + 24


def test_several_local_tables(pc: Machine) -> None:
    """The same selector is another segment behind lldt; registers keep what they had."""
    said = pc(DESCRIPTORS + """
test:	based 2, first, 15, 0x82
	based 3, second, 23, 0x82
	r3_lgdt gdt_pointer
	movl $0xaaaaaaaa,0x300000
	movl $0xbbbbbbbb,0x310000
	movl $FREE+16,%eax
	r3_lldt %ax
	movl $0xf,%ebx
	r3_load_fs %ebx
	say first, %fs:0
	movl $FREE+24,%eax
	r3_lldt %ax
	say kept, %fs:0
	r3_load_gs %ebx
	say second, %gs:0
	say still, %fs:0
	movl $0x17,%ecx
	r3_load_es %ecx
	movl $FREE+16,%eax
	r3_lldt %ax
	r3_load_fs %ebx
	say first_again, %fs:0
	say second_kept, %gs:0
	r3_store_gs %eax
	say selector, %eax
	r3_store_es %eax
	say es, %eax
	expect beyond, r3_load_es selector
	movl $FREE,%eax
	expect empty, r3_lldt %ax
	movl $0xc,%eax
	expect local, r3_lldt %ax
	finish
	.data
	.balign 8
first:	.quad 0, 0x0040f2300000ffff
second:	.quad 0, 0x0040f2310000ffff, 0x0040f2300000ffff
selector: .long 0x17
	.text
""")
    expected = {"first": 0xAAAAAAAA, "kept": 0xAAAAAAAA, "second": 0xBBBBBBBB, "still": 0xAAAAAAAA,
                "first_again": 0xAAAAAAAA, "second_kept": 0xBBBBBBBB, "selector": 0xF, "es": 0x17}  # fmt: skip
    expected |= fault("beyond", GP, 0x14) | fault("empty", GP, FREE) | fault("local", GP, 0xC)
    assert said == expected


def test_pages_of_the_inner_rings(pc: Machine) -> None:
    """Rings 1 and 2 are supervisors to the page tables, ring 3 is not."""
    said = pc(RINGS + """
test:	rings
	xorl %ecx,%ecx
1:	movl %ecx,%eax
	shll $12,%eax
	orl $7,%eax
	movl %eax,0x401000(,%ecx,4)
	incl %ecx
	cmpl $1024,%ecx
	jne 1b
	movl $0x401007,0x400000
	movl $0x300003,0x401000+0x300*4
	movl $0x12345678,0x300000
	movl $0x400000,%eax
	r3_write_cr3 %eax
	r3_read_cr0 %eax
	orl $0x80000000,%eax
	r3_write_cr0 %eax
	movl $0,%ebx
	in_ring 1, 2, one, movl 0x300000,%ebx
	say ebx_1, %ebx
	movl $0,%ebx
	in_ring 2, 2, two, movl 0x300000,%ebx
	say ebx_2, %ebx
	in_ring_3 three, movl 0x300000,%ebx
	in_ring 2, 2, again, movl 0x300000,%ebx
	finish
""")
    assert (said["one"], said["two"], said["again"]) == (DONE, DONE, DONE)
    assert (said["ebx_1"], said["ebx_2"]) == (0x12345678, 0x12345678)
    assert (said["three"], said["three.error"]) == (14, 5)
