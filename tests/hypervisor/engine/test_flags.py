"""The interrupt flag and EFLAGS as the guest sees them."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine

IF = 0x200
ARITHMETIC = 0x8D5


def test_cli_and_sti_show_in_the_pushed_flags(machine: Machine) -> None:
    said = machine("""
test:	r3_pushf
	popl %eax
	say start, %eax
	r3_sti
	r3_pushf
	popl %eax
	say on, %eax
	r3_pushfw
	movzwl (%esp),%eax
	addl $2,%esp
	say on_word, %eax
	r3_cli
	r3_pushf
	popl %eax
	say off, %eax
	finish
""")
    assert [said[name] & IF for name in ("start", "on", "on_word", "off")] == [0, IF, IF, 0]


def test_popf_sets_the_interrupt_flag(machine: Machine) -> None:
    said = machine("""
test:	pushl $0x202
	r3_popf
	r3_pushf
	popl %eax
	say on, %eax
	pushl $0x2
	r3_popf
	r3_pushf
	popl %eax
	say off, %eax
	pushw $0x202
	r3_popfw
	r3_pushf
	popl %eax
	say word, %eax
	finish
""")
    assert {name: value & IF for name, value in said.items()} == {"on": IF, "off": 0, "word": IF}


@pytest.mark.parametrize("flags", [0, 1, 0x40, 0x800, ARITHMETIC])
def test_interrupt_flag_instructions_change_nothing_else(machine: Machine, flags: int) -> None:
    """Neither the arithmetic flags nor a register, whether they are inline, gates or traps."""
    body = "".join(f"""
	pushl ${flags:#x}
	popfl
	movl $0x11111111,%eax
	movl $0x22222222,%ecx
	movl $0x33333333,%edx
	movl $0x44444444,%ebx
	movl $0x55555555,%ebp
	movl $0x66666666,%esi
	movl $0x77777777,%edi
	{instruction}
	pushfl
	andl ${ARITHMETIC:#x},(%esp)
	addl %ecx,%eax
	addl %edx,%eax
	addl %ebx,%eax
	addl %ebp,%eax
	addl %esi,%eax
	addl %edi,%eax
	popl %ebx
	say flags{number}, %ebx
	say sum{number}, %eax
	movl $stack_top,%eax
	subl %esp,%eax
	say stack{number}, %eax
""" for number, instruction in enumerate((
        "r3_cli", "r3_sti", "r3_cli", "r3_pushf\n r3_popf", "r3_pushfw\n r3_popfw", "r3_clts", "r3_wbinvd",
        "r3_read_cr0 %eax\n movl $0x11111111,%eax", "r3_store_ds %ax\n movl $0x11111111,%eax",
        "r3_out %al,$0x80")))  # fmt: skip
    said = machine(f"test:	movl $0,%eax\n{body}\n	finish").items()
    total = 0x11111111 * 28 & 0xFFFF_FFFF
    assert {value for name, value in said if name.startswith("flags")} == {flags & ARITHMETIC}
    assert {value for name, value in said if name.startswith("sum")} == {total}
    assert {value for name, value in said if name.startswith("stack")} == {0}


def test_identification_flag_toggles(machine: Machine) -> None:
    """As kernels look for CPUID (bit 21) and for a 486 (bit 18, which must not trap in ring 0)."""
    said = machine("""
test:	pushl $0x240002
	r3_popf
	movl tss+1,%eax
	r3_pushf
	popl %ebx
	pushl $2
	r3_popf
	r3_pushf
	popl %ecx
	say set, %ebx
	say clear, %ecx
	pushl $0x40002
	r3_popf
	r3_pushf
	popl %eax
	say ac, %eax
	finish
""")
    assert said["set"] & 0x200000 and not said["clear"] & 0x240000 and said["ac"] & 0x40000
