"""Which faults of a task switch are the old task's and which the new one's, and what their handlers find."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import TASKS
from tests.hypervisor.engine.said import BUSY_TSS, DF, FREE_TSS, GP, NEW, NP, OLD, SS, TS, fault


def test_refused_switches(pc: Machine) -> None:
    """Faults of the old task: nothing has changed, EIP points to the transfer."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	based 1, other, 103, 0x09
	based 2, other, 102, 0x89
	descriptor 3, 0x00008500, FREE<<16
	descriptor 4, 0x00000500, FREE<<16
	descriptor 5, 0x00008500, 0
	descriptor 6, 0x00008500, 0x00100000
	descriptor 8, 0x00008500, 0x10000000
	based 9, ldt, 15, 0x82
	descriptor 10, 0x00008500, TSS<<16
	r3_lgdt gdt_pointer
	expect self, r3_ljmp $TSS,$0
	expect absent, r3_ljmp $FREE+8,$0
	expect short, r3_lcall $FREE+16,$0
	expect rpl, r3_ljmp $FREE+3,$0
	expect gate_rpl, r3_lcall $FREE+24+3,$0
	expect gate_absent, r3_ljmp $FREE+32,$0
	expect gate_null, r3_ljmp $FREE+40,$0
	expect gate_data, r3_ljmp $FREE+48,$0
	expect gate_beyond, r3_ljmp $FREE+64,$0
	expect gate_busy, r3_lcall $FREE+80,$0
	expect table, r3_ljmp $FREE+72,$0
	task_gate 0x50, FREE+8
	expect int_absent, r3_int $0x50
	task_gate 0x51, TSS
	expect int_busy, r3_int $0x51
	task_gate 0x52, FREE, 0x0500
	expect int_gate_absent, r3_int $0x52
	task_gate 0x53, FREE
	in_ring_3 user_int, r3_int $0x53
	based 11, other, 103, 0x89
	in_ring_3 user_task, ljmp $FREE+88,$0
	in_ring_3 user_gate, lcall $FREE+24,$0
	busy new, FREE
	busy old, TSS
	r3_str %eax
	say tr, %eax
	r3_read_cr0 %eax
	andl $8,%eax
	say ts, %eax
	finish
arrived: finish
	.data
	.balign 8
ldt:	.quad 0, 0
	.text
""")
    free = NEW
    expected = (
        fault("self", GP, OLD) | fault("absent", NP, free + 8) | fault("short", TS, free + 16)
        | fault("rpl", GP, free) | fault("gate_rpl", GP, free + 24) | fault("gate_absent", NP, free + 32)
        | fault("gate_null", GP, 0) | fault("gate_data", GP, 0x10)
        | fault("gate_beyond", GP, 0x1000) | fault("gate_busy", GP, OLD)
        | fault("table", GP, free + 72) | fault("int_absent", NP, free + 8) | fault("int_busy", GP, OLD)
        | fault("int_gate_absent", NP, 0x52 * 8 + 2) | fault("user_int", GP, 0x53 * 8 + 2)
        | fault("user_task", GP, free + 88) | fault("user_gate", GP, free + 24)
        | {"new": FREE_TSS, "old": BUSY_TSS, "tr": OLD, "ts": 0}
    )  # fmt: skip
    assert said == expected


def test_a_local_table_has_no_tasks(bare: Machine) -> None:
    """#GP by SDM vol. 2, JMP and CALL; QEMU raises #TS."""
    said = bare(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	based 1, ldt, 15, 0x82
	descriptor 2, 0x00008500, 12<<16
	r3_lgdt gdt_pointer
	movl gdt+FREE,%eax
	movl %eax,ldt+8
	movl gdt+FREE+4,%eax
	movl %eax,ldt+12
	movl $FREE+8,%eax
	r3_lldt %ax
	expect direct, r3_ljmp $12,$0
	expect by_gate, r3_lcall $FREE+16,$0
	finish
arrived: finish
	.data
	.balign 8
ldt:	.quad 0, 0
	.text
""")
    assert said == fault("direct", GP, 12) | fault("by_gate", GP, 12)


def test_refused_returns(pc: Machine) -> None:
    """iret with NT: the link must name a busy TSS."""
    said = pc(TASKS + """
	task other, arrived
	.macro nested name, selector
	movw $\\selector,tss+LINK
	pushl $0x4002
	popfl
	clc
	jc 1f
	expect \\name, r3_iret
1:	pushl $2
	popfl
	.endm
test:	based 0, other, 103, 0x89
	based 1, other, 103, 0x0b
	based 2, other, 102, 0x8b
	r3_lgdt gdt_pointer
	nested null, 0
	nested free, FREE
	nested absent, FREE+8
	nested short, FREE+16
	nested data, KERNEL_DS
	nested local, 0x34
	nested beyond, 0x1000
	r3_str %eax
	say tr, %eax
	finish
arrived: finish
""")
    assert said == (
        fault("null", TS, 0) | fault("free", TS, NEW) | fault("absent", NP, NEW + 8) | fault("short", TS, NEW + 16)
        | fault("data", TS, 0x10) | fault("local", TS, 0x34) | fault("beyond", TS, 0x1000) | {"tr": OLD}
    )  # fmt: skip


# What is wrong in the new TSS: the change, and the exception with its error code.
BAD_TASKS = {
    "ldt_beyond": ("movw $0x1000,bad+LDT", TS, 0x1000),
    "ldt_local": ("movw $0x34,bad+LDT", TS, 0x34),
    "ldt_data": ("movw $KERNEL_DS,bad+LDT", TS, 0x10),
    "ldt_absent": ("movw $FREE+24,bad+LDT", TS, NEW + 24),
    "cs_null": ("movw $0,bad+CS", TS, 0),
    "cs_data": ("movw $KERNEL_DS,bad+CS", TS, 0x10),
    "cs_beyond": ("movw $0x1000,bad+CS", TS, 0x1000),
    "cs_rpl": ("movw $USER_CS-3,bad+CS", TS, 0x18),
    "cs_absent": ("movw $FREE+32,bad+CS", NP, NEW + 32),
    "ss_null": ("movw $0,bad+SS", TS, 0),
    "ss_code": ("movw $KERNEL_CS,bad+SS", TS, 8),
    "ss_rpl": ("movw $KERNEL_DS+3,bad+SS", TS, 0x10),
    "ss_dpl": ("movw $USER_DS,bad+SS", TS, 0x20),
    "ds_beyond": ("movw $0x1000,bad+DS", TS, 0x1000),
    "es_system": ("movw $TSS,bad+ES", TS, OLD),
    "fs_rpl": ("movw $KERNEL_DS+1,bad+FS", TS, 0x10),
    "gs_absent": ("movw $FREE+40,bad+GS", NP, NEW + 40),
}


def _bad_task(run: Machine, change: str, vector: int) -> dict[str, int]:
    return run(TASKS + f"""
	task bad, never
	task handler, arrived
test:	based 0, bad, 103, 0x89
	based 1, handler, 103, 0x89
	descriptor 3, 0x00000200, 0x00000fff
	descriptor 4, 0x00cf1a00, 0x0000ffff
	descriptor 5, 0x00cf1200, 0x0000ffff
	r3_lgdt gdt_pointer
	task_gate {vector}, FREE+8
	{change}
	r3_ljmp $FREE,$0
	finish
never:	say never, %eax
	finish
arrived: popl %eax
	say error, %eax
	movzwl handler+LINK,%eax
	say link, %eax
	movl bad+EIP,%eax
	subl $never,%eax
	say eip, %eax
	say ecx, bad+EAX+4
	busy old, TSS
	busy bad, FREE
	finish
""")


_IN_BAD_TASK = {"link": NEW, "eip": 0, "ecx": 0xC1C1C1C1, "old": FREE_TSS, "bad": BUSY_TSS}


@pytest.mark.parametrize("name", BAD_TASKS)
def test_faults_of_a_new_task(pc: Machine, name: str) -> None:
    """The handler, a task too, finds all of the new state saved."""
    change, vector, error = BAD_TASKS[name]
    # QEMU saves the EIP of the jump.
    assert _bad_task(pc, change, vector) | {"eip": 0} == _IN_BAD_TASK | {"error": error}


def test_place_of_faults_of_a_new_task(bare: Machine) -> None:
    """They come at its first instruction. QEMU differs, and raises #NP for an absent stack segment."""
    assert _bad_task(bare, "movw $0x1000,bad+DS", TS) == _IN_BAD_TASK | {"error": 0x1000}
    assert _bad_task(bare, "movw $FREE+40,bad+SS", SS) == _IN_BAD_TASK | {"error": NEW + 40}


def test_a_mended_task_goes_on(bare: Machine) -> None:
    """The handler of #NP makes the segment present, and iret loads it anew. QEMU saves the EIP of the jump."""
    said = bare(TASKS + """
	task bad, begun
	task handler, arrived
test:	based 0, bad, 103, 0x89
	based 1, handler, 103, 0x89
	descriptor 2, 0x00401230, 0x0000ffff
	r3_lgdt gdt_pointer
	task_gate 11, FREE+8
	movw $FREE+16,bad+FS
	movl $0x12345678,0x300000
	r3_ljmp $FREE,$0
begun:	say through, %fs:0
	finish
arrived: popl %eax
	say error, %eax
	movzwl bad+FS,%eax
	say selector, %eax
	movb $0x92,gdt+FREE+21
	r3_iret
""")
    assert said == {"error": NEW + 16, "selector": NEW + 16, "through": 0x12345678}


def test_fault_of_a_new_task_by_an_interrupt_gate(pc: Machine) -> None:
    """Its own stack is there already, so the ordinary handler serves, in the new task."""
    said = pc(TASKS + """
	task bad, never
test:	based 0, bad, 103, 0x89
	r3_lgdt gdt_pointer
	movw $0x1000,bad+GS
	expect bad, r3_ljmp $FREE,$0
	r3_str %eax
	say tr, %eax
	finish
never:	finish
""")
    assert (said["bad"], said["bad.error"], said["tr"]) == (TS, 0x1000, NEW)


def test_a_bad_task_as_handler_makes_a_double_fault(bare: Machine) -> None:
    """QEMU delivers #TS."""
    said = bare(TASKS + """
	task bad, never
test:	based 0, bad, 103, 0x89
	r3_lgdt gdt_pointer
	task_gate 0, FREE
	movw $0x1000,bad+GS
	xorl %ecx,%ecx
	expect double, divl %ecx
	r3_str %eax
	say tr, %eax
	finish
never:	finish
""")
    assert (said["double"], said["double.error"], said["tr"]) == (DF, 0, NEW)


def test_instruction_pointer_beyond_the_code_segment(pc: Machine, request: pytest.FixtureRequest) -> None:
    said = pc(TASKS + """
	task bad, never
test:	based 0, bad, 103, 0x89
	descriptor 1, 0x00409a00, 0x0fff
	r3_lgdt gdt_pointer
	movl $0x1000,bad+EIP
	movw $FREE+8,bad+CS
	expect beyond, jump: r3_ljmp $FREE,$0
	movl trap_eip,%eax
	addl $jump,%eax			# what `expect` has taken away
	say eip, %eax
	say jump, $jump
	say cs, trap_cs
	finish
never:	finish
""")
    assert (said["beyond"], said["beyond.error"], said["cs"]) == (GP, 0, NEW + 8)
    # QEMU saves bits 0-11 of the jump's own.
    offset = said["jump"] & 0xFFF if request.node.callspec.params["pc"] == "qemu" else 0
    assert said["eip"] == 0x1000 + offset


def test_there_is_no_virtual_8086_mode(machine: Machine) -> None:
    """Refused, by iret and by a task switch, before anything changes."""
    said = machine(TASKS + """
	task other, arrived, 0x20002
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	expect task, r3_ljmp $FREE,$0
	pushl $0
	pushl $0
	pushl $0
	pushl $0
	pushl $0
	pushl $0x1000
	pushl $0x20002
	pushl $0
	pushl $0
	clc
	jc 1f
	expect iret, r3_iret
1:	r3_str %eax
	say tr, %eax
	finish
arrived: finish
""")
    assert said == fault("task", TS, NEW) | fault("iret", GP, 0) | {"tr": OLD}
