"""x87, MMX and SSE under CR0.TS, EM and MP, as kernels use them to switch the FPU lazily; their errors."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAGING
from tests.hypervisor.engine.said import MF, NM, UD, XM, fault, none

FPU = """
	.set MP,2
	.set EM,4
	.set TS,8
	.set NE,0x20
.macro cr0 bits:req
	r3_read_cr0 %eax
	andl $~(MP|EM|TS|NE),%eax
	orl $\\bits,%eax
	r3_write_cr0 %eax
.endm
.macro cr4 bits:req
	movl $\\bits,%eax
	r3_write_cr4 %eax
.endm
.macro integer name:req
	pushl $0
	fistl (%esp)
	say \\name, (%esp)
	addl $4,%esp
.endm
"""

WHO_TRAPS = [
    ("fld1", 0, None), ("fwait", 0, None), ("movd %eax,%mm0", 0, None),
    ("fld1", "TS", NM), ("fwait", "TS", None), ("movd %eax,%mm0", "TS", NM), ("emms", "TS", NM),
    ("fistl number", "TS", NM), ("fldl number", "TS", NM),
    ("fld1", "TS|MP", NM), ("fwait", "TS|MP", NM),
    ("fld1", "EM", NM), ("fwait", "EM", None), ("fwait", "EM|MP", None), ("movd %eax,%mm0", "EM", UD),
    ("fadd %st(1),%st", "EM|MP", NM), ("movd %eax,%mm0", "EM|TS", UD), ("fwait", "EM|TS|MP", NM),
]  # fmt: skip


@pytest.mark.parametrize(("instruction", "bits", "vector"), WHO_TRAPS)
@pytest.mark.parametrize("ring", [0, 3])
def test_which_instructions_trap(machine: Machine, instruction: str, bits: str, vector: int | None, ring: int) -> None:
    """SDM vol. 3, table 2-2; and the registers are what they were when TS and EM are clear again."""
    said = machine(FPU + f"""
test:	fninit
	movl $77,number
	fildl number
	cr0 {bits}
	{"expect" if ring == 0 else "in_ring_3"} it, {instruction}
	cr0 0
	integer kept
	finish
	.data
	.balign 8
number:	.quad 0
	.text
""")
    if vector is None:
        assert said["it"] == (0x40 if ring else 0xFFFF_FFFF)
        return
    assert said == fault("it", vector) | {"kept": 77}


@pytest.mark.parametrize("way", ["r3_clts", "movl $1,%eax\n r3_lmsw %ax", "cr0 0", "cr0 MP"])
def test_ways_to_clear_ts(machine: Machine, way: str) -> None:
    said = machine(FPU + f"""
test:	fninit
	pushl $77
	fildl (%esp)
	cr0 0
	movl $9,%eax
	r3_lmsw %ax
	expect withheld, fld1
	{way}
	integer first
	expect given, fld1
	integer second
	cr0 TS
	expect again, fld1
	r3_clts
	integer third
	finish
""")
    expected = fault("withheld", NM) | {"first": 77} | none("given") | {"second": 1} | fault("again", NM) | {"third": 1}
    assert said == expected


# Two contexts and a kernel that gives the FPU to whichever asks, by FNSAVE and FRSTOR or by FXSAVE and FXRSTOR.
LAZY = FPU + """
.macro switch_to number:req
	movl $\\number,current
	cr0 TS
.endm
not_available:
	pushl %eax
	pushl %ecx
	incl traps
	r3_clts
	movl owner,%ecx
	movl current,%eax
	cmpl %eax,%ecx
	je 2f
	shll $9,%ecx
	SAVE areas(%ecx)
	shll $9,%eax
	RESTORE areas(%eax)
	movl current,%eax
	movl %eax,owner
2:	popl %ecx
	popl %eax
	r3_iret
	.data
current: .long 0
owner:	.long 0
traps:	.long 0
	.balign 16
areas:	.skip 1024
	.text
"""


def test_lazy_switching_in_ring_0(machine: Machine) -> None:
    """As kernels with threads in ring 0 do it: each trap where it is due, and none besides."""
    said = machine(LAZY.replace("SAVE", "fnsave").replace("RESTORE", "frstor") + """
test:	gate 7, not_available
	fninit
	fnsave areas+512
	fninit
	pushl $100
	fildl (%esp)
	switch_to 1
	say before, traps
	pushl $200
	fildl (%esp)
	say after, traps
	fildl (%esp)
	faddp
	say same, traps
	switch_to 0
	nop
	switch_to 1
	say back, traps
	integer one
	say no_change, traps
	switch_to 0
	integer zero
	say last, traps
	finish
""")
    assert said == {"before": 0, "after": 1, "same": 1, "back": 1, "one": 400, "no_change": 2, "zero": 100, "last": 3}


def test_lazy_switching_of_user_programs(machine: Machine) -> None:
    """With SSE: two programs whose vector registers and x87 stacks are apart."""
    said = machine(LAZY.replace("SAVE", "fxsave").replace("RESTORE", "fxrstor") + """
.macro run program:req, name:req
	movl $\\program,%edx
	call run
	say \\name, trap_eax
.endm
run:	movl %esp,trap_esp
	movl $1f,trap_resume
	user %edx
1:	movl $0,trap_resume
	ret
load_1:	movl $111,%eax
	jmp load
load_2:	movl $222,%eax
load:	movd %eax,%xmm3
	pushl %eax
	fildl (%esp)
	r3_int $0x40
sum:	movd %xmm3,%eax
	pushl $0
	fistl (%esp)
	addl (%esp),%eax
	r3_int $0x40
test:	gate 7, not_available
	cr4 0x200
	fninit
	fxsave areas+512
	switch_to 0
	run load_1, loaded_1
	switch_to 1
	run load_2, loaded_2
	switch_to 0
	run sum, sum_1
	switch_to 1
	run sum, sum_2
	run sum, sum_2_again
	switch_to 0
	run sum, sum_1_again
	finish
""")
    assert said == {"loaded_1": 111, "loaded_2": 222, "sum_1": 222, "sum_2": 444, "sum_2_again": 444,
                    "sum_1_again": 222}  # fmt: skip


def test_a_program_that_does_not_use_the_fpu(machine: Machine) -> None:
    """A handler that leaves TS set is not asked again and again."""
    said = machine(FPU + """
refuse:	incl traps
	r3_iret
test:	gate 7, refuse
	cr4 0x200
	cr0 TS
	in_ring_3 first, nop
	in_ring_3 second, nop
	cmpl $1,traps
	setbe %al
	movzbl %al,%eax
	say few, %eax
	finish
	.data
traps:	.long 0
	.text
""")
    assert (said["first"], said["second"], said["few"]) == (0x40, 0x40, 1)


def test_the_state_follows_the_guest_while_it_is_withheld(machine: Machine) -> None:
    """Over a change of address space, and interrupts between."""
    said = machine(PAGING + FPU + """
	.set PD2,0x208000
test:	call paging
	movl $PD,%esi
	movl $PD2,%edi
	movl $1024,%ecx
	rep movsl
	fninit
	pushl $12345
	fildl (%esp)
	cr0 TS
	movl $PD2,%eax
	r3_write_cr3 %eax
	expect withheld, fld1
	movl $PD,%eax
	r3_write_cr3 %eax
	expect still, fld1
	movl $PD2,%eax
	r3_write_cr3 %eax
	r3_clts
	integer kept
	finish
""")
    assert said == fault("withheld", NM) | fault("still", NM) | {"kept": 12345}


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


DIVIDE = """
	fninit
	pushw $0x37b			# division by zero is not masked
	fldcw (%esp)
	fld1
	fldz
	fdivrp
"""


def test_errors_of_x87(machine: Machine) -> None:
    """They come with the next instruction that waits; also with FWAIT while TS withholds the registers."""
    said = machine(FPU + f"""
test:	cr0 NE
	{DIVIDE}
	expect error, fld1
	expect again, fwait
	cr0 NE|TS
	expect withheld, fwait
	expect other, fld1
	cr0 NE
	fnclex
	expect cleared, fwait
	finish
""")
    expected = fault("error", MF) | fault("again", MF) | fault("withheld", MF) | fault("other", NM)
    assert said == expected | none("cleared")


def test_errors_of_x87_as_an_interrupt(machine: Machine) -> None:
    """CR0.NE clear: IRQ 13, and the instruction goes on when that has been handled."""
    said = machine(FPU + f"""
handler:
	incl count
	fnclex
	pushl %eax
	movb $0,%al
	r3_out %al,$0xf0
	movb $0x20,%al
	r3_out %al,$0xa0
	r3_out %al,$0x20
	popl %eax
	r3_iret
test:	gate 0x2d, handler
	.irp pair,0x1120,0x2021,0x0421,0x0121,0xfb21
	movb $\\pair>>8,%al
	r3_out %al,$\\pair&0xff
	.endr
	.irp pair,0x11a0,0x28a1,0x02a1,0x01a1,0xdfa1
	movb $\\pair>>8,%al
	r3_out %al,$\\pair&0xff
	.endr
	cr0 0
	r3_sti
	{DIVIDE}
	expect error, fld1
	say count, count
	fistl count
	say one, count
	finish
	.data
count:	.long 0
	.text
""")
    assert said == none("error") | {"count": 1, "one": 1}


@pytest.mark.parametrize(("bits", "vector"), [(0x600, XM), (0x200, UD)])
def test_errors_of_sse(machine: Machine, bits: int, vector: int) -> None:
    said = machine(FPU + f"""
test:	cr4 {bits:#x}
	pushl $0x1d80			# division by zero is not masked
	ldmxcsr (%esp)
	movl $1,%eax
	cvtsi2ss %eax,%xmm0
	xorps %xmm1,%xmm1
	expect error, divss %xmm1,%xmm0
	finish
""")
    assert said == fault("error", vector)
