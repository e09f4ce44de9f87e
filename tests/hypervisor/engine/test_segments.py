"""Segment registers, descriptors and what the instructions about them answer."""

from __future__ import annotations

import pytest

from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import DESCRIPTORS
from tests.hypervisor.engine.said import GP, NP, SS, fault, none, without_place


def test_selectors_read_back_as_loaded(bare: Machine) -> None:
    """RPL and null included, by every instruction that shows them."""
    said = bare("""
test:	movl $0x23,%eax
	r3_load_fs %ax
	r3_store_fs %ecx
	say rpl, %ecx
	movl $0x21,%eax
	r3_load_gs %eax
	movl $0xffffffff,%ebx
	r3_store_gs %bx
	say word, %ebx
	movl $0,%eax
	r3_load_fs %ax
	r3_push_fs
	popl %ecx
	andl $0xffff,%ecx
	say null, %ecx
	pushl $0x10
	r3_pop_es
	r3_store_es selector
	say memory, selector
	r3_store_cs %eax
	say cs, %eax
	r3_store_ss %eax
	say ss, %eax
	r3_push_cs
	popl %eax
	andl $0xffff,%eax
	say pushed_cs, %eax
	finish
	.data
selector: .long 0xffff0000
	.text
""")
    assert said == {"rpl": 0x23, "word": 0xFFFF0021, "null": 0, "memory": 0xFFFF0010, "cs": 8, "ss": 0x10,
                    "pushed_cs": 8}  # fmt: skip


def test_faults_of_segment_loads(bare: Machine) -> None:
    said = bare(DESCRIPTORS + """
test:	descriptor 0, 0x00cf1200, 0x0000ffff
	descriptor 1, 0x00cf9800, 0x0000ffff
	descriptor 2, 0x00008900, 0x00000067
	descriptor 3, 0x00cfd200, 0x0000ffff
	r3_lgdt gdt_pointer
	movl $FREE,%eax
	expect absent, r3_load_ds %eax
	movl $FREE+8,selector
	expect execute_only, r3_load_fs selector
	movl $FREE+16,%eax
	expect system, r3_load_es %eax
	movl $0x1000,%eax
	expect beyond, r3_load_fs %eax
	movl $0x14,%eax
	expect no_ldt, r3_load_gs %eax
	movl $0,%eax
	expect ss_null, r3_load_ss %ax
	movl $KERNEL_CS,%eax
	expect ss_code, r3_load_ss %ax
	movl $0x13,%eax
	expect ss_rpl, r3_load_ss %ax
	movl $FREE,%eax
	expect ss_absent, r3_load_ss %ax
	movl $0x23,%eax
	expect user_data, r3_load_ds %eax
	movl $0,%eax
	r3_load_fs %eax
	expect through_null, movl %fs:(0),%eax
	finish
	.data
selector: .long 0
	.text
""")
    free = 0x30
    expected = fault("absent", NP, free) | fault("execute_only", GP, free + 8) | fault("system", GP, free + 16)
    expected |= fault("beyond", GP, 0x1000) | fault("no_ldt", GP, 0x14) | fault("ss_null", GP, 0)
    expected |= fault("ss_code", GP, 8) | fault("ss_rpl", GP, 0x10) | fault("ss_absent", SS, free) | none("user_data")
    expected |= fault("through_null", GP, 0)
    assert without_place(said) == without_place(expected)


def test_bases_and_limits(bare: Machine) -> None:
    said = bare(DESCRIPTORS + """
test:	descriptor 0, 0x00409230, 0x00000fff
	descriptor 1, 0x00c09230, 0x00000000
	descriptor 2, 0x00409630, 0x00000fff
	descriptor 3, 0x00409030, 0x00000fff
	r3_lgdt gdt_pointer
	movl $0x11223344,0x300000
	movl $0x55667788,0x300ffc
	movl $0x99aabbcc,0x301000
	movl $FREE,%eax
	r3_load_fs %eax
	say base, %fs:0
	say last, %fs:0xffc
	expect byte_limit, movl %fs:0xffd,%eax
	movl $FREE,%eax
	r3_load_fs %eax
	expect write, movl %eax,%fs:0x1000
	movl $FREE+8,%eax
	r3_load_gs %eax
	say granular, %gs:0xffc
	expect page_limit, movl %gs:0xffe,%eax
	movl $FREE+16,%eax
	r3_load_es %eax
	say expand_down, %es:0x1000
	expect below, movl %es:0xffc,%eax
	movl $FREE+24,%eax
	r3_load_gs %eax
	expect read_only, movl %eax,%gs:0
	finish
""")
    expected = {"base": 0x11223344, "last": 0x55667788, "granular": 0x55667788, "expand_down": 0x99AABBCC}
    for name in ("byte_limit", "write", "page_limit", "below", "read_only"):
        expected |= fault(name, GP, 0)
    assert said == expected


def test_hidden_parts_stay(bare: Machine) -> None:
    """A register keeps its base while its descriptor changes, until it is loaded again."""
    said = bare(DESCRIPTORS + """
test:	movl $0xaaaaaaaa,0x300000
	movl $0xbbbbbbbb,0x310000
	descriptor 0, 0x00409230, 0x00000fff
	r3_lgdt gdt_pointer
	movl $FREE,%eax
	r3_load_fs %eax
	descriptor 0, 0x00409231, 0x00000fff
	r3_lgdt gdt_pointer
	say kept, %fs:0
	r3_store_fs %ecx
	say selector, %ecx
	r3_load_fs %eax
	say loaded, %fs:0
	finish
""")
    assert said == {"kept": 0xAAAAAAAA, "selector": 0x30, "loaded": 0xBBBBBBBB}


def test_descriptors_changed_without_a_load_of_the_table(bare: Machine) -> None:
    said = bare(DESCRIPTORS + """
test:	movl $0xaaaaaaaa,0x300000
	movl $0xbbbbbbbb,0x310000
	descriptor 0, 0x00409230, 0x00000fff
	movl $FREE,%eax
	r3_load_fs selectors
	say first, %fs:0
	descriptor 0, 0x00409231, 0x00000fff
	movl $KERNEL_DS,%eax
	r3_load_fs %eax
	r3_load_fs selectors
	say second, %fs:0
	finish
	.data
selectors: .long FREE
	.text
""")
    assert said == {"first": 0xAAAAAAAA, "second": 0xBBBBBBBB}


def test_queries(bare: Machine) -> None:
    said = bare(DESCRIPTORS + """
.macro answer name:req, instruction:vararg
	movl $0x5a5a5a5a,%eax
	\\instruction
	setz %cl
	movzbl %cl,%ecx
	say \\name, %eax
	say \\name\\().zf, %ecx
.endm
test:	descriptor 0, 0x00c0f200, 0x00000012
	descriptor 1, 0x00009800, 0x00000fff
	r3_lgdt gdt_pointer
	movl $KERNEL_CS,%ebx
	answer lar_code, r3_lar %eax,%ebx
	andl $0,%ecx
	movl $FREE,%ebx
	answer lsl_pages, r3_lsl %eax,%ebx
	movl $TSS,%ebx
	answer lsl_tss, r3_lsl %eax,%ebx
	answer lar_tss, r3_lar %eax,%ebx
	movl $0x2000,%ebx
	answer lar_beyond, r3_lar %eax,%ebx
	movl $0,%ebx
	answer lsl_null, r3_lsl %eax,%ebx
	movl $KERNEL_DS,%ebx
	answer verr_data, r3_verr %bx
	answer verw_data, r3_verw %bx
	movl $KERNEL_CS,%ebx
	answer verw_code, r3_verw %bx
	movl $FREE+8,%ebx
	answer verr_execute_only, r3_verr %bx
	movl $TSS,%ebx
	answer verr_tss, r3_verr %bx
	movl $0x10,%eax
	movl $0x23,%ebx
	r3_arpl %bx,%ax
	setz %cl
	movzbl %cl,%ecx
	say arpl, %eax
	say arpl.zf, %ecx
	r3_arpl %bx,%ax
	setz %cl
	movzbl %cl,%ecx
	say arpl_again, %eax
	say arpl_again.zf, %ecx
	finish
""")
    kept = 0x5A5A5A5A
    answers = {
        "lar_code": (0x00CF9A00 | said["lar_code"] & 0x100, 1), "lsl_pages": (0x12FFF, 1), "lsl_tss": (0x67, 1),
        "lar_tss": (0x00008B00, 1), "lar_beyond": (kept, 0), "lsl_null": (kept, 0), "verr_data": (kept, 1),
        "verw_data": (kept, 1), "verw_code": (kept, 0), "verr_execute_only": (kept, 0), "verr_tss": (kept, 0),
        "arpl": (0x13, 1), "arpl_again": (0x13, 0),
    }  # fmt: skip
    assert {name: (said[name] & (0xF0FFFF if name == "lar_code" else ~0), said[f"{name}.zf"]) for name in answers} == {
        name: (value & (0xF0FFFF if name == "lar_code" else ~0), zf) for name, (value, zf) in answers.items()
    }


def test_table_registers_read_back(bare: Machine) -> None:
    said = bare("""
test:	r3_sgdt image
	movzwl image,%eax
	say gdt_limit, %eax
	movl image+2,%eax
	subl $gdt,%eax
	say gdt_base, %eax
	r3_sidt image
	movzwl image,%eax
	say idt_limit, %eax
	movl image+2,%eax
	subl $idt,%eax
	say idt_base, %eax
	movl $-1,%eax
	r3_str %ax
	say tr_word, %eax
	r3_str %eax
	say tr, %eax
	r3_sldt %eax
	say ldtr, %eax
	r3_smsw %ax
	andl $0x8001,%eax
	say msw, %eax
	finish
	.data
image:	.long 0,0
	.text
""")
    assert said == {"gdt_limit": 32 * 8 - 1, "gdt_base": 0, "idt_limit": 0x7FF, "idt_base": 0, "tr_word": 0xFFFF0028,
                    "tr": 0x28, "ldtr": 0, "msw": 1}  # fmt: skip


def test_local_descriptor_table(bare: Machine) -> None:
    said = bare(DESCRIPTORS + """
test:	movl $ldt,%eax
	movw $23,gdt+FREE
	movw %ax,gdt+FREE+2
	shrl $16,%eax
	movb %al,gdt+FREE+4
	movb %ah,gdt+FREE+7
	movb $0x82,gdt+FREE+5
	movl $0xaaaaaaaa,0x300000
	movl $FREE,%eax
	r3_lldt %ax
	movl $0xf,%eax
	r3_load_fs %eax
	say local, %fs:0
	r3_store_fs %ecx
	say selector, %ecx
	r3_sldt %ecx
	say ldtr, %ecx
	movl $0x1f,%eax
	expect beyond, r3_load_gs %eax
	movl $0,%eax
	r3_lldt %ax
	movl $0xf,%eax
	expect gone, r3_load_gs %eax
	movl $KERNEL_DS,%eax
	expect data, r3_lldt %ax
	expect tss_busy, r3_ltr tss_selector
	finish
	.data
	.balign 8
ldt:	.quad 0, 0x0040f2300000ffff, 0
tss_selector: .long TSS
	.text
""")
    expected = {"local": 0xAAAAAAAA, "selector": 0xF, "ldtr": 0x30} | fault("beyond", GP, 0x1C) | fault("gone", GP, 0xC)
    expected |= fault("data", GP, 0x10) | fault("tss_busy", GP, 0x28)
    assert without_place(said) == without_place(expected)


def test_far_transfers(bare: Machine) -> None:
    said = bare(DESCRIPTORS + """
test:	descriptor 0, 0x00cf9a00, 0x0000ffff
	descriptor 1, 0x00cffa00, 0x0000ffff
	r3_lgdt gdt_pointer
	r3_ljmp $FREE,$1f
1:	r3_store_cs %eax
	say jumped, %eax
	r3_lcall $KERNEL_CS,$called
	r3_store_cs %eax
	say back, %eax
	movl $called,pointer
	movw $KERNEL_CS,pointer+4
	r3_lcall_mem pointer
	movl $2f,pointer
	r3_ljmp_mem pointer
2:	r3_store_cs %eax
	say by_memory, %eax
	pushl $KERNEL_CS
	pushl $3f
	r3_lret
3:	pushl $0x11111111
	pushl $0x22222222
	pushl $KERNEL_CS
	pushl $4f
	r3_lret_n $4
4:	say released, (%esp)
	popl %eax
	expect user_code, r3_ljmp $FREE+8,$test
	expect data, r3_ljmp $KERNEL_DS,$test
	expect null, r3_ljmp $0,$test
	expect beyond, r3_lcall $0x2000,$test
	finish
called:	r3_store_cs %eax
	say inside, %eax
	movl 4(%esp),%eax
	say caller, %eax
	r3_lret
	.data
pointer: .long 0,0
	.text
""")
    expected = {"jumped": 0x30, "inside": 8, "caller": 8, "back": 0x30, "by_memory": 8, "released": 0x11111111}
    expected |= fault("user_code", GP, 0x38) | fault("data", GP, 0x10) | fault("null", GP, 0)
    expected |= fault("beyond", GP, 0x2000)
    del expected["caller"]
    assert {name: said[name] for name in expected} == expected
    assert said["caller"] in (0x30, 8)


def test_far_pointers(bare: Machine) -> None:
    said = bare("""
test:	r3_lfs %ebx,pointer
	r3_store_fs %ecx
	say offset, %ebx
	say selector, %ecx
	r3_les %esi,pointer
	r3_store_es %ecx
	say es, %ecx
	movw $0x1000,pointer+4
	movl $0x1234,%ebx
	expect bad, r3_lgs %ebx,pointer
	say kept, %ebx
	finish
	.data
pointer: .long 0x12345678
	.word 0x10
	.text
""")
    expected = {"offset": 0x12345678, "selector": 0x10, "es": 0x10, "kept": 0x1234} | fault("bad", GP, 0x1000)
    assert said == expected


@pytest.mark.parametrize("base", [0x0010_0000, 0xF000_0000])
def test_kernel_with_segment_bases(bare: Machine, base: int) -> None:
    """A kernel whose own segments start elsewhere than at 0, as kernels linked high boot."""
    high = base >> 24 << 24 | base >> 16 & 0xFF
    said = bare(DESCRIPTORS + f"""
	.set SHIFT,{base:#x}
test:	descriptor 0, {0x00CF9A00 | high:#x}, 0x0000ffff
	descriptor 1, {0x00CF9200 | high:#x}, 0x0000ffff
	gate 0x50, shifted-SHIFT
	movw $FREE,idt+8*0x50+2
	r3_lgdt gdt_pointer
	r3_ljmp $FREE,$1f-SHIFT
1:	movl $FREE+8,%eax
	r3_load_ss %ax
	movl $stack_top-SHIFT,%esp
	r3_load_ds %eax
	r3_load_es %eax
	r3_sti
	r3_pushf
	popl %ebx
	andl $0x200,%ebx
	r3_cli
	r3_read_cr0 %ecx
	andl $1,%ecx
	movl %ebx,seen-SHIFT
	movl %ecx,seen+4-SHIFT
	r3_int $0x50
	movl $KERNEL_DS,%eax
	r3_load_ss %ax
	movl $stack_top,%esp
	r3_load_ds %eax
	r3_load_es %eax
	r3_ljmp $KERNEL_CS,$2f
2:	say if, seen
	say cr0, seen+4
	say handled, seen+8
	finish
shifted: movl $0x1234,seen+8-SHIFT
	r3_iret
	.data
seen:	.long 0,0,0,0
	.text
""")
    assert said == {"if": 0x200, "cr0": 1, "handled": 0x1234}
