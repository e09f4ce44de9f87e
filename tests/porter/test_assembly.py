"""Assembly files: what must survive a port, context that statements stand in, and errors."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porter.asm_port import port_assembly
from porter.errors import PortError
from porter.rewrite import Lines
from porter.source_port import port_header, port_source
from tests.porter.toolchain import assemble, disassemble, with_macros

PRESERVED = [
    # (before, after): layout, comments and everything around the instruction stay.
    ("  cli\t\t# off\n", "  r3_cli\t\t# off\n"),
    ("a: b: cli; hlt /* x */; ret\n", "a: b: r3_cli; r3_hlt /* x */; ret\n"),
    ("1:\tmovl\t%eax,\t%cr0\t# cli\n", "1:\tr3_write_cr0\t%eax\t# cli\n"),
    ("\t/* cli\n\t   hlt */ cli\n", "\t/* cli\n\t   hlt */ r3_cli\n"),
    ("# don't\n\tcli\n# can't\n", "# don't\n\tr3_cli\n# can't\n"),
    ("\tmovb $';, %al; cli\n", "\tmovb $';, %al; r3_cli\n"),
    ("\tmovb $'\\'', %al; cli\n", "\tmovb $'\\'', %al; r3_cli\n"),
    ("\t.ascii \"a;cli\\\"\"; cli\n", "\t.ascii \"a;cli\\\"\"; r3_cli\n"),
    ("\tcli\r\n\thlt\r\n", "\tr3_cli\r\n\tr3_hlt\r\n"),
    ("\trep\rinsl\r\n", "\tr3_rep_insl\r\n"),  # a blank, to the assembler
    ("\tmov %\rds, %ax\n\tcall\r$8, $3\n", "\tr3_store_ds %ax\n\tr3_lcall\r$8, $3\n"),
    ("\tjmp /* far */ $8, $1f\n1:\n", "\tr3_ljmp /* far */ $8, $1f\n1:\n"),
    ("\tmov %/* data */ds, %ax\n", "\tr3_store_ds %ax\n"),
    ("\tcli", "\tr3_cli"),
    ("cli", "r3_cli"),
    ("\tnop\n\xe9: cli # \xff\n", "\tnop\n\xe9: r3_cli # \xff\n"),
    ("\tlock; incl x; cli\n", "\tlock; incl x; r3_cli\n"),
    ("/ a comment; cli\n\tcli\n", "/ a comment; cli\n\tr3_cli\n"),
    (".macro m\n\tcli\n\thlt\n.endm\n", ".macro m\n\tr3_cli\n\tr3_hlt\n.endm\n"),
    (".rept 2\n\tcli\n.endr\n", ".rept 2\n\tr3_cli\n.endr\n"),
    (".section .setup,\"ax\"; cli\n", ".section .setup,\"ax\"; r3_cli\n"),
]


@pytest.mark.parametrize(("before", "after"), PRESERVED)
def test_what_surrounds_an_instruction_stays(before: str, after: str) -> None:
    assert port_assembly(before, "x.s").text == after


PAIRS = [
    # sti directly followed by hlt is one operation, with as many lines as before.
    ("\tsti; hlt\n", "\tr3_sti_hlt\n"),
    ("\tsti\n\thlt\n\tret\n", "\tr3_sti_hlt\n\t\n\tret\n"),
    ("\tsti\n# 9 \"a.c\" 1\n\thlt\n", "\tr3_sti_hlt\n# 9 \"a.c\" 1\n\t\n"),
    ("\tsti\n\t.loc 1 2 3\n.LVL7:\n\thlt\n", "\tr3_sti_hlt\n\t.loc 1 2 3\n.LVL7:\n\t\n"),
    # A label that code may jump to keeps them apart, and so does an instruction.
    ("\tsti\n1:\thlt\n", "\tr3_sti\n1:\tr3_hlt\n"),
    ("\tsti\n.L3:\n\thlt\n", "\tr3_sti\n.L3:\n\tr3_hlt\n"),
    ("\tsti; nop; hlt\n", "\tr3_sti; nop; r3_hlt\n"),
    ("\tcli; hlt\n", "\tr3_cli; r3_hlt\n"),
    # A prefix may be a statement of its own.
    ("\trep; insl\n", "\tr3_rep_insl\n"),
    ("\tcld; rep ; outsb\n", "\tcld; r3_rep_outsb\n"),
    ("\trep\n\tinsw\n", "\t\n\tr3_rep_insw\n"),
    ("\trep; outsb %fs:(%esi),%dx\n", "\tr3_rep_outsb %fs\n"),
    ("\tss; gs; outsl\n", "\tr3_outsl %gs\n"),
    ("\tgs; ss; outsl\n", "\tr3_outsl %ss\n"),
    ("\trep; movsl; insl\n", "\trep; movsl; r3_insl\n"),
]


@pytest.mark.parametrize(("before", "after"), PAIRS)
def test_operations_of_two_statements(before: str, after: str, tmp_path: Path) -> None:
    ported = port_assembly(before, "x.s")
    assert ported.text == after
    assert ported.text.count("\n") == before.count("\n")
    assemble(with_macros(".file 1 \"a.c\"\n" + ported.text), tmp_path)


def test_text_without_sensitive_instructions_is_the_same_string() -> None:
    text = "\tmovl %eax, %ecx\n\tcall printf\n\trep movsl\n\tmovl %gs:20, %eax\n" * 50
    assert port_assembly(text, "x.s").text is text


@pytest.mark.parametrize("text", ["\trep; cli\n", "\tgs; bnd; invpcid (%eax),%ecx\n"])
def test_prefixes_that_make_something_else_are_told(text: str) -> None:
    ported = port_assembly(text, "x.s")
    assert ported.text == text
    assert [site.treatment for site in ported.sites] == ["left"]


def test_porting_twice_changes_nothing() -> None:
    text = "".join(before for before, _ in PRESERVED + PAIRS) + "\n"
    once = port_assembly(text, "x.s")
    assert port_assembly(once.text, "x.s") == (once.text, ())


def test_macros_argument_registers_are_resolved_by_the_assembler(tmp_path: Path) -> None:
    text = (".macro both reg, value\n\tmov \\value, %\\reg\n\tmovl %\\reg, \\value\n\tpush %\\reg\n.endm\n"
            "\tboth ds, %eax\n\tboth cr3, %ecx\n\tboth ebx, %ecx\n".replace("\tboth cr3, %ecx\n", ""))
    ported = port_assembly(text, "x.s")
    assert ported.text.count("r3_resolve mov") == 2
    got = disassemble(assemble(with_macros(ported.text), tmp_path, "ported"))
    expected = disassemble(assemble(with_macros(
        "\tr3_load_ds %eax\n\tr3_store_ds %eax\n\tr3_push_ds\n\tmov %ecx,%ebx\n\tmovl %ebx,%ecx\n\tpush %ebx\n"),
        tmp_path, "expected"))
    assert got == expected


def test_macros_that_get_no_such_register_stay() -> None:
    text = ".macro m a\n\tmov \\a, %eax\n.endm\n\tm %ecx\n\tmov %eax, %ds\n"
    assert port_assembly(text, "x.s").text == text.replace("mov %eax, %ds", "r3_load_ds %eax")


def test_alternate_macro_mode_does_not_evaluate_registers(tmp_path: Path) -> None:
    ported = port_assembly(".altmacro\n\tmov %eax,%cr3\n.noaltmacro\n\tmov %eax,%cr3\n", "x.s")
    code = disassemble(assemble(with_macros(ported.text), tmp_path))
    assert len(code) == 4
    assert code[:2] == code[2:]


def test_16_bit_code_is_left_and_reported() -> None:
    text = ".code16\n\tcli\n\tlgdt x\n.code32\n\tcli\n.code64; cli\n.code32\n\thlt; .code16gcc; hlt\n"
    ported = port_assembly(text, "x.s")
    assert ported.text == text.replace(".code32\n\tcli", ".code32\n\tr3_cli").replace("\thlt;", "\tr3_hlt;")
    reasons = [(site.line, site.item.reason[:6]) for site in ported.sites if site.treatment == "left"]
    assert reasons == [(2, "16-bit"), (3, "16-bit"), (6, "64-bit"), (8, "16-bit")]


def test_each_branch_of_a_conditional_starts_in_the_state_before_it() -> None:
    text = ("\tmov %esp, %ebp\n.code16\n#if A\n.code32\n# if B\n.code64\n\tcli\n# else\n\tcli\n# endif\n\tcli\n"
            "#else\n\tcli\n#endif\n\tcli\n")
    ported = port_source(text, "x.S")
    assert [(site.line, site.treatment) for site in ported.sites] == [
        (7, "left"), (9, "ported"), (11, "ported"), (13, "left"), (15, "ported")]


@pytest.mark.parametrize("definition", [
    ".set port, %dx", ".SET port,%dx", "port = %dx", "port==%dx", "nop; port = %dx", "x:\tport=%dx",
    ".equ port, /**/ %dx",
    ".set first, %dx\n.set port, first", "first = %dx\nsecond = first\nport = second",
])
def test_symbols_that_stand_for_registers_are_reported(definition: str, tmp_path: Path) -> None:
    text = f"{definition}\n\tinb port, %al\n"
    ported = port_assembly(text, "x.s")
    assert disassemble(assemble(text, tmp_path))[-1] == "in (%dx),%al"
    assert ported.text == text
    assert [(site.text, site.treatment) for site in ported.sites] == [("inb port, %al", "left")]


def test_words_in_strings_are_no_such_symbols() -> None:
    ported = port_assembly('\t.string "port=%dx"\n\tlgdt port\n', "x.s")
    assert ported.text == '\t.string "port=%dx"\n\tr3_lgdt port\n'


@settings(max_examples=50)
@given(lengths=st.lists(st.sampled_from([0, 1, 7, 80, 4094, 4095, 4096, 9000]), min_size=1, max_size=9))
def test_lines_and_columns(lengths: list[int]) -> None:
    text = "\n".join("x" * length for length in lengths)
    lines = Lines(text)
    start = 0
    for line, length in enumerate(lengths, 1):
        for column in {1, length // 2 + 1, length + 1}:
            assert lines(start + column - 1) == (line, column)
        start += length + 1


MNEMONICS_PASSED = [
    (".macro one insn\n\t\\insn\n.endm\n\tone cli # in here\n\tone nop\n", {"one cli"}),
    (".macro two a, insn:req\n\tnop; \\insn \\a\n.endm\n\ttwo (%eax), LGDT\n\ttwo %eax, notl\n", {"two (%eax), LGDT"}),
    (".macro kept insn\n\tmov \\insn, %eax\n.endm\n\tkept str\n", set()),
    (".macro text insn\n\t\\insn\n.endm\n\ttext \"lidt (%eax)\"\n", {'text "lidt (%eax)"'}),
    (".macro name insn=nop\n1:\trep \\insn\n.endm\n\tname insn=insl\n", {"name insn=insl"}),
    ("\t.irp insn, cli, nop\n\t\\insn\n\t.endr\n", {".irp insn, cli, nop"}),
    (".MACRO Upper insn\n\t\\insn\n.ENDM\n\tUPPER cli\n", {"UPPER cli"}),
    (".macro to insn\n\t\\insn %eax, %cr3\n\t\\insn %fs:4, %eax\n.endm\n", {"\\insn %eax, %cr3"}),
]


@pytest.mark.parametrize(("text", "expected"), MNEMONICS_PASSED)
def test_mnemonics_that_are_macro_arguments_are_reported(text: str, expected: set[str]) -> None:
    for port in (port_assembly, port_source):
        ported = port(f"{text}\tmov %esp, %ebp\n", "x.S")
        assert ported.text.startswith(text)
        assert {site.text for site in ported.sites if site.treatment == "left"} == expected
        assert all("macro argument" in site.item.reason for site in ported.sites)
        for site in ported.sites:
            assert text.splitlines()[site.line - 1][site.column - 1:].startswith(site.text)


@pytest.mark.parametrize(("text", "place", "detail"), [
    ("\tnop\n.intel_syntax noprefix\n\tmov cr0, [eax\n\tcli\n", "x.s:3:", "cannot parse `mov cr0, [eax`"),
    ("\tnop\n\tcli)\n", "x.s:2:5:", "cannot parse `cli)`"),
    ("\tnop\n  movl (%eax, %cr0\n", "x.s:2:", "cannot parse `movl (%eax, %cr0`"),
])
def test_errors_name_the_place_and_the_text(text: str, place: str, detail: str) -> None:
    with pytest.raises(PortError) as error:
        port_assembly(text, "x.s")
    message = str(error.value)
    assert message.startswith(place)
    assert detail in message
    assert "\n" not in message


def test_lines_of_debug_information_stay(tmp_path: Path) -> None:
    source = "\n".join(["f:", "\tnop", "\tpushf", "\tmovw %ax, %ds", "\tsti", "\thlt", "\trep; insl", "\tret"]) + "\n"
    marked = f'# 1 "x.s"\n{port_assembly(source, "x.s").text}'
    target = tmp_path / "x.o"
    subprocess.run(["as", "--32", "-g", "-o", str(target), "-"], input=with_macros(marked), text=True, check=True)
    dump = subprocess.run(["objdump", "-dl", str(target)], capture_output=True, text=True, check=True).stdout
    lines = [int(line) for line in re.findall(r"x\.s:(\d+)", dump)]
    assert sorted(set(lines)) == [2, 3, 4, 5, 7, 8]
    assert lines == sorted(lines)


SOURCES = [
    ("#define CLI cli\n", "#define CLI r3_cli\n"),
    ("#define SAVE \\\n\tpushl %ds; \\\n\tpushl %es /* x */\n",
     "#define SAVE \\\n\tr3_push_ds; \\\n\tr3_push_es /* x */\n"),
    ("#define CALL(name) \\\n name: movl $SYS_ ## name, %eax; \\\n int $T; \\\n ret\n",
     "#define CALL(name) \\\n name: movl $SYS_ ## name, %eax; \\\n r3_int $T; \\\n ret\n"),
    ("#if 0 // cli\n\tcli // off\n#endif\n\tlgdt (%eax)\n",
     "#if 0 // cli\n\tr3_cli // off\n#endif\n\tr3_lgdt (%eax)\n"),
    ("/* cli; */ cli; movl %eax, %cr3\n", "/* cli; */ r3_cli; r3_write_cr3 %eax\n"),
    ("#include \"cli.h\"\n\tmovw %ax, %ss\n", "#include \"cli.h\"\n\tr3_load_ss %ax\n"),
    ("#define N 4 # cli\n\tmov %eax, %cr0\n", "#define N 4 # cli\n\tr3_write_cr0 %eax\n"),
    ("#define STR(name) .asciz #name\n\tSTR(cli)\n\tstr (%eax)\n",
     "#define STR(name) .asciz #name\n\tSTR(cli)\n\tr3_str (%eax)\n"),
    ("#define in 3\n#define X (in)\n\tmov $X, %eax\n", "#define in 3\n#define X (in)\n\tmov $X, %eax\n"),
]


@pytest.mark.parametrize(("before", "after"), SOURCES)
def test_source_to_be_preprocessed(before: str, after: str) -> None:
    touched = "\tmov %esp, %ebp\n"  # names an i386 register
    assert port_source(before + touched, "x.S").text == after + touched
    assert port_source(after + touched, "x.S").text == after + touched


def test_source_of_another_processor_is_left() -> None:
    for text in ("\tstr r0, [r1] @ it's hlt; in fact\n", "\tldi r16, 3\n\tcli\n"):
        ported = port_source(text, "x.S")
        assert ported.text == text
        assert all("another processor" in site.item.reason for site in ported.sites)


def test_header_shared_with_c() -> None:
    text = ("#ifdef __ASSEMBLER__\n#define SAVE pushl %ds; cli\n.macro off\n\tcli\n.endm\n#else\n"
            "static inline void f(void) { lgdt(p); }\nint in(int port);\n\tltr(x);\n#endif\n")
    expected = text.replace("pushl %ds; cli", "r3_push_ds; r3_cli").replace("\tcli\n", "\tr3_cli\n")
    assert port_header(text, "x.h").text == expected
