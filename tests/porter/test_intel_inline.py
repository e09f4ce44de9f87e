"""Inline assembly in Intel syntax, and in both by alternatives."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from porter import macro_files
from porter.c_port import port_c, survey
from porter.model import ATT, INTEL

# Written for one dialect, as the text shows.
CASES = [
    ('asm("mov eax, cr0");', 'asm("r3i_read_cr0 eax");'),
    ('asm("mov %0, cr3" : "=r"(v));', 'asm("r3i_read_cr3 %0" : "=r"(v));'),
    ('asm("mov cr3, %0\\n\\tcli" :: "r"(v));', 'asm("r3i_write_cr3 %0\\n\\tr3i_cli" :: "r"(v));'),
    ('asm("mov ds, %w0" :: "r"(v));', 'asm("r3i_load_ds %w0" :: "r"(v));'),
    ('asm("in al, dx" : "=a"(v) : "d"(p));', 'asm("r3i_in al, dx" : "=a"(v) : "d"(p));'),
    ('asm("push ds; cli");', 'asm("r3i_push_ds; r3i_cli");'),
    ('asm("lidt fword ptr %0" :: "m"(x));', 'asm("r3i_lidt fword ptr %0" :: "m"(x));'),
    ('asm("mov ax, 8; ltr ax");', 'asm("mov ax, 8; r3i_ltr ax");'),
    ('asm("jmp 8:1f; 1: mov eax, 16");', 'asm("r3i_ljmp 8, 1f; 1: mov eax, 16");'),
    ('asm("mov ecx, 4; rep outs dx, dword ptr fs:[esi]");', 'asm("mov ecx, 4; r3i_rep_outsl fs");'),
    ('asm("outs dx, dword ptr %%fs:[esi]" :: "S"(p));', 'asm("r3i_outsl fs" :: "S"(p));'),
    ('asm("inb al, %0; mov ah, al" :: "i"(4));', 'asm("r3i_in al, %0; mov ah, al" :: "i"(4));'),
    # A template that switches by itself is AT&T outside.
    ('asm("cli\\n.intel_syntax noprefix\\n mov eax, cr0\\n.att_syntax prefix\\n mov %eax, %cr0");',
     'asm("r3_cli\\n.intel_syntax noprefix\\n r3i_read_cr0 eax\\n.att_syntax prefix\\n r3_write_cr0 %eax");'),
    ('asm(".intel_syntax noprefix; cli; .att_syntax");', 'asm(".intel_syntax noprefix; r3i_cli; .att_syntax");'),
    # Prefixes and accumulators that the statement implies are registers of the template.
    ('asm("fs outsb" :: "S"(p));', 'asm("r3_outsb %%fs" :: "S"(p));'),
    ('asm("inb %w0" :: "d"(p));', 'asm("r3_in %w0, %%al" :: "d"(p));'),
    # Alternatives: within them each is ported, and what they share gets alternatives.
    ('asm("mov {%%cr0, %0|%0, cr0}" : "=r"(v));', 'asm("{r3_read_cr0 %0|r3i_read_cr0 %0}" : "=r"(v));'),
    ('asm("{movl %%cr0, %0; cli|mov %0, cr0; cli}" : "=r"(v));',
     'asm("{r3_read_cr0 %0; r3_cli|r3i_read_cr0 %0; r3i_cli}" : "=r"(v));'),
    ('asm("mov{l} {%0, %%}cr3{|, %0}\\n\\tcli" :: "r"(v));',
     'asm("{r3_write_cr3 %0|r3i_write_cr3 %0}\\n\\t{r3_cli|r3i_cli}" :: "r"(v));'),
    ('asm("lgdt %0; out{b %1, %w2| %w2, %1}" :: "m"(x), "a"(c), "d"(p));',
     'asm("{r3_lgdt|r3i_lgdt} %0; {r3_out %1, %w2|r3i_out %w2, %1}" :: "m"(x), "a"(c), "d"(p));'),
    ('asm("lar {%1, %0|%0, %1}" : "=r"(v) : "rm"(s));', 'asm("{r3_lar %0, %1|r3i_lar %0, %1}" : "=r"(v) : "rm"(s));'),
    ('asm("{pushfl|pushfd}\\n\\t"\n    "pop %0\\n\\t"\n    "sti\\n\\thlt" : "=r"(f));',
     'asm("{r3_pushf|r3i_pushf}\\n\\t"\n    "pop %0\\n\\t"\n    "{r3_sti_hlt|r3i_sti_hlt}\\n\\t" : "=r"(f));'),
    ('asm("mov {$1|1}, %{x%}; {cli}" :: "r"(v));', 'asm("mov {$1|1}, %{x%}; {r3_cli}" :: "r"(v));'),
    ('asm("add {%1, %0|%0, %1}" : "+r"(a) : "r"(b)); asm("hlt" :::);',
     'asm("add {%1, %0|%0, %1}" : "+r"(a) : "r"(b)); asm("{r3_hlt|r3i_hlt}" :::);'),
    ('asm("add {%1, %0|%0, %1}" : "+r"(a) : "r"(b)); asm("hlt"); asm("movl %esp, %cr3");',
     'asm("add {%1, %0|%0, %1}" : "+r"(a) : "r"(b)); asm("r3_either hlt"); asm("r3_write_cr3 %esp");'),
]


@pytest.mark.parametrize(("before", "after"), CASES)
def test_templates(before: str, after: str) -> None:
    ported = port_c(before, "x.c")
    assert ported.text == after
    assert ported.sites and all(site.treatment == "ported" for site in ported.sites)
    assert port_c(after, "x.c") == (after, ())


def test_what_does_in_either_is_as_the_tree() -> None:
    """A template that shows nothing is in the syntax of its file, or else of the others."""
    plain, intel, att = 'asm("cli" :::);', 'asm("mov eax, cr0");', 'asm("movl %cr0, %eax");'
    assert port_c(plain, "x.h", survey([plain, intel])).text == 'asm("r3i_cli" :::);'
    assert port_c(plain, "x.h", survey([plain, att])).text == 'asm("r3_cli" :::);'
    assert port_c(plain, "x.h", survey([plain, att, intel])).text == 'asm("{r3_cli|r3i_cli}" :::);'
    both = port_c(plain + intel, "x.c", survey([plain, att, intel]))
    assert both.text == 'asm("r3i_cli" :::);asm("r3i_read_cr0 eax");'
    assert port_c(plain, "x.h", survey([plain, att, intel]), [INTEL]).text == 'asm("r3i_cli" :::);'
    assert port_c(plain, "x.h", survey([plain, intel]), [ATT]).text == 'asm("r3_cli" :::);'


def test_other_processors_show_nothing() -> None:
    for template in ("mtcrf 0x80, %0", "mov r0, sp", "mcr p15, 0, %0, c1, c0", "ldr %0, [%1]", "stm %0, {r0-r7}",
                     "mfspr %0, 8"):
        assert not any(survey([f'asm("{template}" :: "r"(v));']).evidence)


def test_without_operands_there_can_be_no_alternatives() -> None:
    source = 'asm("cli; sti\\n hlt"); asm("ltr SYM");'
    ported = port_c(source, "x.c", None, [ATT, INTEL])
    assert ported.text == 'asm("r3_either cli; r3_either sti_hlt\\n "); asm("r3_either ltr SYM");'
    assert {site.item.macro for site in ported.sites} == {"r3_either"}
    assert [site.treatment for site in ported.sites] == ["ported"] * 4
    # A statement that is not the same in both cannot be written for both.
    left = port_c('asm("mov cr0, ebx");', "x.c", survey(['asm("cli");']), [ATT, INTEL])
    assert left.text == 'asm("r3i_write_cr0 ebx");'
    left = port_c('asm("jmp 8, 9; lret 4");', "x.c", None, [ATT, INTEL])
    assert left.text == 'asm("jmp 8, 9; lret 4");'
    assert {site.treatment for site in left.sites} == {"left"}
    assert all("--syntax" in site.item.reason for site in left.sites)


def test_string_macros_may_be_part_of_any_template() -> None:
    text = '#define OFF "cli\\n\\t"\n#define PAGES "mov {%0, %%cr3|cr3, %0}"\n'
    text += 'void f(void) { asm(OFF); asm(OFF PAGES :: "r"(4)); }\n'
    ported = port_c(text, "x.c")
    assert ported.text == text.replace("cli", "r3_either cli").replace(
        "mov {%0, %%cr3|cr3, %0}", "{r3_write_cr3 %0|r3i_write_cr3 %0}")
    assert port_c(ported.text, "x.c").text == ported.text


def test_blocks_in_microsofts_style_are_reported() -> None:
    text = ('void f(void) { __asm { cli\n  mov eax, 4 ; x\n  mov cr3, eax } g(); __asm hlt\n __asm mov eax, cr0 }\n'
            'register int x asm("eax"); /* asm hlt */ int asm_in; __asm volatile ("nop");\n')
    ported = port_c(text, "x.c")
    assert ported.text == text
    assert [(site.line, site.treatment, site.text) for site in ported.sites] == [
        (1, "left", "cli"), (3, "left", "mov cr3, eax"), (3, "left", "hlt"), (4, "left", "mov eax, cr0")]
    assert "ring3 cc" in ported.sites[0].item.reason


BOTH = """
static inline unsigned char inb(unsigned short port)
{ unsigned char v; asm volatile("in {%1, %0|%0, %1}" : "=a"(v) : "Nd"(port)); return v; }
struct table { unsigned short limit; unsigned base; } __attribute__((packed));
unsigned f(struct table *p, unsigned *q) {
  unsigned v; asm volatile("{pushfl|pushfd}; pop %0" : "=r"(v));
  asm volatile("cli"); asm volatile("sti; hlt" ::: "memory");
  asm volatile("lgdt %0" :: "m"(*p)); asm volatile("lidt %0" :: "m"(p[v & 3]));
  asm volatile("mov {%0, %%cr3|cr3, %0}" :: "r"(v));
  asm volatile("mov {%%ds, %0|%0, ds}" : "=m"(*(short *)q));
  asm volatile("mov {%0, %%es|es, %0}" :: "rm"(*(short *)q));
  asm volatile("out{b %b0, %w1| %w1, %b0}" :: "a"(v), "Nd"(0x60));
  asm volatile("lar {%1, %0|%0, %1}" : "=r"(v) : "m"(*(short *)q));
  asm volatile("ljmp {%0, $1f|%0, 1f}\\n1:" :: "i"(8));
  return v + inb(0x60) + inb(v);
}
"""


@pytest.mark.parametrize("level", ["-O0", "-O2", "-Os"])
def test_alternatives_compile_to_the_same(level: str, tmp_path: Path) -> None:
    """One ported source, compiled for either dialect."""
    ported = port_c(BOTH, "x.c")
    assert all(site.treatment == "ported" for site in ported.sites)
    (tmp_path / "ring3.h").write_text(macro_files.header(site.item.macro for site in ported.sites))
    (tmp_path / "x.c").write_text('#include "ring3.h"\n' + ported.text)
    listings = []
    for dialect in ("att", "intel"):
        subprocess.run(["gcc", "-m32", level, "-ffreestanding", "-fno-pie", f"-masm={dialect}", "-c", "x.c"],
                       cwd=tmp_path, check=True)
        code = subprocess.run(["objdump", "-dr", "x.o"], cwd=tmp_path, capture_output=True, text=True, check=True)
        assert not re.search(r"\t(?:cli|sti|hlt|lgdt|lidt|in|out|lar|ljmp)\b", code.stdout)
        listings.append(code.stdout)
    assert listings[0] == listings[1]
