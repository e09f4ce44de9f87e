"""Interrupts from the PC's controllers and timers, and waiting for them."""

from __future__ import annotations

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PC


def test_timer_through_the_pic(machine: Machine) -> None:
    """A loop that waits for ticks; registers and flags survive the interrupts."""
    said = machine(PC + """
test:	call controllers
	gate 0x20, tick
	pit 1193
	port $0x21, $0xfe
	movl $0x12345678,%ebx
	r3_sti
	stc
1:	cmpl $5,ticks
	jb 1b
	movl $0x11111111,%eax
	movl $0x22222222,%ecx
2:	cmpl $10,ticks
	jb 2b
	r3_cli
	say eax, %eax
	say ecx, %ecx
	say ebx, %ebx
	finish
""")
    assert said == {"eax": 0x11111111, "ecx": 0x22222222, "ebx": 0x12345678}


def test_interrupts_come_between_instructions(machine: Machine) -> None:
    """The handler sees addresses of the program, and its stack, wherever in a gate the host's signal came."""
    said = machine(PC + """
test:	call controllers
	gate 0x20, where
	pit 120
	port $0x21, $0xfe
	movl %esp,stack_at
	r3_sti
1:	r3_read_cr4 %eax
	r3_write_cr4 %eax
	r3_sldt %ax
	r3_write_cr4 %eax
2:	cmpl $2000,ticks
	jb 1b
	r3_cli
	say outside, outside
	say moved, moved
	finish
where:	pushl %eax
	movl 4(%esp),%eax
	cmpl $1b,%eax
	jb 3f
	cmpl $where,%eax
	jb 4f
3:	incl outside
4:	leal 16(%esp),%eax
	cmpl %eax,stack_at
	je 5f
	incl moved
5:	popl %eax
	jmp tick
	.data
stack_at: .long 0
outside: .long 0
moved:	.long 0
	.text
""")
    assert said == {"outside": 0, "moved": 0}


def test_an_interrupt_between_sti_and_halt_wakes_it(machine: Machine) -> None:
    """One interrupt, already waiting at sti, and none after it: on hardware it ends the hlt behind sti."""
    said = machine(PC + """
test:	call controllers
	gate 0x20, tick
	port $0x43, $0x30
	port $0x40, $0x10
	port $0x40, $0
	port $0x21, $0xfe
	port $0x20, $0x0a
1:	r3_in $0x20,%al
	testb $1,%al
	jz 1b
	r3_sti
	r3_hlt
	r3_cli
	movl ticks,%eax
	say ticks, %eax
	finish
""")
    assert said == {"ticks": 1}


def test_halt_waits_for_an_interrupt(machine: Machine) -> None:
    said = machine(PC + """
test:	call controllers
	gate 0x20, tick
	pit 11930
	port $0x21, $0xfe
	movl $3,%ebx
1:	r3_cli
	movl ticks,%esi
	r3_sti_hlt
	movl ticks,%edi
	subl %esi,%edi
	orl %edi,%ecx
	decl %ebx
	jnz 1b
	r3_cli
	say ticks, ticks
	finish
""")
    assert said["ticks"] == 3


def test_halt_in_a_loop_that_turns_interrupts_off(machine: Machine) -> None:
    """sti; hlt; cli: the interrupt that ended the halt is delivered before cli."""
    said = machine(PC + """
test:	call controllers
	gate 0x20, tick
	pit 2386
	port $0x21, $0xfe
	movl $20,%ebx
1:	r3_sti
	r3_hlt
	r3_cli
	decl %ebx
	jnz 1b
	say ticks, ticks
	finish
""")
    assert said["ticks"] >= 20


def test_interrupt_windows(machine: Machine) -> None:
    """sti; nop; cli opens a window in which what is pending arrives."""
    said = machine(PC + """
test:	call controllers
	gate 0x20, tick
	pit 1193
	port $0x21, $0xfe
1:	r3_sti
	nop
	r3_cli
	cmpl $5,ticks
	jb 1b
	say ticks, ticks
	finish
""")
    assert said["ticks"] == 5


def test_the_clock_s_interrupts(machine: Machine) -> None:
    """IRQ 8, periodic at 1024 Hz; each must be read from register C before the next comes."""
    said = machine(PC + """
.macro cmos index:req, value:req
	port $0x70, \\index
	port $0x71, \\value
.endm
test:	call controllers
	gate 0x28, clock
	cmos $0x0a, $0x26
	cmos $0x0b, $0x42
	port $0x70, $0x0c
	r3_in $0x71,%al
	port $0x21, $0xfb
	port $0xa1, $0xfe
	r3_sti
1:	cmpl $20,ticks
	jb 1b
	r3_cli
	say all, flags
	finish
clock:	pushl %eax
	incl ticks
	port $0x70, $0x0c
	r3_in $0x71,%al
	andb $0xc0,%al
	andb %al,flags
	port $0xa0, $0x20
	port $0x20, $0x20
	popl %eax
	r3_iret
	.data
flags:	.long 0xff
	.text
""")
    assert said == {"all": 0xC0}


def test_masked_and_pending(machine: Machine) -> None:
    """No interrupt while the flag is clear or the line masked; one afterwards."""
    said = machine(PC + """
.macro wait
	rdtsc
	movl %eax,%esi
1:	rdtsc
	subl %esi,%eax
	cmpl $20000000,%eax
	jb 1b
.endm
test:	call controllers
	gate 0x20, tick
	pit 1193
	r3_sti
	wait
	say masked, ticks
	r3_cli
	port $0x21, $0xfe
	wait
	say disabled, ticks
	port $0x20, $0x0a
	r3_in $0x20,%al
	andl $1,%eax
	say requested, %eax
	r3_sti
	nop
	nop
	r3_cli
	cmpl $0,ticks
	setne %al
	movzbl %al,%eax
	say arrived, %eax
	finish
""")
    assert said == {"masked": 0, "disabled": 0, "requested": 1, "arrived": 1}


def test_priorities_and_end_of_interrupt(machine: Machine) -> None:
    """While a line is in service, neither it nor a lower one interrupts; after EOI it does."""
    said = machine(PC + """
test:	call controllers
	gate 0x20, nested
	pit 23860
	port $0x21, $0xfe
	r3_sti
1:	cmpl $3,ticks
	jb 1b
	r3_cli
	say deepest, deepest
	finish
nested:	pushl %eax
	pushl %ecx
	incl depth
	movl depth,%eax
	cmpl deepest,%eax
	jbe 1f
	movl %eax,deepest
1:	r3_sti
	movl $100000,%ecx
2:	loop 2b
	r3_cli
	decl depth
	incl ticks
	port $0x20, $0x20
	popl %ecx
	popl %eax
	r3_iret
	.data
depth:	.long 0
deepest: .long 0
	.text
""")
    assert said == {"deepest": 1}


def test_local_apic_timer(machine: Machine) -> None:
    said = machine(PC + """
	.set APIC,0xfee00000
test:	call controllers
	gate 0x30, apic_tick
	movl $0x1ff,APIC+0xf0
	movl $0xb,APIC+0x3e0
	movl $0x20030,APIC+0x320
	movl $1000000,APIC+0x380
	r3_sti
1:	cmpl $3,ticks
	jb 1b
	r3_cli
	movl $0x10030,APIC+0x320
	movl APIC+0x380,%eax
	say count, %eax
	movl APIC+0x320,%eax
	say lvt, %eax
	movl APIC+0x30,%eax
	andl $0xf0,%eax
	say version, %eax
	movl $0x12,APIC+0x80
	say priority, APIC+0x80
	finish
apic_tick:
	incl ticks
	movl $0,APIC+0xb0
	r3_iret
""")
    assert said == {"count": 1000000, "lvt": 0x10030, "version": 0x10, "priority": 0x12}


def test_interprocessor_interrupt_to_itself(machine: Machine) -> None:
    said = machine(PC + """
	.set APIC,0xfee00000
test:	call controllers
	gate 0x31, apic_tick
	movl $0x1ff,APIC+0xf0
	movl $0x40031,APIC+0x300
	nop
	say before, ticks
	r3_sti
	nop
	nop
	say after, ticks
	r3_cli
	finish
apic_tick:
	incl ticks
	movl $0,APIC+0xb0
	r3_iret
""")
    assert said == {"before": 0, "after": 1}


def test_timer_interrupts_user_code(machine: Machine) -> None:
    said = machine(PC + """
test:	call controllers
	gate 0x20, from_user
	pit 1193
	port $0x21, $0xfe
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	cmpl $5,ticks
	jb 1b
	r3_int $0x40
2:	r3_cli
	say cs, user_cs
	say vector, trap_vector
	finish
from_user:
	pushl %eax
	movl 8(%esp),%eax
	movl %eax,user_cs
	incl ticks
	port $0x20, $0x20
	popl %eax
	r3_iret
	.data
user_cs: .long 0
	.text
""")
    assert said == {"cs": 0x1B, "vector": 0x40}


def test_counts_of_the_timer_go_down(machine: Machine) -> None:
    said = machine(PC + """
test:	port $0x43, $0x34
	port $0x40, $0
	port $0x40, $0
	call read
	movl %ebx,%esi
	movl $200000,%ecx
1:	loop 1b
	call read
	subl %ebx,%esi
	andl $0xffff,%esi
	xorl %eax,%eax
	testl %esi,%esi
	setnz %al
	say moved, %eax
	port $0x61, $1
	port $0x43, $0xb0
	port $0x42, $0x10
	port $0x42, $0
2:	r3_in $0x61,%al
	testb $0x20,%al
	jz 2b
	say expired, $1
	finish
read:	port $0x43, $0
	r3_in $0x40,%al
	movzbl %al,%ebx
	r3_in $0x40,%al
	movb %al,%bh
	ret
""")
    assert said == {"moved": 1, "expired": 1}
