"""Which pages user programs reach, and where their addresses end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.domain import Domain, DomainConfig
from tests.hypervisor.engine import guests
from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAGING
from tests.hypervisor.engine.said import GP, PF, fault


def test_user_access(machine: Machine) -> None:
    said = machine(PAGING + """
test:	call paging
	entry 0, $FRAME_A+7
	entry 1, $FRAME_A+5
	entry 2, $FRAME_A+3
	in_ring_3 read, movl WINDOW,%eax
	in_ring_3 write, movl $5,WINDOW
	in_ring_3 write_readonly, movl $6,WINDOW+0x1000
	in_ring_3 read_readonly, movl WINDOW+0x1000,%eax
	in_ring_3 read_supervisor, movl WINDOW+0x2000,%eax
	in_ring_3 write_supervisor, movl $7,WINDOW+0x2000
	in_ring_3 read_absent, movl WINDOW+0x3000,%eax
	in_ring_3 write_absent, movl $8,WINDOW+0x3000
	movl $9,WINDOW+0x2000
	in_ring_3 after_kernel, movl WINDOW+0x2000,%eax
	r3_read_cr2 %eax
	say cr2, %eax
	say frame, FRAME_A
	finish
""")
    expected = {"read": 0x40, "write": 0x40, "read_readonly": 0x40} | fault("write_readonly", PF, 7)
    expected |= fault("read_supervisor", PF, 5) | fault("write_supervisor", PF, 7) | fault("read_absent", PF, 4)
    expected |= fault("write_absent", PF, 6) | fault("after_kernel", PF, 5) | {"cr2": 0x802000, "frame": 9}
    assert {name: said[name] for name in expected} == expected


# The kernel's own page behind the user's, so that user addresses end at 0x4000000; and, mapped later, user
# pages above it.
BEHIND = """
	.set BEYOND,0x8000000
	.set TEST2,0x209000
behind:	movl $DEVICES+3,PD+4*16
	movl $FRAME_A+3,DEVICES
	movl $TEST2,%edi
	xorl %eax,%eax
	movl $1024,%ecx
	rep stosl
	ret
beyond:	movl $TEST2+7,PD+4*32
	movl $FRAME_B+7,TEST2
	ret
"""


def test_kernel_pages_behind_the_users(machine: Machine) -> None:
    """What lies beyond the end of user addresses is a page fault like any other."""
    said = machine(PAGING + BEHIND + """
test:	call paging
	call behind
	in_ring_3 read, movl 0x4000010,%eax
	r3_read_cr2 %eax
	say cr2, %eax
	in_ring_3 write, movl %eax,0x4000010
	in_ring_3 absent, movl 0x5000000,%eax
	in_ring_3 push, pushl 0x4000010
	in_ring_3 top, movl 0xfffff000,%eax
	in_ring_3 add, addl %eax,0x4000010
	movl $0x4000010,%edi
	movl $1,%ecx
	in_ring_3 string, stosb
	say kernel, 0x4000000
	finish
""")
    expected = fault("read", PF, 5) | fault("write", PF, 7) | fault("absent", PF, 4) | fault("push", PF, 5)
    expected |= fault("top", PF, 4) | fault("add", PF, 7) | {"cr2": 0x4000010, "kernel": 0xAAAAAAAA}
    assert {name: said[name] for name in expected} == expected
    assert (said["string"], said["string.at"]) == (PF, 0)


@pytest.mark.parametrize("vector", [0x50, 0x90])
def test_a_kernel_restarts_a_system_call(machine: Machine, vector: int) -> None:
    """As kernels do when a signal has come in between: they take the two bytes of `int` off EIP."""
    said = machine(PAGING + f"""
test:	call paging
	gate {vector}, restart, 0xee00
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	r3_int ${vector}
	r3_int ${vector}
	incl times_in_user
	r3_int $0x40
2:	movl $0,trap_resume
	subl $stack_top-8192,trap_user_esp
	say stack, trap_user_esp
	say times, times
	say times_in_user, times_in_user
	movl $0,times
	movl %esp,%ebx
	r3_int ${vector}
	subl %esp,%ebx
	say inner_stack, %ebx
	say inner_times, times
	finish
restart: incl times
	testl $1,times
	jz 1f
	subl $2,(%esp)
1:	r3_iret
	.data
times:	.long 0
times_in_user: .long 0
	.text
""")
    assert said == {"stack": 0, "times": 4, "times_in_user": 1, "inner_stack": 0, "inner_times": 2}


@pytest.mark.parametrize(
    "use",
    ["movl BEYOND,%eax", "movl %eax,BEYOND", "addl %eax,BEYOND", "movl $BEYOND+8,%esp\n pushl %eax",
     "movl $BEYOND+8,%esp\n popl %eax", "movl $BEYOND,%esi\n lodsl", "movl $BEYOND,%edi\n stosl",
     "movl $BEYOND+128,%esp\n pushal", "movl $BEYOND,%eax\n call *%eax"],
)  # fmt: skip
def test_user_pages_that_come_later(machine: Machine, use: str) -> None:
    """The end of user addresses moves when the guest maps user pages behind it."""
    said = machine(PAGING + BEHIND + f"""
test:	call paging
	call behind
	in_ring_3 before, nop
	movl $0xc3c3c3c3,FRAME_B
	call beyond
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	{use}
	r3_int $0x40
2:	movl $0,trap_resume
	say vector, trap_vector
	finish
""")
    assert said["before"] == said["vector"] == 0x40


@pytest.mark.parametrize(
    ("jump", "stack"),
    [("jmp 0x4000010", 0), ("movl $0x4000010,%eax\n jmp *%eax", 0), ("call 0x4000010", -4), ("call *target", -4),
     ("xorl %eax,%eax\n jz 0x4000010", 0), ("pushl $0x4000010\n ret", 0), ("pushl $1\n pushl $0x4000010\n ret $4", 0)],
)  # fmt: skip
def test_jumps_behind_the_users_end(machine: Machine, jump: str, stack: int) -> None:
    """The jump is done, and the fetch at its target is a page fault; so is one by the kernel's iret."""
    said = machine(PAGING + BEHIND + f"""
test:	call paging
	call behind
	in_ring_3 before, nop
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	{jump}
	r3_int $0x40
2:	movl $0,trap_resume
	say vector, trap_vector
	say error, trap_error
	say eip, trap_eip
	subl $stack_top-8192,trap_user_esp
	say esp, trap_user_esp
	r3_read_cr2 %eax
	say cr2, %eax
	movl $3f,trap_resume
	user $0x4000020
3:	movl $0,trap_resume
	say iret, trap_vector
	say iret.error, trap_error
	say iret.eip, trap_eip
	finish
	.data
target:	.long 0x4000010
	.text
""")
    expected = {"before": 0x40, "vector": PF, "error": 5, "eip": 0x4000010, "cr2": 0x4000010,
                "esp": stack & 0xFFFF_FFFF, "iret": PF, "iret.error": 5, "iret.eip": 0x4000020}  # fmt: skip
    assert {name: said[name] for name in expected} == expected


def test_ported_user_code_reads_the_contracts_data(machine: Machine) -> None:
    """Flags and segment registers in user programs that were ported too, beyond the end of their segments."""
    said = machine(PAGING + BEHIND + """
test:	call paging
	call behind
	in_ring_3 before, nop
	movl $stack_top-8192,%ebp
	in_ring_3 store, r3_store_ds %ebx
	say ds, %ebx
	movl $0x23,%ebx
	in_ring_3 load, r3_load_es %ebx
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	r3_pushf
	popl %esi
	pushl %esi
	r3_popf
	r3_int $0x40
2:	movl $0,trap_resume
	andl $0x200,%esi
	say flags, %esi
	say vector, trap_vector
	in_ring_3 cli, r3_cli
	finish
""")
    assert {said[name] for name in ("before", "store", "load", "vector")} == {0x40}
    assert (said["ds"], said["flags"]) == (0x23, 0x200)
    assert (said["cli"], said["cli.error"]) == (13, 0)


def test_kernel_reaches_user_pages_through_user_segments(machine: Machine) -> None:
    """In ring 0 a user segment is as long as its descriptor says, not cut where user addresses end."""
    said = machine(PAGING + BEHIND + """
test:	call paging
	call behind
	in_ring_3 before, nop
	movl $USER_DS,%eax
	r3_load_ds %eax
	r3_load_es %eax
	movl $0x4000000,%esi
	movl $0x4000004,%edi
	cld
	movsl
	movl 0x4000004,%ebx
	call kernel_data
	say copied, %ebx
	in_ring_3 after, movl 0x4000004,%eax
	finish
""")
    assert said["copied"] == 0xAAAAAAAA
    assert (said["before"], said["after"], said["after.error"]) == (0x40, PF, 5)


# A user segment in a register, while its descriptor gets a base, then ends early, then is as it was.
_REWRITTEN = """
	movl $USER_DS,%eax
	r3_load_es %eax
	movl $0x04cff200,gdt+0x24
	r3_lgdt gdt_pointer
	say kept, %es:0x4000000
	r3_store_es %ecx
	say selector, %ecx
	r3_load_es %eax
	say moved, %es:0x0000000
	movl $0x0040f200,gdt+0x24
	r3_lgdt gdt_pointer
	say kept_too, %es:0x0000000
	r3_load_es %eax
	expect short, movl %es:0x4000000,%ecx
	movl $0x00cff200,gdt+0x24
	r3_lgdt gdt_pointer
	r3_load_es %eax
	say whole, %es:0x4000000
"""


def test_a_user_segment_in_ring_0_keeps_what_it_had(machine: Machine) -> None:
    """Its descriptor may change while a register holds it, to a base and back."""
    said = machine(PAGING + BEHIND + f"""
test:	call paging
	call behind
	movl $0xaaaaaaaa,0x4000000
	in_ring_3 before, nop
	{_REWRITTEN}
	in_ring_3 after, movl %es:0x4000000,%eax
	finish
""")
    values = {said[name] for name in ("kept", "moved", "kept_too", "whole")}
    assert values == {0xAAAAAAAA} and said["selector"] == 0x23
    assert (said["short"], said["after"], said["after.error"]) == (GP, PF, 5)


def test_ring_0_uses_user_segments_without_a_trap(assembled: Callable[[str, bool], Path], monitor: Path) -> None:
    kernel = assembled(PAGING + BEHIND + """
test:	call paging
	call behind
	in_ring_3 before, nop
	movl $100,rounds
1:	movl %esp,trap_esp
	movl $3f,trap_resume
	user $2f
2:	r3_int $0x40
3:	movl $USER_DS,%eax
	r3_load_ds %eax
	r3_load_es %eax
	incl 0x4000000
	incl %es:0x4000004
	call kernel_data
	decl rounds
	jnz 1b
	movl $0,trap_resume
	finish
	.data
rounds:	.long 0
	.text
""", True)
    with Domain(DomainConfig(kernel, memory=guests.MEMORY)) as domain:
        domain.build()
        assert domain.run(guests.Recorder()).cause == "debug exit with value 0x0"
        assert domain.control.emulated == 0
