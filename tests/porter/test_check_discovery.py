"""Code is found wherever the file shows it to be."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from porter.binary import scan, survey
from porter.binary.code import Evidence
from tests.porter import compiled

HIGH = """
ENTRY(start)
SECTIONS
{
    . = 0xc0100000;
    .text : AT(0x100000) { *(.text*) }
    .data : AT(ADDR(.data) - 0xc0000000) { *(.data*) *(.bss*) }
}
"""


def _texts(path: Path) -> list[str]:
    return [site.text for site in survey(path).left]


def test_entry_and_far_jump_by_load_address(tmp_path: Path) -> None:
    script = HIGH.replace("ENTRY(start)", "ENTRY(physical)\nphysical = start - 0xc0000000;")
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        .byte 0x66
        start: cli
               ljmp $8, $(1f - 0xc0000000)
        .byte 0xe9
        1:     mov $(2f - 0xc0000000), %ecx
               mov $3, %eax
               jmp *%ecx
        .byte 0xe9
        2:     clts
               ret
        """,
        script=script,
    )
    assert [text.split()[0] for text in _texts(path)] == ["cli", "ljmp", "clts"]
    sites = scan(path)
    assert sites[0].address == 0xC0100001
    assert sites[0].physical == 0x100001
    assert path.read_bytes()[sites[0].file_offset] == 0xFA


@pytest.mark.parametrize(
    "jump",
    [
        "mov $1f, %eax; jmp *%eax",
        "lea 1f, %edx; jmp *%edx",
        "push $1f; ret",
        "push $8; push $1f; lret",
        "pushl $8; pushl $1f; iret",
    ],
)
def test_computed_jump_to_a_place_without_symbol(tmp_path: Path, jump: str) -> None:
    path = compiled.kernel(tmp_path, f".globl start\nstart: {jump}\n.byte 0xe9\n1: wbinvd\nret\n")
    site = survey(path).left[-1]
    assert (site.text, site.evidence) == ("wbinvd", Evidence.FLOW)


def test_register_that_was_changed_is_not_followed(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start: mov $table, %eax
               mov (%eax,%ebx,4), %eax
               jmp *%eax
        .type table, @object
        table: .long 0x9090fafa, 0xc3c3fafa
        .size table, . - table
        """,
    )
    assert not _texts(path)


def test_labels_that_only_a_table_in_data_names(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start:   ret
        vector0: push $0
                 push $0
                 jmp common
        vector1: push $0
                 push $1
                 jmp common
        common:  push %ds
                 iret
        .data
        vectors: .long vector0, vector1
        """,
    )
    assert [text.split()[0] for text in _texts(path)] == ["push", "iretd"]
    assert {site.evidence for site in survey(path).left} == {Evidence.SYMBOL}


def test_pointer_to_code_without_symbol(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start: mov vector, %eax
               call *%eax
               ret
        .p2align 4
        .Lhidden: cli
               mov %eax, %ecx
               ret
        .data
        vector: .long .Lhidden
        """,
    )
    site = survey(path).left[0]
    assert (site.text, site.evidence) == ("cli", Evidence.REFERENCE)


_SUMS = ("add", "or", "adc", "sbb", "and", "sub", "xor", "cmp", "mov", "test")
_VARIED = "".join(f"{name} %eax, %ecx; " for name in _SUMS)


@pytest.mark.parametrize(("filling", "found"), [
    (_VARIED + "jz 2f; inc %eax; dec %ecx; push %eax; pop %ecx; cltd; nop; 2: js 2b", True),
    ("inc %eax", False), (".byte 0x74, 0x10", False),
])  # fmt: skip
def test_much_code_that_only_a_pointer_names(tmp_path: Path, filling: str, found: bool) -> None:
    """More than is looked at to tell it from data: what decodes because it is the same all over says nothing."""
    path = compiled.kernel(
        tmp_path,
        f"""
        .globl start
        start: mov vector, %eax
               call *%eax
               ret
        .Lhidden: cli
               .rept 5000
               {filling}
               .endr
               ret
        .data
        vector: .long .Lhidden
        """,
    )
    subprocess.run(["strip", path], check=True)
    here = survey(path)
    assert ("cli", Evidence.REFERENCE) in [(site.text, site.evidence) for site in here.left] or not found
    assert found or Evidence.REFERENCE not in {site.evidence for site in here.left}


def test_stripped_file(tmp_path: Path) -> None:
    source = """
    static int twice(int x) { __asm__ volatile("cli"); return 2 * x; }
    static int thrice(int x) { __asm__ volatile("sti"); return 3 * x; }
    int (*volatile table[2])(int);
    void init(int i) { __asm__ volatile("clts"); table[i & 1] = i ? twice : thrice; }
    int start(int i) { init(i); return table[i & 1](i); }
    """
    path = compiled.kernel(tmp_path, source, "-O2", "-fno-inline", name="part.c")
    expected = _texts(path)
    subprocess.run(["strip", path], check=True)
    assert _texts(path) == expected
    assert len(expected) == 3


def test_file_without_section_headers(tmp_path: Path) -> None:
    path = compiled.kernel(tmp_path, ".globl start\nstart: cli\n1: jmp 1b\n")
    data = bytearray(path.read_bytes())
    data[32:36] = bytes(4)  # e_shoff
    data[46:52] = bytes(6)  # e_shentsize, e_shnum, e_shstrndx
    path.write_bytes(data)
    site = survey(path).left[0]
    assert (site.text, site.symbol) == ("cli", None)


def test_unreached_bytes_are_only_a_hint(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start: ret
        .byte 0xfa, 0xc3
        """,
    )
    result = survey(path)
    assert not result.left
    assert [(site.text, site.evidence) for site in result.unreached] == [("cli", Evidence.NONE)]
    assert not scan(path)


BOOT = """
.code16
.globl start
start:  cli
        xor %ax, %ax
        mov %ax, %ds
wait:   in $0x64, %al
        test $2, %al
        jnz wait
        lgdt pointer
        mov %cr0, %eax
        or $1, %eax
        mov %eax, %cr0
        {jump}
.code32
protected: mov $0x10, %ax
        mov %ax, %ss
1:      jmp 1b
.p2align 2
table:  .quad 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
pointer: .word 23
        .long table
"""


@pytest.mark.parametrize("jump", ["ljmp $8, $protected", "ljmpl $8, $protected"])
def test_real_mode_start_is_told_apart(tmp_path: Path, jump: str) -> None:
    part = compiled.compile_object(tmp_path, BOOT.format(jump=jump))
    path = compiled.link(tmp_path, [part], "-Ttext=0x7c00")
    result = survey(path)
    protected = compiled.address_of(path, "protected")
    assert result.real_mode == [(".text", 0x7C00, protected)]
    assert not result.left
    assert result.after_real_mode == [(".text", protected, protected + 8)]


OTHER_WAYS = {
    "an exported label": (".globl protected", ""),
    "a call": ("", ".globl run\n.type run, @function\nrun: call protected\nret"),
    "a pointer": ("", ".data\n.p2align 2\n.long protected"),
}


@pytest.mark.parametrize(("head", "tail"), OTHER_WAYS.values(), ids=OTHER_WAYS.keys())
def test_code_behind_real_mode_counts_where_anything_else_leads_to_it(tmp_path: Path, head: str, tail: str) -> None:
    part = compiled.compile_object(tmp_path, head + BOOT.format(jump="ljmp $8, $protected") + tail)
    result = survey(compiled.link(tmp_path, [part], "-Ttext=0x7c00"))
    assert "mov ss, eax" in [site.text for site in result.left]
    assert result.real_mode and not result.after_real_mode


def test_trampoline_that_is_a_function_of_known_size(tmp_path: Path) -> None:
    body = BOOT.replace(".p2align", ".type start, @function\n.size start, . - start\n.p2align").format(
        jump="ljmp $8, $protected")
    path = compiled.link(tmp_path, [compiled.compile_object(tmp_path, body)], "-Ttext=0x7c00")
    result = survey(path)
    assert not result.left
    assert result.real_mode and result.after_real_mode


def test_trampoline_that_runs_from_a_copy_is_told_apart(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start:  ret
        .skip 5, 0x90
        .code16
        trampoline: ljmp $0, $(0x4000 + 1f - trampoline)
        .p2align 2
        table:  .quad 0, 0x00cf9a000000ffff
        pointer: .word 15
                .long 0x4000 + table - trampoline
        1:      lgdt (0x4000 + pointer - trampoline)
                mov %cr0, %eax
                or $1, %eax
                mov %eax, %cr0
                ljmpl $8, $(0x4000 + protected - trampoline)
        .code32
        protected: clts
        2:      jmp 2b
        """,
    )
    result = survey(path)
    start, end = (compiled.address_of(path, name) for name in ("trampoline", "protected"))
    assert result.real_mode == [(".text", start, end)]
    assert not result.left
    assert result.after_real_mode == [(".text", end, end + 4)]


def test_protected_mode_code_that_enables_paging_is_not_real_mode(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        ".globl start\nstart: mov %cr0, %eax\nor $0x80000000, %eax\nmov %eax, %cr0\nljmp $8, $1f\n1: cli\nret\n",
    )
    result = survey(path)
    assert not result.real_mode
    assert [site.text.split()[0] for site in result.left] == ["mov", "mov", "ljmp", "cli"]


def test_scan_gives_what_must_be_replaced(tmp_path: Path) -> None:
    path = compiled.kernel(tmp_path, ".globl start\nstart: cli\npushf\nrdtsc\nint $0x40\nint $0x80\niret\n")
    found = [(site.text, site.traps) for site in scan(path)]
    assert found == [("cli", True), ("pushfd", False), ("int 0x40", True), ("int 0x80", True), ("iretd", False)]
    data = path.read_bytes()
    for site in scan(path):
        assert data[site.file_offset : site.file_offset + site.length] == site.code
        assert site.physical == site.address


# Without paging, or without NX, a processor runs what lies in sections that are not marked as code.
UNMARKED = """
.section .setup, "a"
.globl start
.long 0x0badf00d
start:  cli
        ljmp $8, $higher
        .asciz "words, not instructions"
.text
.globl higher
higher: {higher}
.data
table:  .long 0xfafafafa, 0xf4f4f4f4
        .byte 0xfa, 0xf4, 0xc3
later:  lgdt table
        {later}
"""


@pytest.mark.parametrize(
    ("higher", "later", "names"),
    [
        ("jmp later", "ret", ["cli", "ljmp", "lgdt"]),
        ("call later; 1: jmp 1b", "clts; ret", ["cli", "ljmp", "lgdt", "clts"]),
        ("mov $later, %eax; jmp *%eax", "ret", ["cli", "ljmp", "lgdt"]),
        ("1: jmp 1b; handler: sti; jmp later", "ret", ["cli", "ljmp", "sti", "lgdt"]),
        ("mov later, %eax; ret", "ret", ["cli", "ljmp"]),
    ],
)
def test_flow_into_sections_that_are_not_marked_as_code(
    tmp_path: Path, higher: str, later: str, names: list[str]
) -> None:
    path = compiled.kernel(tmp_path, UNMARKED.format(higher=higher, later=later))
    sites = {site.address: site for site in survey(path).left}
    in_order = sorted(sites.values(), key=lambda site: (".setup", ".text", ".data").index(site.section))
    assert [site.text.split()[0] for site in in_order] == names


def test_file_whose_only_code_is_not_marked_as_such(tmp_path: Path) -> None:
    path = compiled.kernel(tmp_path, '.section .setup, "a"\n.globl start\nstart: cli\n1: jmp 1b\n')
    assert _texts(path) == ["cli"]


def test_function_in_a_section_that_is_not_marked_as_code(tmp_path: Path) -> None:
    path = compiled.kernel(
        tmp_path,
        """
        .globl start
        start: ret
        .data
        .type handler, @function
        handler: cli
                 iret
        """,
    )
    assert _texts(path) == ["cli", "iretd"]
