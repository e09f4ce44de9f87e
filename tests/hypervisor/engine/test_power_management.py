"""ACPI's fixed hardware as a guest sees it: the power management timer, its event, and its interrupt."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hypervisor.engine import guests
from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PC

PM = """
	.set STATUS,0x600
	.set ENABLE,0x602
	.set TIMER,0x608

# EAX: ticks of the PM timer from EBX on, of 24 bits
elapsed:
	movw $TIMER,%dx
	r3_in %dx,%eax
	subl %ebx,%eax
	andl $0xffffff,%eax
	ret

.macro start_timer
	movw $TIMER,%dx
	r3_in %dx,%eax
	movl %eax,%ebx
.endm

# Channel 2 of the 8254 counts down from COUNT, once; bit 5 of port 0x61 says when it is done.
.macro count_down count:req
	port $0x61, $1
	port $0x43, $0xb0
	port $0x42, $\\count&0xff
	port $0x42, $\\count>>8
.endm
"""
PM_HZ, PIT_HZ = 3579545, 1193182


def test_it_is_not_slower_than_the_8254(machine: Machine) -> None:
    said = machine(PC + PM + """
test:	start_timer
	count_down 23864
1:	r3_in $0x61,%al
	testb $0x20,%al
	jz 1b
	call elapsed
	say ticks, %eax
	finish
""")
    assert said["ticks"] >= 23864 * PM_HZ // PIT_HZ - 3


def test_it_is_not_faster_than_the_8254(machine: Machine) -> None:
    said = machine(PC + PM + """
test:	count_down 0xffff
	start_timer
1:	call elapsed
	cmpl $71591,%eax
	jb 1b
	r3_in $0x61,%al
	testb $0x20,%al
	jnz 2f
	port $0x43, $0x80
	xorl %ecx,%ecx
	r3_in $0x42,%al
	movb %al,%cl
	r3_in $0x42,%al
	movb %al,%ch
	notw %cx
	say count, %ecx
	finish
2:	say count, $0xffff
	finish
""")
    assert said["count"] >= 71591 * PIT_HZ // PM_HZ - 3


def test_registers(machine: Machine) -> None:
    """PM1 enable keeps what exists, in every access size; the timer cannot be written."""
    said = machine(PC + PM + """
.macro both name:req
	movw $STATUS,%dx
	r3_in %dx,%eax
	say \\name, %eax
.endm
test:	movw $STATUS,%dx
	movl $0xfffeffff,%eax
	r3_out %eax,%dx
	both cleared
	movw $ENABLE,%dx
	movw $0xffff,%ax
	r3_out %ax,%dx
	both word
	movw $ENABLE+1,%dx
	movb $0,%al
	r3_out %al,%dx
	both high
	movw $ENABLE,%dx
	movb $0,%al
	r3_out %al,%dx
	both low
	start_timer
	movw $TIMER,%dx
	movl %ebx,%eax
	xorl $0x800000,%eax
	r3_out %eax,%dx
	call elapsed
	shrl $23,%eax
	say jumped, %eax
	finish
""")
    assert said == {"cleared": 0x420 << 16, "word": 0x421 << 16, "high": 0x21 << 16, "low": 0, "jumped": 0}


@pytest.mark.parametrize("ported", [True, False])
def test_the_interrupt_is_a_level_on_both_controllers(
    assembled: Callable[[str, bool], Path], monitor: Path, ported: bool
) -> None:
    """It comes after half a period of the timer (2.3 s) at most, again after each EOI, until the event is cleared."""
    kernel = assembled(PC + PM + """
	.set EOI,0xfee000b0
through_pic:
	pushl %eax
	incl ticks
	cmpl $2,ticks
	jb 1f
	port $0xa1, $0xff		# the event stays
1:	port $0xa0, $0x20
	port $0x20, $0x20
	popl %eax
	r3_iret

through_ioapic:
	pushl %eax
	pushl %edx
	incl ticks
	cmpl $5,ticks
	jb 1f
	movw $STATUS,%dx
	movw $1,%ax
	r3_out %ax,%dx
	r3_in %dx,%ax
	movzwl %ax,%eax
	movl %eax,after
1:	movl $0,EOI
	popl %edx
	popl %eax
	r3_iret

test:	call controllers
	gate 0x29, through_pic
	gate 0x39, through_ioapic
	movw $ENABLE,%dx
	movw $1,%ax
	r3_out %ax,%dx
	movw $0x4d1,%dx
	r3_in %dx,%al
	movzbl %al,%eax
	say elcr, %eax
	port $0xa1, $0xfd
	port $0x21, $0xfb
1:	r3_sti_hlt
	r3_cli
	cmpl $2,ticks
	jb 1b
	movl $0x1ff,0xfee000f0
	movl $0x22,0xfec00000
	movl $0x8039,0xfec00010
2:	r3_sti_hlt
	r3_cli
	cmpl $5,ticks
	jb 2b
	count_down 6000
	r3_sti
3:	r3_in $0x61,%al
	testb $0x20,%al
	jz 3b
	r3_cli
	say ticks, ticks
	say after, after
	finish
	.data
after:	.long -1
""", ported)
    traps = () if ported else guests.silent_instructions(kernel)
    result = guests.run(kernel, seconds=10, traps=traps)
    assert result.outcome.cause == "debug exit with value 0x0", (result.outcome, result.text)
    assert result.items["elcr"] & 2 and (result.items["ticks"], result.items["after"]) == (5, 0)
