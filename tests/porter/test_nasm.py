"""Porting NASM source as text: files, macros, code size, reach. None of this needs NASM, but where it says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.errors import PortError
from tests.porter.nasm_toolchain import assemble, assemble_ported, code, needs_nasm, port, ported_text

_LEFT_16 = "16-bit code does not run in an i386 guest"


def reasons(text: str, bits: str = "32") -> list[str]:
    return [site.item.reason for site in port(text, bits).sites]


def test_layout_and_comments_survive() -> None:
    text = "; in, out and cli\r\n\tCLI\t; hlt\r\nmsg:\tdb 'int 3; cli' ; x\r\n\tmov\tds , ax\t;; y"
    assert ported_text(text) == text.replace("\tCLI", "\tr3_cli").replace("mov\tds , ax", "r3_load_ds\tax")


@pytest.mark.parametrize("text", [
    "\tmov ax, \\\n\t\tds\n\tnop\n", "\tin al, \\\n dx\n\tnop\n", "; comment \\\n cli\n\tnop\n",
    "\tout 5, \\\n\tal ; x\n", "\tlgdt \\\n\\\n[foo]\nfoo:\n"])
def test_continued_lines_stay_as_many(text: str) -> None:
    ported = ported_text(text)
    assert ported.count("\n") == text.count("\n")
    assert ("r3_" in ported) == (not text.startswith(";"))


def test_strings_and_comments_hold_one_another() -> None:
    text = "db 'it''s; cli'\ndb \"a'b\", `\\`;`\n; don't\ncli\n"
    assert ported_text(text) == text.replace("\ncli", "\nr3_cli")


def test_sti_hlt_is_one_operation() -> None:
    assert ported_text("\tsti\n\n\t; wait\n\thlt ; here\n") == "\tr3_sti_hlt\n\n\t; wait\n\t ; here\n"
    for between in (".l:\n", "%if 1\n", "\tnop\n", "bits 32\n"):
        assert "r3_sti\n" in ported_text(f"\tsti\n{between}\thlt\n")


@pytest.mark.parametrize("define", [
    "%define ON STI\n", "%define ON NOW\n%define NOW sti\n", "%define NOW sti\n%define ON NOW\n",
    "%macro ON 0\n sti\n%endmacro\n"])
def test_sti_hlt_is_one_operation_where_macros_stand_for_them(define: str) -> None:
    ported = ported_text(f"{define}%define wait hlt\nl: ON\n\n\thlt\n ON\n wait\n\tsti\n wait ; x\n ON\n nop\n")
    *_, used = ported.partition("wait r3_hlt\n")
    assert used == "l: r3_sti_hlt\n\n\t\n r3_sti_hlt\n \n\tr3_sti_hlt\n  ; x\n ON\n nop\n"


@pytest.mark.parametrize("text", [
    "%ifdef X\n%define ON sti\n%else\n%define ON nop\n%endif\n ON\n hlt\n", "%define ON sti\n%undef ON\n ON\n hlt\n",
    "%define ON(x) sti\n ON(2)\n hlt\n", "%define ON sti\n%define SAME ON\n hlt\n",
    "%define ON sti\non\n hlt\n", "%macro ON 0\n sti\n nop\n%endmacro\n ON\n hlt\n"])
def test_what_may_be_something_else_is_not_joined_with_hlt(text: str) -> None:
    assert "r3_sti_hlt" not in ported_text(text)


def test_code_size() -> None:
    text = "[BITS 16]\n cli\nbits 32\n cli\n[bits 16]\n cli\n use32\n cli\nlabel: use16\n cli\n BITS 64\n cli\n"
    sites = port(text).sites
    assert [(site.line, site.treatment) for site in sites] == [
        (2, "left"), (4, "ported"), (6, "left"), (8, "ported"), (10, "left"), (12, "left")]
    assert sites[0].item.reason == _LEFT_16
    assert sites[-1].item.reason.startswith("64-bit")


def test_where_the_text_starts() -> None:
    assert reasons(" cli\n", bits="16") == [_LEFT_16]
    assert reasons(" cli\n", bits="32") == [""]


def test_each_inclusion_is_decided_by_itself() -> None:
    ported = port('bits 16\n%include "a.inc"\nbits 32\n%include "a.inc"\n', a="f: cli\n")
    (_, _, first), (_, _, second) = ported.program.root.includes
    assert (ported.text(first), ported.text(second)) == ("f: cli\n", "f: r3_cli\n")
    assert not ported.changes(first)


def test_code_size_goes_in_and_out_of_files() -> None:
    assert "r3_cli" in ported_text('%include "a.inc"\n cli\n', bits="16", a="bits 32\n")


def test_a_file_named_by_a_macro() -> None:
    ported = port('%define FILE "a.inc"\n%include FILE\n%include OTHER\n', a=" cli\n")
    assert [site.file for site in ported.sites] == ["a.inc"]
    assert [name for _, _, name in ported.program.unknown] == ["OTHER"]


def test_single_line_macros() -> None:
    text = "%define OFF cli\n%define MASK(x) out x, al\n%define SIZE 4\n%define IN in\nOFF\nMASK(5)\n"
    assert ported_text(text) == text.replace(" cli", " r3_cli").replace(" out x", " r3_out x")


@pytest.mark.parametrize("text", [
    "%define SEG ds\n mov ax, SEG\n", "%define READ(a, b) mov a, b\n READ(eax, cr0)\n",
    "%macro load 1\n mov %1, ax\n%endmacro\n load es\n", "%macro load 1\n mov ax, %{1}s\n%endmacro\n load e\n",
    "%macro save 1-*\n%rep %0\n push %1\n%rotate 1\n%endrep\n%endmacro\n save eax, ds\n",
    "%macro inner 1\n pop %1\n%endmacro\n%macro outer 1\n inner %1\n%endmacro\n outer es\n",
    "%define A B\n%define B gs\n push A\n", "%macro from 1\n mov word [eax], %1\n%endmacro\n from fs\n"])
def test_a_register_that_only_nasm_knows(text: str) -> None:
    (site,) = [site for site in port(text).sites if site.item.macro == "r3_resolve"]
    assert site.treatment == "ported"
    assert "r3_resolve_" in ported_text(text)


@pytest.mark.parametrize("text", [
    "%macro load 1\n mov %1, ax\n%endmacro\n load ebx\n mov ax, ds\n", "%define SIZE 4\n push SIZE\n mov ax, [SIZE]\n",
    "%macro store 1\n mov al, %1\n%endmacro\n store ds\n"])
def test_other_registers_are_not_touched(text: str) -> None:
    assert "r3_resolve" not in ported_text(text)


@pytest.mark.parametrize("text", [
    "%macro twice 1\n %1\n %1\n%endmacro\n twice cli\n", "%macro io 1\n ins%1\n%endmacro\n io b\n",
    "%macro op 2-3\n %1 %2\n%endmacro\n op lgdt, [foo]\nfoo:\n", "%macro quiet 1+\n %1\n%endmacro\n quiet mov ds, ax\n",
    "%define DO(x) x\n DO(cli)\n"])
def test_a_mnemonic_that_only_nasm_knows(text: str) -> None:
    assert "r3_any " in ported_text(text)


def test_macros_without_a_sensitive_argument_are_not_touched() -> None:
    text = "%macro twice 1\n %1\n %1\n%endmacro\n twice nop\n"
    assert ported_text(text) == text


@needs_nasm
@pytest.mark.parametrize(("written", "meant"), [
    ("%macro twice 1\n %1\n %1\n%endmacro\n twice cli\n twice nop\n", "cli\ncli\nnop\nnop"),
    ("%macro io 1\n ins%1\n%endmacro\n io b\n io d\n", "insb\ninsd"),
    ("%macro op 1+\n %1\n%endmacro\n op mov ds, ax\n op mov eax, cr3\n op mov eax, ebx\n op retf 4\n op arpl cx, ax\n",
     "mov ds, ax\nmov eax, cr3\nmov eax, ebx\nretf 4\narpl cx, ax"),
    ("%macro set 2\n mov %1, %2\n%endmacro\n set ds, ax\n set [eax], gs\n set ecx, cr2\n set dr7, ecx\n set ecx, ebp\n",
     "mov ds, ax\nmov [eax], gs\nmov ecx, cr2\nmov dr7, ecx\nmov ecx, ebp"),
    ("%macro save 1-*\n%rep %0\n push %1\n%rotate 1\n%endrep\n%endmacro\n save eax, ds, fs, cs\n",
     "push eax\npush ds\npush fs\npush cs"),
    ("%macro store 2\n mov word %1, %2\n%endmacro\n store [eax], ds\n store [eax], 5\n",
     "mov word [eax], ds\nmov word [eax], 5"),
    ("%define SEG es\n%define ACC al\n%define PORT dx\n mov ax, SEG\n pop SEG\n in ACC, PORT\n",
     "mov ax, es\npop es\nin al, dx"),
    ("%define DO(x) x\n%define MOVE(a, b) mov a, b\n DO(cli)\n DO(nop)\n MOVE(eax, cr0)\n MOVE(eax, ebx)\n",
     "cli\nnop\nmov eax, cr0\nmov eax, ebx"),
    ("%macro both 0\n cli\n in al, 5\n%endmacro\n both\nbits 16\n both\nbits 32\n",
     "cli\nin al, 5\nbits 16\ncli\nin al, 5\nbits 32"),
    ("%macro idle 0\n sti\n hlt\n%endmacro\n idle\nbits 16\n idle\nbits 32\n",
     "sti\nhlt\nbits 16\nsti\nhlt\nbits 32"),
    ("times 3 in al, 5\nN equ 2\nl times N cli\n", "in al, 5\nin al, 5\nin al, 5\ncli\ncli"),
    ("lab cli\nlab2: cli\n.x cli\n jmp lab2.x\n", "cli\ncli\ny: cli\njmp y"),
])
def test_macros_come_to_what_is_written_out(written: str, meant: str, tmp_path: Path) -> None:
    """The code of ported macros is that of the port of what they expand to."""
    by_macro = code(assemble_ported("bits 32\n" + ported_text(written), tmp_path, "a"))
    written_out = "".join(f"{line}\n" for line in meant.split("\n"))
    assert by_macro == code(assemble_ported("bits 32\n" + ported_text(written_out), tmp_path, "b"))
    assemble("bits 32\n" + written, tmp_path, "original")


def test_macros_for_either_code_size() -> None:
    macro = "%macro off 0\n cli\n%endmacro\n"
    assert "r3_by_bits {cli}, {r3_cli}" in ported_text(f"{macro}bits 16\n off\nbits 32\n off\n")
    assert "\n r3_cli\n" in ported_text(f"{macro}bits 32\n off\n", bits="16")
    assert reasons(f"{macro}bits 16\n off\n") == [_LEFT_16]


def test_sti_hlt_is_one_operation_for_either_code_size() -> None:
    ported = ported_text("%macro wait 0\n sti\n hlt\n%endmacro\nbits 16\n wait\nbits 32\n wait\n")
    assert " r3_by_bits {sti}, {r3_sti_hlt}\n r3_by_bits {hlt}, {}\n" in ported


def test_an_author_s_own_macro_is_no_instruction() -> None:
    text = "%macro cli 0\n nop\n cli\n%endmacro\n%imacro push 2-*\n push %1\n%endmacro\n cli\n push ds, es\n push ds\n"
    ported = ported_text(text)
    assert ported.count("r3_cli") == 1  # the one in the macro's own body
    assert " push ds, es\n r3_push_ds\n" in ported


@pytest.mark.parametrize("prefix", ["rep", "o16", "bnd", "es"])
def test_a_prefix_alone_is_told(prefix: str) -> None:
    assert reasons(f" {prefix}\n insd\n")[-1].startswith("its prefix is on a line of its own")


@pytest.mark.parametrize(("text", "reason"), [
    ("lock cli", "lock makes it"), ("rep cli", "only string"), ("bnd hlt", "only string"), ("wait sti", "wait is an")])
def test_prefixes_that_no_macro_has(text: str, reason: str) -> None:
    assert reasons(f" {text}\n")[0].startswith(reason)


@pytest.mark.parametrize("prefix", ["rep", "repne", "bnd", "xrelease"])
def test_prefixes_that_repeat(prefix: str) -> None:
    assert ported_text(f" {prefix} insd\n") == " r3_rep_insd\n"


def test_a_far_target_behind_a_macro_is_told() -> None:
    assert "write it out" in reasons("%define GO 8:start\nstart: jmp GO\n")[0]


@pytest.mark.parametrize("text", [" in al, dx)\n", " mov [ds, ax\n", " out 5, 'al\n"])
def test_what_does_not_parse_names_its_place(text: str) -> None:
    with pytest.raises(PortError, match=r"^x\.asm:2:\d+: cannot parse"):
        port(f"; note\n{text}")


_BOOT = """\
	org 0x7c00
	bits 16
	cli
	lgdt [gdt_pointer]
	jmp 8:protected
	bits 32
protected:
	mov ax, 16
	mov ds, ax
	jmp 0x1000
gdt:	dq 0
gdt_pointer:
	dw 7
	dd gdt
	times 510-($-$$) db 0
	dw 0xaa55
"""


def test_boot_sectors_are_left_alone() -> None:
    ported = port(_BOOT, bits="16")
    assert not ported.changes(ported.program.root)
    assert {site.item.reason.partition(" ")[0] for site in ported.sites} == {"16-bit", "32-bit"}


@pytest.mark.parametrize(("before", "way_in"), [
    ("\tglobal protected\n", ""), ("", "other: call protected\n"), ("", "table: dd other\nother: jmp protected\n")])
def test_what_something_else_leads_to_is_ported(before: str, way_in: str) -> None:
    text = before + _BOOT.replace("gdt:\tdq 0", f"{way_in}gdt:\tdq 0")
    assert "r3_load_ds" in ported_text(text, bits="16")


def test_boot_code_may_lie_in_files() -> None:
    start, _, rest = _BOOT.partition("protected:")
    ported = port(f'{start}%include "a.inc"\n', bits="16", a=f"protected:{rest}")
    assert not ported.changes(ported.program.root)


def test_porting_twice_changes_nothing() -> None:
    text = ("%define SEG ds\n%macro m 1\n %1\n mov %1, ax\n%endmacro\n m cli\n m ds\n push SEG\n times 3 cli\n"
            " sti\n hlt\nbits 16\n m cli\n")
    once = ported_text(text)
    assert once != text
    assert ported_text(once) == once
