"""Debug registers: breakpoints on instructions, data and ports (SDM vol. 3, 17.2)."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAGING
from tests.hypervisor.engine.said import DB, GP, NONE, UD, fault, none

EXECUTE, WRITE, PORT, ACCESS = 0, 1, 2, 3
LENGTHS = {1: 0, 2: 1, 4: 3}


def enable(number: int, kind: int, length: int = 1, enable_bit: int = 0) -> int:
    """DR7 for one breakpoint."""
    return 1 << 2 * number + enable_bit | (kind | LENGTHS[length] << 2) << 16 + 4 * number


BREAK = """
.macro break_at number:req, address:req, control:req
	movl \\address,%eax
	r3_write_dr\\number %eax
	xorl %eax,%eax
	r3_write_dr6 %eax
	movl $\\control,%eax
	r3_write_dr7 %eax
	xorl %eax,%eax
.endm
.macro status name:req
	r3_read_dr6 %eax
	andl $0xe00f,%eax
	say \\name, %eax
	xorl %eax,%eax
	r3_write_dr6 %eax
.endm
	.bss
	.balign 4096
page:	.skip 4096
	.text
"""


@pytest.mark.parametrize("number", range(4))
@pytest.mark.parametrize("enable_bit", [0, 1], ids=["local", "global"])
def test_writes(machine: Machine, number: int, enable_bit: int) -> None:
    said = machine(BREAK + f"""
test:	break_at {number}, $page+16, {enable(number, WRITE, 4, enable_bit):#x}
	expect write, movl %ebx,page+16
	status hit
	expect read, movl page+16,%ebx
	expect beside, movl %ebx,page+20
	expect before, movl %ebx,page+12
	status missed
	expect byte, movb $1,page+19
	expect unaligned, movl %ebx,page+13
	expect over, movw %bx,page+15
	expect modify, incl page+16
	status again
	xorl %eax,%eax
	r3_write_dr7 %eax
	expect off, movl %ebx,page+16
	status none
	finish
""")
    assert said == (
        fault("write", DB, at=6) | {"hit": 1 << number} | none("read") | none("beside") | none("before")
        | {"missed": 0} | fault("byte", DB, at=7) | fault("unaligned", DB, at=6) | fault("over", DB, at=7)
        | fault("modify", DB, at=6) | {"again": 1 << number} | none("off") | {"none": 0}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("length", "inside", "outside"), [(1, [8], [7, 9]), (2, [8, 9], [7, 10]), (4, [8, 11], [7, 12])]
)
def test_reads_and_writes(machine: Machine, length: int, inside: list[int], outside: list[int]) -> None:
    said = machine(BREAK + f"test:	break_at 1, $page+8, {enable(1, ACCESS, length):#x}\n" + "".join(
        f"	expect r{at}, movb page+{at},%bl\n	expect w{at}, movb %bl,page+{at}\n" for at in inside + outside
    ) + "	finish\n")
    expected = {f"{way}{at}": DB if at in inside else NONE for way in "rw" for at in inside + outside}
    assert {name: said[name] for name in expected} == expected


@pytest.mark.parametrize("kind", [WRITE, ACCESS], ids=["write", "access"])
@pytest.mark.parametrize(
    ("instruction", "does"),
    [("pushl %ebx", "write"), ("popl %ebx", "read"), ("call 1f", "write"), ("pushal", "write"), ("movsl", "write"),
     ("stosl", "write"), ("lodsl", ""), ("cmpsl", "read"), ("xchgl %ebx,(%edi)", "write"), ("fistl (%edi)", "write"),
     ("fildl (%edi)", "read"), ("fstpt -8(%edi)", "write"), ("fistpll -4(%edi)", "write"), ("fldl -4(%edi)", "read"),
     ("movups %xmm0,-12(%edi)", "write"), ("movups -12(%edi),%xmm0", "read"), ("movups %xmm0,4(%edi)", ""),
     ("movss %xmm0,(%edi)", "write"), ("movsd %xmm0,-8(%edi)", ""), ("movd %xmm0,(%edi)", "write"),
     ("leal (%edi),%ebx", ""), ("nopl (%edi)", ""), ("movl page+16,%eax", "read"), ("movb %al,page+16", "write"),
     ("btsl $1,(%edi)", "write"), ("cmpxchg8b -4(%edi)", "write"), ("movzbl 3(%edi),%ebx", "read"),
     ("movzwl 4(%edi),%ebx", ""), ("movq %mm0,-8(%edi)", ""), ("movq %mm0,-7(%edi)", "write"),
     ("pushl -4(%esp)", "write"), ("nop", "")],
)  # fmt: skip
def test_instructions_that_touch_memory(machine: Machine, instruction: str, does: str, kind: int) -> None:
    """One watched word at EDI; the stack pointer of ring 3 such that pushes and pops reach it."""
    pops, hit = instruction.startswith("popl"), does == "write" or (does == "read" and kind == ACCESS)
    said = machine(BREAK + f"""
test:	r3_read_cr4 %eax
	orl $0x200,%eax
	r3_write_cr4 %eax
	fninit
	movl $page+16,%edi
	movl $page+64,%esi
	cld
	break_at 0, $page+16, {enable(0, kind, 4):#x}
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $3f, $page+{16 if pops else 20}
3:	{instruction}
	nop
1:	r3_int $0x40
2:	movl $0,trap_resume
	say vector, trap_vector
	status hit
	finish
""")
    assert said == {"vector": DB if hit else 0x40, "hit": int(hit)}


def test_repeated_string_instructions_stop_behind_the_item(machine: Machine) -> None:
    said = machine(BREAK + f"""
test:	movl $page,%edi
	movl $8,%ecx
	cld
	break_at 2, $page+8, {enable(2, WRITE, 4):#x}
	movl $0x55,%eax
	expect store, rep stosl
	say left, %ecx
	say written, page+8
	say not_yet, page+12
	finish
""")
    assert said == fault("store", DB) | {"left": 5, "written": 0x55, "not_yet": 0}


INSTRUCTION = BREAK + """
handler:
	incl traps
	orl $0x10000,8(%esp)		# RF
	r3_iret
	.data
traps:	.long 0
	.text
"""


def test_instructions(machine: Machine) -> None:
    """In front of the instruction, each time; RF lets it pass."""
    said = machine(INSTRUCTION + f"""
test:	movl $3,%esi
	break_at 0, $here, {enable(0, EXECUTE):#x}
	movl $here,trap_eip
	expect stopped, jmp here
	status hit
	gate 1, handler
	xorl %ebx,%ebx
1:	addl $1,%ebx
here:	addl $0x100,%ebx
	decl %esi
	jnz 1b
	say result, %ebx
	say traps, traps
	status last
	finish
""")
    assert (said["stopped"], said["stopped.error"]) == (DB, 0)
    assert (said["hit"], said["result"], said["traps"], said["last"]) == (1, 0x303, 3, 1)


@pytest.mark.parametrize("instruction", ["r3_read_cr0 %ebx", "r3_cli", "r3_cpuid", "r3_pushf\n popl %ebx", "nop"])
def test_instructions_that_are_ported(machine: Machine, instruction: str) -> None:
    said = machine(INSTRUCTION + f"""
test:	gate 1, handler
	break_at 3, $here, {enable(3, EXECUTE):#x}
	jmp here
	.balign 64
here:	{instruction}
	say traps, traps
	status hit
	finish
""")
    assert said == {"traps": 1, "hit": 8}


def test_ring_3(machine: Machine) -> None:
    said = machine(BREAK + f"""
test:	break_at 0, $page+8, {enable(0, WRITE, 4):#x}
	in_ring_3 write, movl %ebx,page+8
	status hit
	in_ring_3 read, movl page+8,%ebx
	break_at 0, $here, {enable(0, EXECUTE):#x}
	in_ring_3 jump, jmp here
	status executed
	finish
here:	nop
""")
    expected = fault("write", DB, at=6) | {"hit": 1, "read": 0x40, "jump": DB, "executed": 1}
    assert {name: said[name] for name in expected} == expected


def test_linear_addresses_in_every_address_space(machine: Machine) -> None:
    """Breakpoints go by linear address, whatever is mapped there, and stay over CR3 loads."""
    said = machine(PAGING + BREAK + f"""
	.set PD2,0x208000
test:	call paging
	movl $PD,%esi
	movl $PD2,%edi
	movl $1024,%ecx
	rep movsl
	entry 0, $FRAME_A+7
	entry 1, $FRAME_A+7
	movl %ebx,WINDOW
	break_at 0, $WINDOW+8, {enable(0, WRITE, 4):#x}
	expect first, movl %ebx,WINDOW+8
	expect alias, movl %ebx,WINDOW+0x1008
	movl $PD2,%eax
	r3_write_cr3 %eax
	expect second, movl %ebx,WINDOW+8
	entry 0, $0
	r3_invlpg WINDOW
	expect absent, movl %ebx,WINDOW+8
	status hits
	finish
""")
    assert said == (
        fault("first", DB, at=6) | none("alias") | fault("second", DB, at=6) | fault("absent", 14, 2) | {"hits": 1}
    )


def test_ports(machine: Machine) -> None:
    """With CR4.DE only; behind the access, so that it has been done."""
    said = machine(BREAK + f"""
test:	break_at 0, $0x71, {enable(0, PORT):#x}
	expect without, r3_in $0x71,%al
	movl $8,%eax
	r3_write_cr4 %eax
	break_at 0, $0x71, {enable(0, PORT):#x}
	movb $0x0f,%al
	expect other, r3_out %al,$0x70
	movl $-1,%eax
	expect read, r3_in $0x71,%al
	status hit
	movl $0x71,%edx
	expect write, r3_out %al,%dx
	expect wide, r3_in $0x70,%ax
	finish
""")
    assert (said["without"], said["other"], said["hit"]) == (NONE, NONE, 1)
    assert (said["read"], said["write"], said["wide"]) == (DB, DB, DB)
    assert said["read.at"] and said["write.at"] and said["wide.at"]


def test_general_detect(machine: Machine) -> None:
    """DR7.GD: the next access to a debug register is refused, once."""
    said = machine(BREAK + """
test:	movl $0x2000,%eax
	r3_write_dr7 %eax
	expect read, r3_read_dr0 %ebx
	r3_read_dr7 %eax
	say control, %eax
	status bits
	movl $0x2000,%eax
	r3_write_dr7 %eax
	expect write, r3_write_dr1 %ebx
	expect free, r3_write_dr1 %ebx
	movl $0x2000,%eax
	r3_write_dr7 %eax
	in_ring_3 user, r3_read_dr0 %ebx
	finish
""")
    expected = fault("read", DB) | {"control": 0x400, "bits": 0x2000} | fault("write", DB) | none("free")
    assert {name: said[name] for name in expected} == expected
    assert (said["user"], said["user.error"]) == (GP, 0)


def test_names_of_the_status_registers(machine: Machine) -> None:
    """DR4 and DR5 are DR6 and DR7, but with CR4.DE undefined."""
    said = machine(BREAK + """
test:	movl $0x155,%eax
	r3_write_dr7 %eax
	expect five, r3_read_dr5 %ebx
	say value, %ebx
	movl $8,%eax
	r3_write_cr4 %eax
	expect undefined, r3_read_dr5 %ebx
	finish
""".replace("r3_read_dr5 %ebx", ".byte 0x0f,0x21,0xeb"))
    assert (said["five"], said["value"], said["undefined"]) == (NONE, 0x555, UD)


def test_single_step_and_breakpoint_at_once(machine: Machine) -> None:
    said = machine(BREAK + f"""
test:	break_at 1, $page+8, {enable(1, WRITE, 4):#x}
	movl %esp,trap_esp
	movl $1f,trap_resume
	r3_pushf
	orl $0x100,(%esp)
	r3_popf
	movl %ebx,page+8
	nop
1:	movl $0,trap_resume
	status bits
	finish
""")
    assert said == {"bits": 0x4002}


def test_a_fault_comes_before_the_trap(machine: Machine) -> None:
    """An instruction that faults has not touched its data."""
    said = machine(BREAK + PAGING + f"""
test:	call paging
	entry 0, $FRAME_A+7
	break_at 0, $WINDOW+0xffc, {enable(0, ACCESS, 4):#x}
	expect straddle, movl WINDOW+0xffe,%ebx
	status nothing
	expect whole, movl WINDOW+0xffc,%ebx
	status hit
	finish
""")
    assert said == fault("straddle", 14, 0) | {"nothing": 0} | fault("whole", DB, at=6) | {"hit": 1}
