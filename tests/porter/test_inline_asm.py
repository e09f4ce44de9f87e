"""Inline assembly in C."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hypercalls import gas
from porter.c_port import port_c, survey
from porter.errors import PortError

CASES = [
    ('asm volatile("cli");', 'asm volatile("r3_cli");'),
    ('__asm__ __volatile__ ("lidt %0\\n\\t" : : "m"(idtr));',
     '__asm__ __volatile__ ("r3_lidt %0\\n\\t" : : "m"(idtr));'),
    ('__asm("in %1,%0" : "=a" (d) : "d" (p));', '__asm("r3_in %1,%0" : "=a" (d) : "d" (p));'),
    ('asm("outb %b[v], %w[p]" :: [v]"a"(v), [p]"Nd"(p));', 'asm("r3_out %b[v], %w[p]" :: [v]"a"(v), [p]"Nd"(p));'),
    ('asm("inb (%w1), %0" : "=a"(v) : "d"(p));', 'asm("r3_in %w1, %0" : "=a"(v) : "d"(p));'),
    ('asm("cld; rep insl" : "=D"(a));', 'asm("cld; r3_rep_insl" : "=D"(a));'),
    ('asm("rep;" "insl" : "=D"(a));', 'asm("" "r3_rep_insl" : "=D"(a));'),
    ('asm("pushfl; popl %0" : "=r"(f));', 'asm("r3_pushf; popl %0" : "=r"(f));'),
    ('asm("mov %%cr0,%0" : "=r"(v));', 'asm("r3_read_cr0 %0" : "=r"(v));'),
    ('asm("movl %0, %%cr3\\n\\t" :: "r"(v));', 'asm("r3_write_cr3 %0\\n\\t" :: "r"(v));'),
    ('asm("mov %cr3, %eax");', 'asm("r3_read_cr3 %eax");'),
    ('asm("lar %1,%0" : "=r"(a) : "rm"(s));', 'asm("r3_lar %0, %1" : "=r"(a) : "rm"(s));'),
    ('asm("ljmp *%0" :: "m"(p));', 'asm("r3_ljmp_mem %0" :: "m"(p));'),
    ('asm("int %0" :: "i"(3));', 'asm("r3_int %0" :: "i"(3));'),
    ('asm goto("sti; jmp %l0" :::: out);', 'asm goto("r3_sti; jmp %l0" :::: out);'),
    ('asm inline volatile ("sti\\n\\thlt" ::: "memory");', 'asm inline volatile ("r3_sti_hlt\\n\\t" ::: "memory");'),
    ('asm("sti\\n\\t"\n    "hlt");', 'asm("r3_sti_hlt\\n\\t"\n    "");'),
    ('asm("# cli\\n\\tcli /* hlt */; hlt");', 'asm("# cli\\n\\tr3_cli /* hlt */; r3_hlt");'),
    ('asm("mov %0,%%fs:4\\n mov %0,%%fs" :: "r"(a));', 'asm("mov %0,%%fs:4\\n r3_load_fs %0" :: "r"(a));'),
    ('asm(".ascii \\"cli;\\"\\n\\tcli");', 'asm(".ascii \\"cli;\\"\\n\\tr3_cli");'),
    ('asm("{cli|cli}" ::: "cc");', 'asm("{r3_cli|r3i_cli}" ::: "cc");'),
    ('#define STI() asm volatile("sti" \\\n   ::: "memory")',
     '#define STI() asm volatile("r3_sti" \\\n   ::: "memory")'),
    ('asm(LOCK "incl %0; " "cli" : "+m"(x));', 'asm(LOCK "incl %0; " "r3_cli" : "+m"(x));'),
    ('asm("mov %0, %%" #REG :: "r"(v));', 'asm("r3_resolve mov, %0, %%" #REG :: "r"(v));'),
    ('asm("mov %%" STR(REG) ", %0" : "=r"(v));', 'asm("r3_resolve mov, %%" STR(REG) ", %0" : "=r"(v));'),
    ('asm("lgdt " PTR);', 'asm("r3_lgdt " PTR);'),
    ('asm(\n#ifdef X\n "cli"\n#else\n "; sti"\n#endif\n);',
     'asm(\n#ifdef X\n "r3_cli"\n#else\n "; r3_sti"\n#endif\n);'),
    ('asm(".globl f\\nf: cli\\n hlt\\n");', 'asm(".globl f\\nf: r3_cli\\n r3_hlt\\n");'),
]

UNCHANGED = [
    'asm("nop"); /* asm("cli") */ // asm("cli")',
    'puts("asm(\\"cli\\")"); cli();',
    'register int x asm("eax");',
    'int asm_count; void cli(void);',
    'asm("movl %%gs:4, %0" : "=r"(x) : "r"(y ? 1 : 2));',
    "asm(\"\" : : \"i\"(')'), \"i\"('\"'));",
    'asm("mov %0, %1" : "=r"(a) : "r"(b));',
]


@pytest.mark.parametrize(("before", "after"), CASES)
def test_templates(before: str, after: str) -> None:
    ported = port_c(before, "x.c")
    assert ported.text == after
    assert all(site.treatment == "ported" for site in ported.sites)
    assert port_c(after, "x.c") == (after, ())


@pytest.mark.parametrize("text", UNCHANGED)
def test_nothing_sensitive(text: str) -> None:
    assert port_c(text, "x.c") == (text, ())


def test_string_macros_are_ported_where_they_are_defined() -> None:
    header = '#define OFF "cli\\n\\t"\n#define CR "%%cr0"\n#define OTHER "cli"\n'
    source = 'void f(void) { asm(OFF "nop" ::); asm("mov %0, " CR :: "r"(1)); }\n'
    known = survey([header, source])
    assert port_c(header, "x.h", known).text == header.replace('OFF "cli', 'OFF "r3_cli')
    ported = port_c(source, "x.c", known)
    assert ported.text == source
    (site,) = ported.sites
    assert (site.treatment, site.item.reason) == ("left", "its operands are written in a C macro")


def test_sites_are_where_the_statement_is() -> None:
    text = 'void f(void)\n{\n  asm("nop\\n"\n      "  cli; mov %%cr0,%0" : "=r"(x));\n}\n'
    assert [(site.line, site.column, site.text) for site in port_c(text, "x.c").sites] == [
        (4, 10, "cli"), (4, 15, "mov %%cr0,%0")]


@pytest.mark.parametrize(("text", "message"), [
    ('int x;\nvoid f(void) { asm("nop\\n\\tmov (%%eax, %%cr0" ::); }', "x.c:2:"),
    ('asm(".intel_syntax noprefix\\n mov eax, cr0\\n mov cr0, [eax");', "x.c:1:"),
])
def test_errors_name_the_place(text: str, message: str) -> None:
    with pytest.raises(PortError) as error:
        port_c(text, "x.c")
    assert str(error.value).startswith(message)


def test_ported_c_compiles_with_the_header(tmp_path: Path) -> None:
    (tmp_path / "ring3.h").write_text(gas.c_header())
    source = """
    static inline unsigned char inb(unsigned short port)
    { unsigned char v; asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port)); return v; }
    unsigned f(void *p, unsigned *q) {
      unsigned v; asm volatile("pushfl; popl %0" : "=r"(v)); asm volatile("cli");
      asm volatile("lgdt (%0)" :: "r"(p)); asm volatile("lidt %0" :: "m"(q[v & 3]));
      asm volatile("mov %0,%%cr3" :: "r"(v)); asm volatile("mov %%ds,%0" : "=m"(*(short *)q));
      return v + inb(0x60) + inb(v);
    }
    """
    ported = port_c(source, "x.c").text
    for level in ("-O0", "-O2", "-Os"):
        (tmp_path / "x.c").write_text('#include "ring3.h"\n' + ported)
        subprocess.run(["gcc", "-m32", level, "-ffreestanding", "-fno-pie", "-c", "x.c"], cwd=tmp_path, check=True)
        code = subprocess.run(["objdump", "-d", "x.o"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
        assert not any(f"\t{name}" in code for name in ("cli", "lgdt", "lidt", "in ", "mov    %ds,("))
        assert "call   *%cs:" in code
