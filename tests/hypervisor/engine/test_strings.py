"""String I/O: ins and outs, repeated, backwards, and over page faults."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAGING
from tests.hypervisor.engine.said import GP, PF

# Reads of the UART's scratch register give what was written there last.
SCRATCH = """
	.set SCRATCH,0x3ff
scratch:
	movl $SCRATCH,%edx
	movb $0xa5,%al
	r3_out %al,%dx
	ret
"""


def test_input(machine: Machine) -> None:
    said = machine(SCRATCH + """
test:	call scratch
	movl $buffer,%edi
	cld
	r3_insb
	r3_insb
	movl $6,%ecx
	r3_rep_insb
	movl %edi,%eax
	subl $buffer,%eax
	say moved, %eax
	say left, %ecx
	say first, buffer
	say second, buffer+4
	say behind, buffer+8
	movl $buffer+15,%edi
	movl $3,%ecx
	std
	r3_rep_insb
	cld
	movl %edi,%eax
	subl $buffer,%eax
	say down, %eax
	say backwards, buffer+12
	xorl %ecx,%ecx
	r3_rep_insb
	say none, buffer+12
	finish
	.data
buffer:	.fill 16,1,0x11
	.text
""")
    assert said == {
        "moved": 8, "left": 0, "first": 0xA5A5A5A5, "second": 0xA5A5A5A5, "behind": 0x11111111, "down": 12,
        "backwards": 0xA5A5A511, "none": 0xA5A5A511,
    }  # fmt: skip


@pytest.mark.parametrize(("suffix", "size"), [("b", 1), ("w", 2), ("l", 4)])
def test_absent_ports_read_ones(machine: Machine, suffix: str, size: int) -> None:
    said = machine(f"""
test:	movl $0x5f0,%edx
	movl $buffer,%edi
	movl $3,%ecx
	cld
	r3_rep_ins{suffix}
	movl %edi,%eax
	subl $buffer,%eax
	say moved, %eax
	say first, buffer
	movzbl buffer+3*{size}-1,%eax
	say last, %eax
	movzbl buffer+3*{size},%eax
	say behind, %eax
	finish
	.data
buffer:	.fill 16,1,0x11
	.text
""")
    assert said == {"moved": 3 * size, "first": 0xFFFFFFFF if size > 1 else 0x11FFFFFF, "last": 0xFF, "behind": 0x11}


def test_output(machine: Machine) -> None:
    """To the console, from any segment, forwards and backwards."""
    said = machine("""
test:	movl $0x3f8,%edx
	movl $text,%esi
	movl $8,%ecx
	cld
	r3_rep_outsb
	movl $8,%ecx
	movl $text+7,%esi
	r3_outsb
	movl $KERNEL_DS,%eax
	r3_load_fs %eax
	movl $0,%eax
	r3_load_ds %eax
	movl $segment,%esi
	movl $10,%ecx
	r3_rep_outsb %fs
	call kernel_data
	subl $segment,%esi
	say moved, %esi
	finish
	.data
text:	.ascii "one=1a2\\n"
segment: .ascii "\\ntwo=3c4d\\n"
	.text
""")
    assert said == {"one": 0x1A2, "two": 0x3C4D, "moved": 10}


def test_page_fault_in_the_middle(machine: Machine) -> None:
    """What was moved before the fault counts; the handler maps the page and the instruction goes on."""
    said = machine(PAGING + SCRATCH + """
test:	call paging
	gate 14, map
	entry 0, $FRAME_A+7
	call scratch
	movl $WINDOW+0xff8,%edi
	movl $16,%ecx
	cld
	r3_rep_insb
	say faults, faults
	say address, address
	say left, at_fault
	movl %edi,%eax
	say end, %eax
	say count, %ecx
	say before, WINDOW+0xffc
	say after, WINDOW+0x1000
	say behind, WINDOW+0x1008
	finish
map:	movl %ecx,at_fault
	incl faults
	r3_read_cr2 %eax
	movl %eax,address
	entry 1, $FRAME_B+7
	movl $0,FRAME_B+8
	addl $4,%esp
	r3_iret
	.data
faults:	.long 0
address: .long 0
at_fault: .long 0
	.text
""")
    assert said == {"faults": 1, "address": 0x801000, "left": 8, "end": 0x801008, "count": 0, "before": 0xA5A5A5A5,
                    "after": 0xA5A5A5A5, "behind": 0}  # fmt: skip


def test_refused_buffers(machine: Machine) -> None:
    said = machine(PAGING + SCRATCH + """
test:	call paging
	entry 0, $FRAME_A+5
	r3_read_cr0 %eax
	orl $0x10000,%eax
	r3_write_cr0 %eax
	call scratch
	movl $WINDOW,%edi
	movl $4,%ecx
	expect read_only, r3_rep_insb
	movl $WINDOW+0x5000,%esi
	movl $4,%ecx
	expect absent, r3_rep_outsb
	movl $0,%eax
	r3_load_es %eax
	expect null, r3_insb
	finish
""")
    assert (said["read_only"], said["read_only.error"], said["read_only.at"]) == (PF, 3, 0)
    assert (said["absent"], said["absent.error"], said["absent.at"]) == (PF, 0, 0)
    assert (said["null"], said["null.error"]) == (GP, 0)


def test_long_transfers_let_interrupts_through(machine: Machine) -> None:
    """rep outs of many items is interrupted between two of them and goes on."""
    said = machine("""
test:	gate 0x20, tick
	movb $0x11,%al
	r3_out %al,$0x20
	movb $0x20,%al
	r3_out %al,$0x21
	movb $4,%al
	r3_out %al,$0x21
	movb $1,%al
	r3_out %al,$0x21
	movb $0xfe,%al
	r3_out %al,$0x21
	movb $0x34,%al
	r3_out %al,$0x43
	movb $0xa9,%al
	r3_out %al,$0x40
	movb $4,%al
	r3_out %al,$0x40
	movl $0x100000,%esi
	movl $0x400000,%ecx
	movl $0x3ff,%edx
	r3_sti
	cld
	r3_rep_outsb
	r3_cli
	cmpl $1,inside
	setae %al
	movzbl %al,%eax
	say interrupted, %eax
	say left, %ecx
	say end, %esi
	finish
tick:	testl %ecx,%ecx
	jz 1f
	incl inside
1:	pushl %eax
	movb $0x20,%al
	r3_out %al,$0x20
	popl %eax
	r3_iret
	.data
inside:	.long 0
	.text
""")
    assert said == {"interrupted": 1, "left": 0, "end": 0x500000}
