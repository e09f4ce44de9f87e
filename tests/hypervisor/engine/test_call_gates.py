"""Call gates: in a ring and to an inner one, with parameters, 16 bits wide; far returns to outer rings."""

from __future__ import annotations

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import DESCRIPTORS, RINGS, TASKS
from tests.hypervisor.engine.said import GP, NP, SS, TS, fault

FREE = 0x30

def test_in_the_same_ring(pc: Machine) -> None:
    """By call and by jump, by an immediate and by memory; the offset of the transfer means nothing."""
    said = pc(DESCRIPTORS + """
test:	call_gate 2, KERNEL_CS, called
	call_gate 3, KERNEL_CS, jumped
	call_gate 4, KERNEL_CS+3, called
	r3_lgdt gdt_pointer
	movl %esp,%ebp
	r3_lcall $FREE+16,$0x12345678
	movl $FREE+16,pointer+4
	r3_lcall_mem pointer
	r3_lcall $FREE+32,$0
	movl $FREE+24,pointer+4
	r3_ljmp_mem pointer
again:	r3_ljmp $FREE+24,$0
called:	movl (%esp),%eax
	cmpl $called,%eax
	adcl $0,below
	say caller, 4(%esp)
	movl %ebp,%eax
	subl %esp,%eax
	say frame, %eax
	r3_lret
jumped:	r3_store_cs %eax
	say cs, %eax
	incl count
	cmpl $2,count
	jne again
	say below, below
	subl %esp,%ebp
	say left, %ebp
	finish
	.data
pointer: .long 0, 0
count:	.long 0
below:	.long 0
	.text
""")
    assert said["caller"] & 0xFFFF == 8
    del said["caller"]
    assert said == {"frame": 8, "cs": 8, "below": 3, "left": 0}


def test_to_ring_0_with_parameters(pc: Machine) -> None:
    """From ring 3: the TSS's stack with return address, parameters and old stack pointer; lret $n gives all back."""
    said = pc(DESCRIPTORS + """
test:	call_gate 2, KERNEL_CS, entered, 3, 0xec
	r3_lgdt gdt_pointer
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	pushl $0x33333333
	pushl $0x22222222
	pushl $0x11111111
	movl %esp,%ebp
	stc
	lcall $FREE+16,$0
back:	setc %cl
	movzbl %cl,%ecx
	movl %esp,%edx
	movl $0,%eax
	pushl %ds
	int $0x40
entered: movl %esp,%esi
	setc %bl
	movl $KERNEL_DS,%eax
	r3_load_ds %eax
	r3_load_es %eax
	movl (%esi),%eax
	subl $back,%eax
	say eip, %eax
	say cs, 4(%esi)
	say first, 8(%esi)
	say second, 12(%esi)
	say third, 16(%esi)
	movl 20(%esi),%eax
	subl %ebp,%eax
	say esp, %eax
	say ss, 24(%esi)
	movl $stack_top-4096-28,%eax
	subl %esi,%eax
	say stack, %eax
	r3_store_cs %eax
	say inside_cs, %eax
	r3_store_ss %eax
	say inside_ss, %eax
	movzbl %bl,%ebx
	say carry_inside, %ebx
	stc
	r3_lret_n $12
2:	movl $0,trap_resume
	say vector, trap_vector
	say carry, %ecx
	subl %ebp,%edx
	say released, %edx
	say back_cs, trap_cs
	say back_ss, trap_user_ss
	finish
""")
    assert said == {
        "eip": 0, "cs": 0x1B, "first": 0x11111111, "second": 0x22222222, "third": 0x33333333, "esp": 0, "ss": 0x23,
        "stack": 0, "inside_cs": 8, "inside_ss": 0x10, "carry_inside": 1, "vector": 0x40, "carry": 1, "released": 12,
        "back_cs": 0x1B, "back_ss": 0x23,
    }  # fmt: skip


def test_all_rings(pc: Machine) -> None:
    """Down from 0 to 1, 2 and 3 by far returns, up from 3 to 2, 1 and 0 by gates, each on its own stack."""
    said = pc(RINGS + """
test:	rings
	call_gate 2, RING2_CS, ring_2_entered, 0, 0xec
	call_gate 3, RING1_CS, ring_1_entered, 1, 0xcc
	call_gate 4, KERNEL_CS, ring_0_entered, 31, 0xac
	ring 1, in_ring_1
in_ring_1: movl $RING1_DS,%eax
	r3_load_ds %eax
	r3_store_cs cs_1
	pushl $RING2_DS
	pushl $stack_top-8192
	pushl $RING2_CS
	pushl $in_ring_2
	lretl
in_ring_2: movl $USER_DS,%eax
	r3_load_ds %eax
	r3_store_cs cs_2
	pushl $USER_DS
	pushl $stack_top-8192
	pushl $USER_CS
	pushl $in_ring_3
	lretl
in_ring_3: r3_store_ds ds_3
	lcall $FREE+16,$0
ring_2_entered: r3_store_ss ss_2
	movl %esp,esp_2
	pushl $0x77777777
	lcall $FREE+24,$0
ring_1_entered: r3_store_ss ss_1
	movl %esp,esp_1
	movl 8(%esp),%eax
	movl %eax,parameter
	lcall $FREE+32,$0
ring_0_entered: movl %esp,%ebp
	r3_store_ss %ebx
	r3_store_cs %ecx
	call kernel_data
	say cs_1, cs_1
	say cs_2, cs_2
	say ds_3, ds_3
	say ss_2, ss_2
	subl $stack_top-7168,esp_2
	say esp_2, esp_2
	say ss_1, ss_1
	subl $stack_top-6144,esp_1
	say esp_1, esp_1
	say parameter, parameter
	say cs_0, %ecx
	say ss_0, %ebx
	subl $stack_top-4096,%ebp
	say esp_0, %ebp
	movl $stack_top-4096,%ebp
	movzwl 4-4*35(%ebp),%eax
	say caller, %eax
	say copied, 16-4*35(%ebp)
	say saved_ss, -4(%ebp)
	finish
	.data
cs_1:	.long 0
cs_2:	.long 0
ds_3:	.long 0
ss_2:	.long 0
esp_2:	.long 0
ss_1:	.long 0
esp_1:	.long 0
parameter: .long 0
	.text
""")
    minus = 1 << 32
    assert said == {
        "cs_1": 0xD1, "cs_2": 0xE2, "ds_3": 0x23, "ss_2": 0xEA, "esp_2": minus - 16, "ss_1": 0xD9,
        "esp_1": minus - 20, "parameter": 0x77777777, "cs_0": 8, "ss_0": 0x10, "esp_0": minus - 4 * 35,
        "caller": 0xD1, "copied": 0x77777777, "saved_ss": 0xD9,
    }  # fmt: skip


def test_gates_of_16_bits(pc: Machine) -> None:
    """Words on the stack, in the same ring and inward; a 16-bit far return takes them."""
    said = pc(DESCRIPTORS + """
test:	call_gate 2, FREE+40, same-0x100000, 0, 0x84
	call_gate 3, FREE+40, entered-0x100000, 2, 0xe4
	r3_lgdt gdt_pointer
	descriptor 6, 0x00409a10, 0x0000ffff
	descriptor 5, 0x00409a10, 0x0000ffff
	r3_ljmp $FREE+48,$1f-0x100000
1:	movl %esp,%ebp
	r3_lcall $FREE+16,$0
	movl %esp,%eax
	subl %ebp,%eax
	movl %eax,0x300000
	r3_ljmp $KERNEL_CS,$1f
1:	say after, 0x300000
	say frame, 0x300004
	say caller, 0x300008
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	movl %esp,%ebp
	pushl $0x44443333
	pushl $0x22221111
	lcall $FREE+24,$0
same:	movl %ebp,%eax
	subl %esp,%eax
	movl %eax,0x300004
	movzwl 2(%esp),%eax
	movl %eax,0x300008
	.byte 0x66
	lret
entered: movl %esp,%esi
	r3_ljmp $KERNEL_CS,$1f
1:	call kernel_data
	movl $stack_top-4096,%eax
	subl %esi,%eax
	say bytes, %eax
	movzwl 2(%esi),%eax
	say cs, %eax
	movzwl 4(%esi),%eax
	say first, %eax
	movzwl 6(%esi),%eax
	say second, %eax
	movl %ebp,%eax
	subl $8,%eax
	subw 8(%esi),%ax
	movzwl %ax,%eax
	say sp, %eax
	movzwl 10(%esi),%eax
	say ss, %eax
	finish
2:	say vector, trap_vector
	finish
""")
    assert said == {"after": 0, "frame": 4, "caller": 0x60, "bytes": 12, "cs": 0x1B, "first": 0x1111,
                    "second": 0x2222, "sp": 0, "ss": 0x23}  # fmt: skip


def test_conforming_target(pc: Machine) -> None:
    """The ring stays, and so does the stack."""
    said = pc(DESCRIPTORS + """
test:	descriptor 2, 0x00cf9e00, 0x0000ffff
	call_gate 3, FREE+16, entered, 4, 0xec
	r3_lgdt gdt_pointer
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	movl %esp,%ebp
	lcall $FREE+24,$0
	r3_store_cs %esi
	ljmp $FREE+24,$0
entered: r3_store_cs %ebx
	r3_store_ss %edi
	movl %ebp,%eax
	subl %esp,%eax
	jz 3f
	movl %eax,%edx
	lretl
3:	int $0x40
2:	movl $0,trap_resume
	say vector, trap_vector
	say cs, trap_cs
	say frame, %edx
	say ss, %edi
	say back_cs, %esi
	finish
""")
    said["cs"] &= 0xFFFF
    assert said == {"vector": 0x40, "cs": FREE + 16 + 3, "frame": 8, "ss": 0x23, "back_cs": 0x1B}


def test_refused_gates(pc: Machine) -> None:
    said = pc(RINGS + """
test:	rings
	call_gate 2, KERNEL_CS, test
	call_gate 3, KERNEL_CS, test, 0, 0x0c
	call_gate 4, 0, test
	call_gate 5, KERNEL_DS, test
	call_gate 6, 0x1000, test
	call_gate 7, USER_CS, test
	call_gate 8, FREE+80, test
	descriptor 10, 0x00cf1a00, 0x0000ffff
	call_gate 11, TSS, test
	call_gate 12, KERNEL_CS, test, 0, 0xec
	expect rpl, r3_lcall $FREE+16+1,$0
	expect absent, r3_lcall $FREE+24,$0
	expect null, r3_ljmp $FREE+32,$0
	expect data, r3_lcall $FREE+40,$0
	expect beyond, r3_lcall $FREE+48,$0
	expect outward, r3_lcall $FREE+56,$0
	expect code_absent, r3_lcall $FREE+64,$0
	expect tss, r3_ljmp $FREE+88,$0
	in_ring_3 dpl, lcall $FREE+16,$0
	in_ring_3 jump_inward, ljmp $FREE+96,$0
	finish
""")
    assert said == (
        fault("rpl", GP, FREE + 16) | fault("absent", NP, FREE + 24) | fault("null", GP, 0) | fault("data", GP, 0x10)
        | fault("beyond", GP, 0x1000) | fault("outward", GP, 0x18) | fault("code_absent", NP, FREE + 80)
        | fault("tss", GP, 0x28) | fault("dpl", GP, FREE + 16) | fault("jump_inward", GP, 8)
    )  # fmt: skip


def test_refused_stacks(pc: Machine) -> None:
    """What the TSS has for ring 1 is wrong, in turn; the fault comes in ring 3, with ring 0's stack."""
    said = pc(RINGS + """
.macro ring_1_stack name, selector
	movl $\\selector,tss+16
	in_ring_3 \\name, lcall $FREE+16,$0
.endm
test:	rings
	call_gate 2, RING1_CS, test, 0, 0xec
	descriptor 11, 0x00cfb000, 0x0000ffff
	ring_1_stack null, 0
	ring_1_stack rpl, RING1_DS-1
	ring_1_stack dpl, KERNEL_DS+1
	ring_1_stack code, RING1_CS
	ring_1_stack read_only, FREE+89
	ring_1_stack beyond, 0x1001
	movw $15,gdt+TSS
	movb $0x89,gdt+TSS+5
	movl $TSS,%eax
	r3_ltr %ax
	ring_1_stack limit, RING1_DS
	say cs, trap_cs
	finish
""")
    assert said == (
        fault("null", TS, 0) | fault("rpl", TS, 0xD8) | fault("dpl", TS, 0x10) | fault("code", TS, 0xD0)
        | fault("read_only", TS, FREE + 88) | fault("beyond", TS, 0x1000)
        | fault("limit", TS, 0x28) | {"cs": 0x1B}
    )  # fmt: skip


def test_room_and_limits(bare: Machine) -> None:
    """Not in QEMU, which does not look at the limits of stacks, and raises #TS for one that is absent."""
    said = bare(RINGS + """
test:	rings
	descriptor 14, 0x00cf3200, 0x0000ffff
	call_gate 2, RING1_CS, test, 2, 0xec
	call_gate 3, FREE+80, 0x1000, 0, 0xec
	descriptor 10, 0x00409a00, 0x0fff
	descriptor 11, 0x00409200, 0x0fff
	descriptor 12, 0x0040b200, 0x00ff
	movl $20,tss+12
	movl $FREE+96+1,tss+16
	in_ring_3 inner, lcall $FREE+16,$0
	movl $FREE+112+1,tss+16
	in_ring_3 absent, lcall $FREE+16,$0
	movl $256,tss+12
	in_ring_3 target_outside, lcall $FREE+24+3,$0
	expect target, r3_lcall $FREE+24,$0
	expect direct, r3_ljmp $FREE+80,$0x1000
	pushl $FREE+80
	pushl $0x1000
	clc
	jc 1f
	expect back, r3_lret
1:	movl $FREE+80,idt+8*0x50+2
	movl $0xee00,idt+8*0x50+4
	movw $FREE+80,idt+8*0x50+2
	movw $0x1000,idt+8*0x50
	expect int, r3_int $0x50
	finish
""")
    assert said == (
        fault("inner", SS, FREE + 96) | fault("absent", SS, FREE + 112) | fault("target_outside", GP, 0)
        | fault("target", GP, 0) | fault("direct", GP, 0) | fault("back", GP, 0) | fault("int", GP, 0)
    )  # fmt: skip


def test_no_room_in_the_same_ring(bare: Machine) -> None:
    """The handler has a stack of its own: it is a task."""
    said = bare(TASKS + """
	task handler, arrived
test:	based 0, handler, 103, 0x89
	call_gate 4, KERNEL_CS, test
	descriptor 11, 0x00409200, 0x0fff
	r3_lgdt gdt_pointer
	task_gate 12, FREE
	movl $FREE+88,%eax
	r3_load_ss %ax
	movl $4,%esp
	r3_lcall $FREE+32,$0
arrived: popl %eax
	say error, %eax
	movl tss+ESP,%eax
	say esp, %eax
	finish
""")
    assert said == {"error": 0, "esp": 4}


def test_stacks_of_a_16_bit_tss(pc: Machine) -> None:
    """Words instead of double words, for gates as for interrupts; there is no I/O bitmap."""
    said = pc(DESCRIPTORS + """
test:	based 2, small, 43, 0x81
	call_gate 3, KERNEL_CS, entered, 0, 0xec
	r3_lgdt gdt_pointer
	movl $FREE+16,%eax
	r3_ltr %ax
	in_ring_3 port, inb $0x61,%al
	user $1f
1:	lcall $FREE+24,$0
entered: movl %esp,%esi
	r3_store_ss %edi
	call kernel_data
	say ss, %edi
	say esp, %esi
	finish
	.data
	.balign 64
small:	.word 0, 0x9000, KERNEL_DS
	.fill 20,2,0
	.balign 64
	.text
""")
    assert said == fault("port", GP, 0) | {"ss": 0x10, "esp": 0x9000 - 16}


def test_interrupts_of_inner_rings(pc: Machine) -> None:
    """From ring 2: to ring 1 by its gate, to ring 0, and back to each by iret."""
    said = pc(RINGS + """
test:	rings
	gate 0x50, handler_1, 0xee00
	movw $RING1_CS,idt+8*0x50+2
	gate 0x51, handler_0, 0xee00
	movl %esp,trap_esp
	movl $2f,trap_resume
	ring 2, in_ring_2
in_ring_2: movl $RING2_DS,%eax
	r3_load_ds %eax
	movl $0x12345678,%ebx
	int $0x50
	r3_store_cs %esi
	r3_store_ds %edi
	int $0x40
handler_1: r3_store_cs cs_1
	r3_store_ss ss_1
	int $0x51
	r3_store_cs again
	iretl
handler_0: pushl %eax
	r3_store_cs %eax
	movl %eax,cs_0
	movl 8(%esp),%eax
	movl %eax,from_0
	popl %eax
	r3_iret
2:	movl $0,trap_resume
	say cs_1, cs_1
	say ss_1, ss_1
	say cs_0, cs_0
	movzwl from_0,%eax
	say from_0, %eax
	say again, again
	say back, %esi
	say ds, %edi
	say ebx, %ebx
	say vector, trap_vector
	finish
	.data
cs_1:	.long 0
ss_1:	.long 0
cs_0:	.long 0
from_0:	.long 0
again:	.long 0
	.text
""")
    assert said == {"cs_1": 0xD1, "ss_1": 0xD9, "cs_0": 8, "from_0": 0xD1, "again": 0xD1, "back": 0xE2, "ds": 0xEA,
                    "ebx": 0x12345678, "vector": 0x40}  # fmt: skip
