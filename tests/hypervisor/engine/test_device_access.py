"""``r3_device_access``: the instruction behind it does what it does without it, to devices and to memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hypercalls import by_name
from hypervisor.domain import Domain, DomainConfig
from tests.hypervisor.engine import guests
from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAGING
from tests.hypervisor.engine.said import GP, PF, fault, none, without_place

# Registers of the local APIC: task priority, spurious vector, initial count of the timer.
LAPIC = """
	.set TPR,0xfee00080
	.set SPURIOUS,0xfee000f0
	.set COUNT,0xfee00380
"""


def test_device_registers(machine: Machine) -> None:
    said = machine(LAPIC + """
test:	movl $0x1ff,%eax
	movl $SPURIOUS,%ebx
	r3_device_access; movl %eax,(%ebx)
	r3_device_access; movl SPURIOUS,%ecx
	say stored, %ecx
	movl $0x80,%ebp
	xorl %edx,%edx
	r3_device_access; movl $0x40,TPR-0x80(%edx,%ebp)
	stc
	r3_device_access
	movl TPR,%esi
	sbbl %edi,%edi
	say carry, %edi
	say priority, %esi
	r3_device_access; orl $3,TPR
	xorl %eax,%eax
	r3_device_access; movzbl TPR,%eax
	say narrow, %eax
	finish
""")
    assert said == {"stored": 0x1FF, "carry": 0xFFFFFFFF, "priority": 0x40, "narrow": 0x43}


def test_ordinary_memory_flags_and_other_instructions(machine: Machine) -> None:
    said = machine("""
test:	movl $0x11223344,%eax
	r3_device_access; movl %eax,word
	r3_device_access; addl $0xf0000000,word
	sbbl %ebx,%ebx
	say sum, word
	say carry, %ebx
	r3_device_access; xchgb %ah,word+1
	say exchanged, word
	say taken, %eax
	pushl $7
	r3_device_access; movl (%esp),%ecx
	popl %edx
	say stack, %ecx
	r3_device_access; movl %esp,%edx
	subl %esp,%edx
	say register, %edx
	movl $3,%ecx
	r3_device_access; incl %ecx
	say alone, %ecx
	movl $word,%esi
	movl $copy,%edi
	movl $4,%ecx
	r3_device_access; rep movsb
	say copied, copy
	say left, %ecx
	r3_device_access; jmp 1f
	movl $0,copy
1:	say jumped, copy
	r3_device_access; imull $3,copy,%eax
	say product, %eax
	fninit
	r3_device_access; fnstcw copy
	say control, copy
	finish
	.bss
word:	.long 0
copy:	.long 0
""")
    word = (0x11223344 + 0xF0000000) & 0xFFFFFFFF
    exchanged = (word & 0xFFFF00FF) | 0x3300
    copied = exchanged
    assert said["sum"] == word and said["carry"] == 0xFFFFFFFF
    assert said["exchanged"] == exchanged and said["taken"] == 0x11220044 | (word & 0xFF00)
    assert (said["stack"], said["register"], said["alone"], said["left"]) == (7, 0, 4, 0)
    assert said["copied"] == said["jumped"] == copied
    assert said["product"] == copied * 3 & 0xFFFFFFFF
    assert said["control"] == (copied & 0xFFFF0000) | 0x37F


def test_faults_are_the_instruction_s_own(machine: Machine) -> None:
    said = machine(PAGING + """
	.set SHORT,FREE
.macro gated instruction:vararg
	r3_device_access
	\\instruction
.endm
test:	call paging
	movl $1,%eax
	expect absent, gated movl %eax,WINDOW
	movl $15,gdt+SHORT		# base 0, limit 15, 32-bit data
	movl $0x00409200,gdt+SHORT+4
	movl $SHORT,%eax
	r3_load_fs %eax
	expect beyond, gated movl %eax,%fs:16
	expect within, gated movl %fs:12,%ecx
	finish
""")
    assert without_place(said) == without_place({**fault("absent", PF, 2), **fault("beyond", GP), **none("within")})


def test_no_trap_is_taken(assembled: Callable[[str, bool], Path], monitor: Path) -> None:
    kernel = assembled(LAPIC + """
test:	movl $1000,%ecx
1:	r3_device_access; movl %ecx,TPR
	r3_device_access; movl TPR,%eax
	decl %ecx
	jnz 1b
	finish
""", True)
    with Domain(DomainConfig(kernel, memory=guests.MEMORY)) as domain:
        domain.build()
        domain.run(guests.Recorder())
        assert domain.control.calls[by_name["device_access"].number] == 2000
        assert domain.control.emulated == 0
