"""``ring3 check`` finds what ``objdump -d`` shows, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypercalls import gas
from porter.asm_port import port_assembly
from porter.binary import Survey, survey
from porter.binary.sensitive import Effect
from tests.porter import compiled

TRAPS = """
cli
sti
hlt
in $0x10, %al
in $0x10, %ax
in $0x10, %eax
in %dx, %al
in %dx, %ax
in %dx, %eax
out %al, $0x20
out %ax, $0x20
out %eax, $0x20
out %al, %dx
out %ax, %dx
out %eax, %dx
insb
insw
insl
rep insb
rep insw
rep insl
outsb
outsw
outsl
rep outsb
rep outsw
rep outsl
outsb %fs:(%esi), %dx
mov %cr0, %eax
mov %cr2, %ecx
mov %cr3, %esi
mov %cr4, %edi
mov %eax, %cr0
mov %ecx, %cr2
mov %esi, %cr3
mov %edi, %cr4
clts
lmsw %ax
lmsw (%eax)
mov %db0, %eax
mov %db7, %ebx
mov %eax, %db3
mov %edx, %db6
lgdt (%eax)
lidt table(,%ecx,4)
lldt %ax
lldt 4(%ebp)
ltr %cx
ltr (%esi)
int $0x21
int $0x40
sysexit
invlpg (%eax)
invlpg %gs:8(%ebx)
invpcid (%eax), %ecx
wbinvd
invd
rdmsr
wrmsr
rdpmc
monitor
mwait
stac
clac
xsetbv
int $0x80
"""

SILENT = """
pushf
popf
pushfw
popfw
smsw %ax
smsw %eax
smsw (%eax)
sgdt (%eax)
sidt 6(%eax)
sldt %eax
sldt %ax
sldt (%eax)
str %eax
str (%ecx)
lar %cx, %ax
lar %ecx, %eax
lsl (%eax), %ecx
verr %ax
verw (%eax)
arpl %ax, %cx
arpl %ax, (%ecx)
mov %eax, %ds
mov %ax, %es
mov %ecx, %ss
mov (%eax), %fs
mov %fs:4(%eax), %gs
pop %ds
pop %es
pop %ss
pop %fs
pop %gs
popw %ds
popw %gs
lds (%eax), %ecx
les 4(%eax,%ebx,2), %ecx
lss (%eax), %esp
lfs (%eax), %ecx
lgs (%eax), %ecx
mov %cs, %eax
mov %ds, %ax
mov %es, (%eax)
mov %ss, %ecx
mov %fs, %edx
mov %gs, table
push %cs
push %ds
push %es
push %ss
push %fs
push %gs
pushw %ds
pushw %fs
lcall $8, $target
lcall *(%eax)
lcall *table
cpuid
rdtscp
xgetbv
sysenter
syscall
vmcall
vmmcall
"""

# Each ends the flow, so each needs a label of its own.
SILENT_ENDS = """
ljmp $8, $target
ljmp *(%eax)
ljmp *table
lret
lret $8
lretw
iret
iretw
"""

NATIVE = """
int3
int1
into
bound %eax, (%ecx)
int $3
rdtsc
ud2
vmrun
"""

C_SOURCE = r"""
static inline void outb(unsigned short port, unsigned char value)
{ __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static inline unsigned char inb(unsigned short port)
{ unsigned char value; __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port)); return value; }
static inline unsigned long flags(void)
{ unsigned long f; __asm__ volatile("pushf; pop %0" : "=r"(f)); return f; }

volatile int state[16];
int dispatch(int what, int argument)
{
    switch (what) {
    case 0: outb(0x3f8, argument); return 1;
    case 1: return inb(0x3fd);
    case 2: __asm__ volatile("cli"); return 2;
    case 3: __asm__ volatile("sti; hlt"); return 3;
    case 4: state[argument] = flags(); return 4;
    case 5: __asm__ volatile("mov %%cr2, %0" : "=r"(argument)); return argument;
    case 6: __asm__ volatile("lidt %0" : : "m"(state)); return 6;
    case 7: __asm__ volatile("rep outsl" : "+S"(argument), "+c"(what) : "d"(0x1f0)); return 7;
    default: return state[what & 15] * argument;
    }
}
int (*volatile handler)(int, int) = dispatch;
void start(void)
{
    for (int i = 0; ; i++)
        if (handler(i, state[i & 15]) == 0xfa)
            __asm__ volatile("int $0x40" : : "a"(0x9c));
}
"""


def _assembly() -> str:
    lines = [".globl start, target", "start:"]
    for text in (TRAPS + SILENT + NATIVE).split("\n"):
        if text in ("ud2", "sysexit"):
            lines += ["jz 1f", text, "1:"]
        else:
            lines.append(text)
    for number, text in enumerate(SILENT_ENDS.split("\n")):
        lines += [f"jz end{number}", text, f"end{number}:"]
    return "\n".join([*lines, "target: ret", ".data", "table: .long 0, 0", ""])


def _listed(result: Survey) -> set[tuple[int, str]]:
    return {(site.address, site.code.hex()) for site in result.left + result.native}


def _count(text: str) -> int:
    return len(text.split("\n")) - 2


def test_every_class_is_found_in_a_linked_file(tmp_path: Path) -> None:
    path = compiled.kernel(tmp_path, _assembly())
    result = survey(path)
    assert _listed(result) == compiled.objdump_sites(path)
    assert not result.unreached


def test_every_class_is_found_in_an_object_file(tmp_path: Path) -> None:
    path = compiled.compile_object(tmp_path, _assembly())
    assert _listed(survey(path)) == compiled.objdump_sites(path)


@pytest.mark.parametrize(
    ("effect", "count"),
    [
        (Effect.TRAPS, _count(TRAPS)),
        (Effect.SILENT, _count(SILENT) + _count(SILENT_ENDS)),
        (Effect.NATIVE, _count(NATIVE)),
    ],
)
def test_effects(tmp_path: Path, effect: Effect, count: int) -> None:
    result = survey(compiled.kernel(tmp_path, _assembly()))
    assert sum(site.kind.effect is effect for site in result.left + result.native) == count


@pytest.mark.parametrize("optimise", ["-O0", "-O2", "-Os"])
def test_compiled_code_with_switch_table(tmp_path: Path, optimise: str) -> None:
    path = compiled.kernel(tmp_path, C_SOURCE, optimise, name="part.c")
    result = survey(path)
    expected = compiled.objdump_sites(path)
    assert len(expected) >= 9
    assert _listed(result) == expected


def test_position_independent_switch(tmp_path: Path) -> None:
    path = compiled.compile_object(tmp_path, C_SOURCE, "-fPIC", "-O2", name="part.c")
    assert _listed(survey(path)) == compiled.objdump_sites(path)


def test_sections_per_function_in_an_object_file(tmp_path: Path) -> None:
    path = compiled.compile_object(tmp_path, C_SOURCE, "-ffunction-sections", name="part.c")
    result = survey(path)
    assert _listed(result) == compiled.objdump_sites(path)
    assert {site.section for site in result.left} == {".text.dispatch", ".text.start"}


def test_nothing_is_left_when_the_porter_is_done(tmp_path: Path) -> None:
    ported = port_assembly(_assembly(), "part.s")
    result = survey(compiled.kernel(tmp_path, gas.macros() + ported.text))
    assert not result.left
    assert not result.unreached
    # int3 and into could stay, but are dearer as traps.
    assert sum(result.ported.values()) + len(result.native) > 130
