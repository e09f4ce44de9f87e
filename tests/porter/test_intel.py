"""GAS's Intel syntax in assembly files: every row of the catalogue, and what surrounds it."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porter.asm_port import port_assembly
from porter.binary import survey
from porter.c_port import port_c
from porter.catalogue import INTEL_SPELLINGS
from porter.errors import PortError
from porter.generated import port_generator
from tests.porter.intel_spellings import ORDINARY, PORTED
from tests.porter.spellings import LONG_MODE
from tests.porter.toolchain import assemble, contents, with_intel_macros, with_macros

CASES = [tuple(part.strip() for part in re.split("->|==", line)) for line in PORTED.strip().splitlines()]
SYMBOL = ".set SYM,0x34\n"
NAKED = ".intel_syntax noprefix\n"


def _ids(value: str) -> str:
    return value.replace(" ", "_")


@pytest.mark.parametrize(("written", "expected", "att"), CASES, ids=_ids)
def test_each_spelling(written: str, expected: str, att: str, tmp_path: Path) -> None:
    text = f"{NAKED}\t{written}\n"
    ported = port_assembly(text, "x.s")
    unchanged = expected in ("left", "same")
    assert ported.text == (text if unchanged else f"{NAKED}\t{expected}\n")
    treatments = [site.treatment for site in ported.sites]
    assert treatments in {"same": ([],), "left": (["left"], ["stays"])}.get(expected, (["ported"],))
    # As unported so ported: the bytes of the same instruction in AT&T syntax.
    assert contents(assemble(SYMBOL + text, tmp_path)) == contents(assemble(f"{SYMBOL}\t{att}\n", tmp_path, "att"))
    theirs = port_assembly(f"\t{att}\n", "x.s")
    assert contents(assemble(with_intel_macros(SYMBOL + ported.text), tmp_path)) == contents(
        assemble(with_macros(SYMBOL + theirs.text), tmp_path, "att"))
    assert [site.item.row.group for site in ported.sites] == [site.item.row.group for site in theirs.sites]


@pytest.mark.parametrize("written", ORDINARY.strip().splitlines(), ids=_ids)
def test_ordinary_statements_are_not_touched(written: str, tmp_path: Path) -> None:
    text = f"{NAKED}\t{written}\n"
    assert port_assembly(text, "x.s") == (text, ())
    assemble(text, tmp_path)


def test_the_table_covers_the_catalogue() -> None:
    heads = {re.sub(r"^(?:\{\w+\} *|(?:data16|addr16|rep\w*|[c-gs]s) +)+", "", written.lower()).split()[0]
             for written, _, _ in CASES}
    rows = {row.key for head in heads if head in INTEL_SPELLINGS for row in INTEL_SPELLINGS[head].rows}
    assert {row.key for spelling in INTEL_SPELLINGS.values() for row in spelling.rows} - rows == {"x86-64"}


PRESERVED = [
    ("  cli\t\t# off\n", "  r3i_cli\t\t# off\n"),
    ("a: b: cli; hlt /* x */; ret\n", "a: b: r3i_cli; r3i_hlt /* x */; ret\n"),
    ("1:\tmov\tcr0,\teax\t# cli\n", "1:\tr3i_write_cr0\teax\t# cli\n"),
    ("\tmov al, ';'; cli\n", "\tmov al, ';'; r3i_cli\n"),
    ("\tcli\r\n\thlt\r\n", "\tr3i_cli\r\n\tr3i_hlt\r\n"),
    (".macro m\n\tcli\n\tpush ds\n.endm\n", ".macro m\n\tr3i_cli\n\tr3i_push_ds\n.endm\n"),
    ("\tsti; hlt\n", "\tr3i_sti_hlt\n"),
    ("\tsti\n\thlt\n\tret\n", "\tr3i_sti_hlt\n\t\n\tret\n"),
    ("\tsti\n1:\thlt\n", "\tr3i_sti\n1:\tr3i_hlt\n"),
    ("\trep; insd\n", "\tr3i_rep_insl\n"),
    ("\trep\n\tins word ptr es:[edi], dx\n", "\t\n\tr3i_rep_insw\n"),
    ("\trep; outs dx, byte ptr fs:[esi]\n", "\tr3i_rep_outsb fs\n"),
    ("\tjmp.s 8, ~0\n\tcall ';':8\n", "\tr3i_ljmp 8, ~0\n\tr3i_lcall ';', 8\n"),
    (".att_syntax; mov %eax, %cr0; .intel_syntax noprefix; mov cr0, eax\n",
     ".att_syntax; r3_write_cr0 %eax; .intel_syntax noprefix; r3i_write_cr0 eax\n"),
]


@pytest.mark.parametrize(("before", "after"), PRESERVED)
def test_what_surrounds_an_instruction_stays(before: str, after: str, tmp_path: Path) -> None:
    ported = port_assembly(NAKED + before, "x.s")
    assert ported.text == NAKED + after
    assert port_assembly(ported.text, "x.s") == (ported.text, ())
    assemble(with_intel_macros(ported.text), tmp_path)


def test_registers_of_macro_arguments_are_resolved_by_the_assembler(tmp_path: Path) -> None:
    body = ("\tmov \\reg, \\value\n\tmov \\value, \\reg\n\tmovw ax, \\reg\n\tpush \\reg\n\tpopw \\reg\n"
            "\tmov \\reg, word ptr [ebx + 4]\n")
    for mode, sign in (("noprefix", ""), ("prefix", "%")):
        text = f".intel_syntax {mode}\n.macro all reg, value\n{body}.endm\n\tall ds, eax\n\tall fs, ecx\n"
        text = text.replace("movw ax", f"movw {sign}ax").replace("[ebx", f"[{sign}ebx").replace(
            "all ds, eax", f"all {sign}ds, {sign}eax").replace("all fs, ecx", f"all {sign}fs, {sign}ecx")
        ported = port_assembly(text, "x.s")
        assert ported.text.count("r3i_resolve ") == 6
        expected = "".join(
            f"\tr3_load_{seg} %{value}\n\tr3_store_{seg} %{value}\n\tr3_store_{seg} %ax\n\tr3_push_{seg}\n"
            f"\tr3_popw_{seg}\n\tr3_load_{seg} 4(%ebx)\n" for seg, value in (("ds", "eax"), ("fs", "ecx")))
        assert contents(assemble(with_intel_macros(ported.text), tmp_path)) == contents(
            assemble(with_macros(expected), tmp_path, "expected"))


def test_macro_arguments_that_are_no_sensitive_registers(tmp_path: Path) -> None:
    text = (f"{NAKED}.macro both reg, value:vararg\n\tmov \\reg, \\value\n\tpush \\reg\n.endm\n\tboth ebx, ecx\n"
            "\tboth eax, dword ptr fs:[ebx + 4]\n\tboth eax, cr3\n\tboth edx, offset other\n")
    ported = port_assembly(text, "x.s")
    direct = (f"{NAKED}\tmov ebx, ecx\n\tpush ebx\n\tmov eax, fs:[ebx+4]\n\tpush eax\n\tr3i_read_cr3 eax\n"
              "\tpush eax\n\tmov edx, offset other\n\tpush edx\n")
    assert contents(assemble(with_intel_macros(ported.text), tmp_path)) == contents(
        assemble(with_intel_macros(direct), tmp_path, "direct"))


def test_what_does_not_mean_what_it_seems_to_is_told(tmp_path: Path) -> None:
    text = f"{NAKED}\tjmp 1 + 7:other\n\tljmp offset SYM:8\n"
    ported = port_assembly(text, "x.s")
    assert ported.text == text
    assert [(site.line, site.treatment) for site in ported.sites] == [(2, "left"), (3, "left")]


@pytest.mark.parametrize("text", [
    ".set port, dx\n\tin al, port\n", "control = cr0\n\tmov control, eax\n", ".set port, %dx\n\tin al, port\n",
    ".macro m all:vararg\n\t\\all\n.endm\n\tm mov cr3, eax\n", ".macro m op=cli\n\t\\op\n.endm\n\tm\n"])
def test_instructions_behind_names_are_told(text: str, tmp_path: Path) -> None:
    ported = port_assembly(NAKED + text, "x.s")
    assert ported.text == NAKED + text
    assert [site.treatment for site in ported.sites] == ["left"]
    assemble(ported.text, tmp_path)


def test_registers_in_parentheses_as_macro_arguments(tmp_path: Path) -> None:
    text = f"{NAKED}.macro m reg\n\tmov \\reg, ax\n.endm\n\tm (es)\n\tm (%es)\n"
    ported = port_assembly(text, "x.s")
    assert contents(assemble(with_intel_macros(ported.text), tmp_path)) == contents(
        assemble(with_macros("\tr3_load_es %ax\n\tr3_load_es %ax\n"), tmp_path, "direct"))


def test_without_a_sign_in_att_syntax(tmp_path: Path) -> None:
    text = ".att_syntax noprefix\n\tmov eax, ds\n\tin dx, al\n\tlgdt 4(ebx)\n\tmov cr0, ECX\n\tpush fs\n"
    assert port_assembly(text, "x.s").text == (
        ".att_syntax noprefix\n\tr3_load_ds %eax\n\tr3_in %dx, %al\n\tr3_lgdt 4(ebx)\n\tr3_read_cr0 %ecx\n"
        "\tr3_push_fs\n")
    assemble(with_macros(port_assembly(text, "x.s").text), tmp_path)
    macro = ".att_syntax noprefix\n.macro m reg\n\tmov \\reg, ax\n.endm\n\tm ds\n"
    (site,) = port_assembly(macro, "x.s").sites
    assert site.treatment == "left" and "without %" in site.item.reason


def test_a_symbol_with_a_registers_name(tmp_path: Path) -> None:
    """Where registers need their %, a name without it is memory."""
    text = ".intel_syntax prefix\n\tmov %ds, ax\n\tmov cr0, %eax\n\tmov %cr0, %eax\n"
    ported = port_assembly(text, "x.s")
    assert ported.text == ".intel_syntax prefix\n\tr3i_load_ds [ax]\n\tmov cr0, %eax\n\tr3i_write_cr0 %eax\n"
    expected = "\tr3_load_ds ax\n\tmov %eax, cr0\n\tr3_write_cr0 %eax\n"
    assert contents(assemble(with_intel_macros(ported.text), tmp_path)) == contents(
        assemble(with_macros(expected), tmp_path, "expected"))


def test_code_after_real_mode_is_left_in_either_syntax() -> None:
    text = (f"{NAKED}.code16\nstart:\tcli\n\tmov eax, cr0\n\tjmp 8:later\n.code32\nlater:\tmov cr3, eax\n\thlt\n"
            "\tretf\n.globl enter\nenter:\tcli\n\tiretd\n")
    sites = {(site.line, site.treatment) for site in port_assembly(text, "x.s").sites}
    assert sites == {(3, "left"), (4, "left"), (5, "left"), (7, "left"), (8, "left"), (9, "left"), (11, "ported"),
                     (12, "ported")}


def test_what_a_script_prints_is_reported() -> None:
    sites = port_generator("print '  mov cr0, eax\\n'\nprint '  push ds\\n'\nprint '  mov eax, ecx'\n", "x.py")
    assert [site.text for site in sites] == ["mov cr0, eax", "push ds"]


STATEMENTS = [case[0] for case in CASES] + ORDINARY.strip().splitlines()
SEPARATORS = ["\n", "; ", " # note\n", " /* note\n */ ", "\n1: ", "\n\t", "\r\n",
              "\n.att_syntax\n\tcli\n.intel_syntax noprefix\n"]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(STATEMENTS), st.sampled_from(SEPARATORS)), max_size=12))
def test_porting_is_idempotent_and_keeps_lines(pairs: list[tuple[str, str]]) -> None:
    text = NAKED + "".join(f"{statement}{separator}" for statement, separator in pairs)
    with contextlib.suppress(PortError):
        once = port_assembly(text, "x.s")
        assert once.text.count("\n") == text.count("\n")
        again = port_assembly(once.text, "x.s")
        assert again.text == once.text
        assert all(site.treatment != "ported" for site in again.sites)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="cli hlt[]()\"'\\/*#:;,@mov\n\t\x02\xffraxs0{}|%ptrdwfg=", max_size=80))
def test_no_text_makes_it_fail_otherwise_than_said(noise: str) -> None:
    with contextlib.suppress(PortError):
        ported = port_assembly(NAKED + noise, "x.s")
        assert ported.sites or ported.text == NAKED + noise
    for text in (f'asm("{noise}" ::: "memory");', f'asm("mov eax, {{{noise}|{noise}}}" :);',
                 f'asm("{{{noise}|cli}}" :);'):
        with contextlib.suppress(PortError):
            port_c(text, "x.c")


@pytest.mark.parametrize("written", ["mov rax, cr4", "MOV CR3, R9", "mov cr8, rax", "mov %rax, %cr0"])
def test_long_operands_are_refused(written: str, tmp_path: Path) -> None:
    text = f"{NAKED}\t{written}\n"
    assemble(text.replace(NAKED, f"{NAKED}.code64\n"), tmp_path)
    (site,) = port_assembly(text, "x.s").sites
    assert (site.treatment, site.text) == ("refused", written)


def test_symbols_with_names_of_long_registers_are_memory() -> None:
    """In 32-bit code ``r8`` and ``rax`` are symbols like any other."""
    ported = port_assembly(f"{NAKED}\tmov r8, ds\n\tstr rax\n\tmov eax, rax\n", "x.s").text
    assert ported == f"{NAKED}\tr3i_store_ds r8\n\tr3i_str rax\n\tmov eax, rax\n"


@pytest.mark.parametrize("mnemonic", [name for name in LONG_MODE if name != "movq"])
def test_long_mode_is_refused(mnemonic: str) -> None:
    (site,) = port_assembly(f"{NAKED}\t{mnemonic}\n", "x.s").sites
    assert site.treatment == "refused"


@pytest.mark.parametrize(("written", "expected", "att"), [case for case in CASES if case[1] != "same"], ids=_ids)
def test_source_and_binary_agree_on_what_each_is(written: str, expected: str, att: str, tmp_path: Path) -> None:
    (site,) = port_assembly(f"{NAKED}\t{written}\n", "x.s").sites
    found = survey(assemble(f"{SYMBOL}.globl f\n.type f, @function\n{NAKED}f: {written}\n", tmp_path))
    assert {one.kind.name for one in (*found.left, *found.native)} == {site.item.row.group}
