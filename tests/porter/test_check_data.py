"""Data among code is not taken for code, and code that looks like data is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.binary import survey
from tests.porter import compiled

BYTES = ".byte 0xfa, 0xf4, 0x9c, 0xcf, 0xfa, 0xf4, 0x9c, 0xcf"


def _left(path: Path) -> list[str]:
    return [f"{site.symbol[0]}: {site.text}" if site.symbol else site.text for site in survey(path).left]


def test_string_behind_code(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start: cli
               mov $message, %esi
        1:     jmp 1b
        message: .asciz "lmno: port in use \\372\\364\\234"
        """,
    )
    assert _left(path) == ["start: cli"]


def test_string_behind_a_call_that_does_not_return(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start: call panic
        .asciz "no memory left"
        panic: cli
        1:     hlt
               jmp 1b
        """,
    )
    assert _left(path) == ["panic: cli", "panic: hlt"]


def test_object_symbol_covers_its_bytes(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        f"""
        .globl start
        start: mov table, %eax
               ret
        .type table, @object
        table: {BYTES}
        .size table, . - table
        """,
    )
    result = survey(path)
    assert not result.left
    assert not result.unreached


def test_code_in_an_object_symbol_is_found_where_flow_leads_there(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start: jmp stub
        .type stub, @object
        stub: .byte 0xfa, 0xc3
        .size stub, . - stub
        """,
    )
    assert _left(path) == ["stub: cli"]


def test_label_that_code_reads_is_data(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start: lgdt pointer
               movzbl masks(%eax), %ecx
               ret
        masks: .byte 0xfa, 0xfb, 0x9c, 0x9d, 0x90, 0x90, 0x90, 0xc3
        pointer: .word 0x17
               .long 0x1ffa
        """,
    )
    result = survey(path)
    assert [site.text.split()[0] for site in result.left] == ["lgdt"]
    assert "cli" in {site.text for site in result.unreached}


def test_descriptor_table_and_boot_header(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start, header, table
        header: .long 0x1badb002, 0, -0x1badb002
        start:  mov $table, %eax
                cli
        1:      jmp 1b
        .p2align 3
        table:  .quad 0
                .word 0xffff, 0
                .byte 0, 0x9a, 0xcf, 0
                .word 0xffff, 0
                .byte 0, 0x92, 0xcf, 0
        """,
    )
    assert _left(path) == ["start: cli"]


@pytest.mark.parametrize(
    "header",
    [
        ".long 0x1badb002, 3, -0x1badb005",
        ".long 0x1badb002, 0x10000, -0x1badb002 - 0x10000, 0x100000, 0x100000, 0, 0, 0xfafafafa",
        ".long 0x1badb002, 4, -0x1badb006, 0, 0, 0, 0, 0, 0, 0xf4fa, 0xf4fa, 0x9cfa",
        ".long 0xe85250d6, 0, 24, -0xe85250d6 - 24; .word 0, 0; .long 8",
    ],
)
def test_boot_header_is_no_hint_either(tmp_path: Path, header: str) -> None:
    result = survey(compiled.kernel(tmp_path, f".globl start\nheader: {header}\nstart: cli\nret\n"))
    assert [site.text for site in result.left] == ["cli"]
    assert not result.unreached


def test_table_of_labels(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start:  jmp *handlers(,%eax,4)
        handlers: .long one, two, three
        one:    cli
                ret
        two:    sti
                ret
        three:  hlt
                ret
        """,
    )
    assert _left(path) == ["one: cli", "two: sti", "three: hlt"]


def test_switch_table_in_the_text_section(tmp_path: Path) -> None:
    source = """
    int select(int what)
    {
        switch (what) {
        case 0: __asm__ volatile("cli"); return 7;
        case 1: __asm__ volatile("sti"); return 5;
        case 2: __asm__ volatile("hlt"); return 3;
        case 3: __asm__ volatile("clts"); return 2;
        case 4: __asm__ volatile("wbinvd"); return 9;
        default: return what;
        }
    }
    int start(int what) { return select(what + 1) + 1; }
    """
    script = """
    ENTRY(start)
    SECTIONS { . = 0x9c00fa00; .text : { *(.text*) *(.rodata*) } .data : { *(.data*) *(.bss*) } }
    """
    path = compiled.kernel(tmp_path, source, "-O2", "-fno-inline", name="part.c", script=script)
    result = survey(path)
    assert sorted(site.text for site in result.left) == ["cli", "clts", "hlt", "sti", "wbinvd"]
    assert not result.unreached


def test_constants_of_c_code_in_the_text_section(tmp_path: Path) -> None:
    source = r"""
    static const unsigned char bytes[] = {0xfa, 0xf4, 0x9c, 0xcf, 0xfa, 0xf4, 0x9c, 0xc3};
    static const char *const names[] = {"nul", "lo", "insl", "outs l m n o"};
    int put(const char *text, int value);
    int start(int i) { put(names[i & 3], bytes[i & 7]); put("\xfa\xf4\x9c", 1); return put("%d", i); }
    int put(const char *text, int value) { return text[value]; }
    """
    script = """
    ENTRY(start)
    SECTIONS { . = 0x100000; .text : { *(.text*) *(.rodata*) } .data : { *(.data*) *(.bss*) } }
    """
    path = compiled.kernel(tmp_path, source, "-O2", "-fno-inline", name="part.c", script=script)
    assert not survey(path).left


def test_linked_blob_is_not_code(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(b"\xfa\xf4\x9c\xcf" * 8)
    source = compiled.compile_object(tmp_path, ".globl start\nstart: mov $_binary_blob_start, %eax\nret\n")
    blob = tmp_path / "blob.o"
    compiled.run("ld", "-m", "elf_i386", "-r", "-b", "binary", "blob", "-o", str(blob), folder=tmp_path)
    result = survey(compiled.link(tmp_path, [source, blob]))
    assert not result.left
    assert not result.unreached


def test_instructions_written_as_data_are_found(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start: .byte 0xfa
               .long 0xc0200f90
               .byte 0xeb, 1, 0xe8
               .byte 0xfb, 0xc3
        """,
    )
    assert _left(path) == ["start: cli", "start: mov eax, cr0", "start: sti"]


@pytest.mark.parametrize("data", ['.asciz "hello, world"', ".space 16", ".long start, start, start"])
def test_unlabelled_data_inside_a_sized_function(tmp_path: Path, data: str) -> None:
    path = compiled.kernel(
        tmp_path,
        f"""
        .globl start
        .type start, @function
        start: jmp 1f
               {data}
        1:     sti
               ret
        .size start, . - start
        """,
    )
    assert _left(path) == ["start: sti"]
