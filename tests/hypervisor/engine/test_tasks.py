"""Hardware tasks: what a switch saves and loads, how tasks nest, and which events switch to one."""

from __future__ import annotations

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import TASKS
from tests.hypervisor.engine.said import BUSY_TSS, DB, FREE_TSS, NEW, OLD, fault, none


def test_jump_to_a_task(pc: Machine) -> None:
    """What the old task had is in its TSS, what the new one has comes from its own."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	movl $0x11111111,%ebp
	movl $0x22222222,%esi
	movl %esp,before
	stc
	r3_ljmp $FREE,$0x12345678
back:	pushfl
	popl carry
	movl %esp,%eax
	subl before,%eax
	say esp, %eax
	say esi, %esi
	andl $1,carry
	say carry, carry
	r3_str %eax
	say back_tr, %eax
	busy back_old, TSS
	busy back_new, FREE
	say saved_ebx, other+EBX
	finish
arrived: say eax, %eax
	say ecx, %ecx
	say edx, %edx
	say ebx, %ebx
	say ebp, %ebp
	say edi, %edi
	movl $other,%eax
	subl %esp,%eax
	say new_esp, %eax
	r3_str %eax
	say tr, %eax
	busy old, TSS
	busy new, FREE
	r3_read_cr0 %eax
	andl $8,%eax
	say ts, %eax
	r3_clts
	pushfl
	popl %eax
	andl $0x4001,%eax
	say flags, %eax
	movzwl other+LINK,%eax
	say link, %eax
	movl tss+EFLAGS,%eax
	andl $0x4001,%eax
	say saved_flags, %eax
	say saved_ebp, tss+EBX+8
	movzwl tss+CS,%eax
	say saved_cs, %eax
	movzwl tss+DS,%eax
	say saved_ds, %eax
	movl $back,tss+EIP
	movl $0x77777777,%ebx
	r3_ljmp $TSS,$0
	.data
before:	.long 0
carry:	.long 0
	.text
""")
    assert said == {
        "eax": 0xA0A0A0A0, "ecx": 0xC1C1C1C1, "edx": 0xD2D2D2D2, "ebx": 0xB3B3B3B3, "ebp": 0xB5B5B5B5,
        "edi": 0x57575757, "new_esp": 0, "tr": NEW, "old": FREE_TSS, "new": BUSY_TSS, "ts": 8, "flags": 0, "link": 0,
        "saved_flags": 1, "saved_ebp": 0x11111111, "saved_cs": 8, "saved_ds": 0x10,
        "esp": 0, "esi": 0x22222222, "carry": 1, "back_tr": OLD, "back_old": BUSY_TSS, "back_new": FREE_TSS,
        "saved_ebx": 0x77777777,
    }  # fmt: skip


def test_a_jump_goes_on_behind_itself(pc: Machine) -> None:
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	r3_ljmp $FREE,$0
	say first, count
	r3_ljmp $FREE,$0
	say second, count
	finish
arrived: incl count
	r3_ljmp $TSS,$0
	addl $0x10,count
	r3_ljmp $TSS,$0
	.data
count:	.long 0
	.text
""")
    assert said == {"first": 1, "second": 0x11}


def test_call_and_return(pc: Machine) -> None:
    """A called task is nested: it has NT and the link, the caller stays busy, iret goes back."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	movl $0x22222222,%esi
	r3_lcall $FREE,$0
	say esi, %esi
	pushfl
	popl %eax
	andl $0x4000,%eax
	say nt_back, %eax
	busy old_after, TSS
	busy new_after, FREE
	movl other+EFLAGS,%eax
	andl $0x4000,%eax
	say nt_saved, %eax
	r3_str %eax
	say tr, %eax
	movl $FREE,pointer+4
	r3_lcall_mem pointer
	say again, count
	finish
arrived: pushfl
	popl %eax
	andl $0x4000,%eax
	say nt, %eax
	movzwl other+LINK,%eax
	say link, %eax
	busy old, TSS
	busy new, FREE
	incl count
	r3_iret
	addl $0x10,count
	r3_iret
	.data
count:	.long 0
pointer: .long 0, 0
	.text
""")
    assert said == {
        "nt": 0x4000, "link": OLD, "old": BUSY_TSS, "new": BUSY_TSS, "esi": 0x22222222, "nt_back": 0,
        "old_after": BUSY_TSS, "new_after": FREE_TSS, "nt_saved": 0, "tr": OLD, "again": 0x11,
    }  # fmt: skip


def test_task_gates(pc: Machine) -> None:
    """In the GDT, in an LDT, in the IDT by int $n; from ring 3 where their DPL allows it."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	descriptor 1, 0x0000e500, FREE<<16
	based 2, ldt, 15, 0x82
	r3_lgdt gdt_pointer
	movw $FREE+16,tss+LDT
	task_gate 0x50, FREE, 0xe500
	movl $0x101,%ebx
	r3_lcall $FREE+8,$0
	r3_lcall $FREE+8,$0
	r3_lcall $12,$0		# the table is the one that the TSS names: it has been loaded by coming back
	r3_int $0x50
	say from_ring_0, count
	in_ring_3 user, r3_int $0x50
	say from_ring_3, count
	movl tss+CS,%eax
	say user_cs, %eax
	movl tss+SS,%eax
	say user_ss, %eax
	movl %esp,trap_esp
	movl $2f,trap_resume
	user $1f
1:	lcall $FREE+8,$0
	int $0x40
2:	movl $0,trap_resume
	say by_call, count
	say vector, trap_vector
	say ebx, %ebx
	finish
arrived: incl count
	r3_iret
	jmp arrived
	.data
count:	.long 0
	.balign 8
ldt:	.quad 0, 0x0000850000300000
	.text
""")
    assert {name: said[name] for name in ("from_ring_0", "from_ring_3", "by_call")} == {
        "from_ring_0": 4, "from_ring_3": 5, "by_call": 6}  # fmt: skip
    assert (said["user"], said["user_cs"], said["user_ss"]) == (0x40, 0x1B, 0x23)
    assert (said["vector"], said["ebx"]) == (0x40, 0x101)


def test_exceptions_by_task_gates(pc: Machine) -> None:
    """The error code is on the handler's stack, the faulting instruction in the TSS; iret tries again."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	task_gate 13, FREE
	task_gate 6, FREE+8
	based 1, another, 103, 0x89
	movl $0x1000,%eax
	movl $0xabcd,%ebx
1:	r3_load_fs selector
	say ebx, %ebx
	movl $1b,%ecx
	subl %ecx,place
	say place, place
2:	ud2
	movl $2b,%ecx
	subl %ecx,place
	say ud_place, place
	say esp_change, %esi
	finish
	task another, undefined
undefined: movl tss+EIP,%eax
	movl %eax,place
	addl $2,tss+EIP
	movl $another,%eax
	subl %esp,%eax
	movl %eax,tss+EBX+12
	r3_iret
arrived: popl %eax
	say error, %eax
	movl $other,%eax
	subl %esp,%eax
	say rest, %eax
	movl tss+EIP,%eax
	movl %eax,place
	movl tss+EFLAGS,%eax
	andl $0x4000,%eax
	say nt, %eax
	movl $KERNEL_DS,selector
	r3_iret
	.data
selector: .long 0x1000
place:	.long 0
	.text
""")
    assert said == {"error": 0x1000, "rest": 0, "nt": 0, "ebx": 0xABCD, "place": 0, "ud_place": 0, "esp_change": 0}


def test_double_fault_task(pc: Machine) -> None:
    """A kernel whose stack is gone: the task behind gate 8 still gets to say so."""
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	descriptor 1, 0x00409200, 0x0fff
	r3_lgdt gdt_pointer
	task_gate 8, FREE
	movw $0,idt+8*13+4
	movw $0,idt+8*11+4
	movl $0x1000,%eax
	r3_load_fs selector
	finish
arrived: popl %eax
	say error, %eax
	movzwl other+LINK,%eax
	say link, %eax
	finish
	.data
selector: .long 0x1000
	.text
""")
    assert said == {"error": 0, "link": OLD}


def test_stack_that_cannot_take_a_frame(bare: Machine) -> None:
    """Not in QEMU, which does not look at segment limits."""
    said = bare(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	descriptor 1, 0x00409200, 0x0fff
	r3_lgdt gdt_pointer
	task_gate 8, FREE
	movl $FREE+8,%eax
	r3_load_ss %ax
	movl $8,%esp
	ud2
arrived: popl %eax
	say error, %eax
	movl tss+ESP,%eax
	say esp, %eax
	finish
""")
    assert said == {"error": 0, "esp": 8}


def test_tasks_of_16_bits(pc: Machine) -> None:
    """Both ways between a 32-bit and a 16-bit TSS; FS and GS are null in the latter."""
    said = pc(TASKS + """
test:	based 0, small, 43, 0x81
	r3_lgdt gdt_pointer
	movl $arrived-0x100000,%eax
	movw %ax,small+0xe
	movl $0x00409a10,gdt+FREE+12
	movl $0x0000ffff,gdt+FREE+8
	descriptor 2, 0x00009200, 0x0000ffff
	movl $0x5678,%edi
	r3_lcall $FREE,$0
	movzbl gdt+FREE+5,%eax
	say after, %eax
	movzwl small+0x16,%eax
	say saved_dx, %eax
	movzwl small+0x28,%eax
	say saved_ds, %eax
	say edi, %edi
	r3_store_fs %eax
	say fs_back, %eax
	finish
arrived: movzwl %ax,%eax
	movl %eax,0x300000
	movzwl %bx,%ebx
	movl %ebx,0x300004
	r3_store_fs %eax
	movl %eax,0x300008
	r3_store_cs %eax
	movl %eax,0x30000c
	pushfl
	popl %eax
	andl $0x4000,%eax
	movl %eax,0x300010
	movl %esp,%eax
	movzwl %ax,%eax
	movl %eax,0x300014
	movl $KERNEL_DS,%eax
	r3_load_ss %ax
	movl $stack_top-8192,%esp
	r3_ljmp $KERNEL_CS,$1f
1:	say ax, 0x300000
	say bx, 0x300004
	say fs, 0x300008
	say cs, 0x30000c
	say nt, 0x300010
	say sp, 0x300014
	movzbl gdt+FREE+5,%eax
	say busy, %eax
	movzwl small,%eax
	say link, %eax
	movl $0xabcd,%edx
	r3_iret
	.data
	.balign 64
small:	.word 0, 0, 0, 0, 0, 0, 0
	.word 0, 2, 0xa0a0, 0xc1c1, 0xd2d2, 0xb3b3, 0x9000, 0xb5b5, 0x5656, 0x5757
	.word KERNEL_DS, FREE+8, FREE+16, KERNEL_DS, 0
	.balign 64
	.text
""")
    assert said == {"ax": 0xA0A0, "bx": 0xB3B3, "fs": 0, "cs": NEW + 8, "nt": 0x4000, "sp": 0x9000, "busy": 0x83,
                    "link": OLD, "after": 0x81, "saved_dx": 0xABCD, "saved_ds": 0x10, "edi": 0x5678,
                    "fs_back": 0x10}  # fmt: skip


def test_debug_trap_and_local_breakpoints(bare: Machine) -> None:
    """T in the TSS: #DB with DR6.BT before the first instruction. QEMU has no T."""
    said = bare(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	movl $0x3ff,%eax
	r3_write_dr7 %eax
	movw $1,other+TRAP
	expect trap, r3_ljmp $FREE,$0
	movl $arrived,%eax
	subl trap_eip,%eax
	r3_read_dr6 %eax
	andl $0xf00f,%eax
	say dr6, %eax
	r3_read_dr7 %eax
	say dr7, %eax
	r3_str %eax
	say tr, %eax
	finish
arrived: finish
""")
    assert (said["trap"], said["dr6"], said["dr7"], said["tr"]) == (DB, 0x8000, 0x6AA, NEW)


def test_interrupts_by_task_gates(bare: Machine) -> None:
    """A timer whose handler is a task: it goes on behind its iret at the next tick."""
    said = bare(TASKS + """
	task ticker, tick
.macro port number:req, value:req
	movb \\value,%al
	r3_out %al,\\number
.endm
test:	based 0, ticker, 103, 0x89
	r3_lgdt gdt_pointer
	task_gate 0x20, FREE
	port $0x20, $0x11
	port $0x21, $0x20
	port $0x21, $4
	port $0x21, $1
	port $0x21, $0xfe
	port $0x43, $0x34
	port $0x40, $0xa9
	port $0x40, $4
	movl $0x11111111,%eax
	movl $0x22222222,%ecx
	stc
	r3_sti
1:	cmpl $5,ticks
	jb 1b
	r3_cli
	say eax, %eax
	say ecx, %ecx
	movl ticker+EFLAGS,%eax
	andl $0x200,%eax
	say if_inside, %eax
	finish
tick:	incl ticks
	port $0x20, $0x20
	r3_iret
	jmp tick
	.data
ticks:	.long 0
	.text
""")
    assert said == {"eax": 0x11111111, "ecx": 0x22222222, "if_inside": 0}


def test_ordinary_traps_in_a_task(pc: Machine) -> None:
    said = pc(TASKS + """
	task other, arrived
test:	based 0, other, 103, 0x89
	r3_lgdt gdt_pointer
	r3_lcall $FREE,$0
	finish
arrived: pushl $2
	popfl
	expect nothing, nop
	expect wrong, ud2
	pushl $0x4002
	popfl
	r3_iret
""")
    assert said == none("nothing") | fault("wrong", 6)
