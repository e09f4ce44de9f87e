"""``ring3 port`` of trees with NASM sources: shared files become one text that is right for every program."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from porter import nasm_group, tree_port
from porter.binary import survey
from porter.includes import with_nasm_include
from porter.macro_files import nasm_include
from porter.nasm_text import Shared
from porter.tree import main
from tests.porter.nasm_toolchain import code, needs_nasm
from tests.samples.kernels import RING3, environment

BOOT = """\
; The first sector.
	org 0x7c00
	bits 16
%include "boot/a20.inc"
start:	cli
	MASK
	lgdt [gdt_pointer]
	jmp 8:protected
	bits 32
protected:
	mov ds, ax
	jmp 0x1000
gdt_pointer:
	dw 7
	dd 0
	times 510-($-$$) db 0
	dw 0xaa55
"""
KERNEL = """\
; The kernel.

	bits 32
%include "io.inc"
	section .text
	global start
start:	lgdt [eax]
	MASK
	twice sti
	sti
	hlt
	mov ax, ds	; which
	ret
"""
FILES = {
    "boot/boot.asm": BOOT,
    "boot/a20.inc": '%include "io.inc"\n\tin al, 0x92\n',
    "include/io.inc": "; Ports.\n%ifndef IO\n%define IO\n\n%macro MASK 0\n\tmov al, 0xff\n\tout 0x21, al\n%endmacro\n"
                      "%macro twice 1\n\t%1\n\t%1\n%endmacro\n%endif\n",
    "kernel/kernel.asm": KERNEL,
    "kernel/plain.asm": "\tbits 32\r\n; cli\r\n\tglobal f\r\nf:\tret",
    "tables.inc": "SIZE equ 4\n",
}
PREAMBLE = ('%substr R3_NASM __FILE__ 1,-{length}\n%strcat R3_NASM R3_NASM,"{up}ring3.nasm"\n%include R3_NASM\n\n')


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode("latin-1"))
    return root


def port(root: Path, *more: str) -> dict[str, Any]:
    assert main([str(root), "-o", str(root.parent / "out"), *more]) == 0
    document: dict[str, Any] = json.loads((root.parent / "out.json").read_text())
    return document


def ported(tmp_path: Path, files: dict[str, str]) -> dict[str, str]:
    """The files of a tree as they are ported, without the lines that bring the macros."""
    root = written(tmp_path / "src", files)
    port(root)
    texts = {}
    for name in files:
        text = (tmp_path / "out" / name).read_bytes().decode("latin-1")
        up = "../" * name.count("/")
        texts[name] = text.replace(PREAMBLE.format(length=len(Path(name).name) + 1, up=up), "")
    return texts


def assemble(tree: Path, source: str, format: str, folder: str = ".", *options: str) -> Path:
    """Assemble one source of a tree, in one of its folders; fails the test with NASM's messages, warnings too."""
    target = tree / (source.replace("/", "-") + f".{format}")
    run = subprocess.run(["nasm", "-f", format, *options, f"-I{tree}/include/", f"-I{tree}/", "-o", str(target),
                          str(Path(source).relative_to(folder))], cwd=tree / folder, text=True, capture_output=True)
    assert run.returncode == 0 and not run.stderr, run.stderr
    return target


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return written(tmp_path / "src", FILES)


def test_one_text_serves_16_bit_and_32_bit_programs(root: Path) -> None:
    report = port(root)
    out = root.parent / "out"
    assert report["port"]["changed"] == ["include/io.inc", "kernel/kernel.asm"]
    assert report["port"]["added"] == ["ring3.nasm"]
    assert (out / "include/io.inc").read_text() == (
        "; Ports.\n%ifndef IO\n%define IO\n\n" + PREAMBLE.format(length=7, up="../")
        + "%macro MASK 0\n\tmov al, 0xff\n\tr3_by_bits {out 0x21, al}, {r3_out 0x21, al}\n%endmacro\n"
          "%macro twice 1\n\tr3_any %1\n\tr3_any %1\n%endmacro\n%endif\n")
    assert (out / "kernel/kernel.asm").read_text() == (
        "; The kernel.\n\n" + PREAMBLE.format(length=11, up="../") + KERNEL.partition("\n\n")[2].replace(
            "lgdt", "r3_lgdt").replace("\tsti\n\thlt\n", "\tr3_sti_hlt\n\t\n").replace("mov ax, ds", "r3_store_ds ax"))
    assert (out / "ring3.nasm").read_text() == nasm_include()
    for name in ("boot/boot.asm", "boot/a20.inc", "kernel/plain.asm", "tables.inc"):
        assert (out / name).read_bytes() == (root / name).read_bytes()
    sites = {(site["file"], site["line"]): site for site in report["sites"]}
    assert sites["include/io.inc", 7]["macro"] == "r3_out"
    assert sites["boot/a20.inc", 2]["reason"].startswith("16-bit code") and sites["boot/boot.asm", 5]["remedy"]
    assert sites["boot/boot.asm", 11]["reason"].startswith("32-bit code that only 16-bit code leads to")


@needs_nasm
@pytest.mark.parametrize("folder", [".", "kernel"])
def test_it_assembles_wherever_nasm_is_run(root: Path, folder: str) -> None:
    port(root)
    out = root.parent / "out"
    for format in ("elf32", "bin"):
        assemble(root, "kernel/kernel.asm", format, folder)
    found = survey(assemble(out, "kernel/kernel.asm", "elf32", folder, "-w+all", "-g"))
    assert not found.left
    assert found.ported == {"lgdt": 1, "out8_imm": 1, "sti": 2, "safe_halt": 1, "store_ds": 1}


@needs_nasm
def test_16_bit_programs_stay_the_same_bytes(root: Path) -> None:
    port(root)
    before, after = (assemble(tree, "boot/boot.asm", "bin").read_bytes() for tree in (root, root.parent / "out"))
    assert before == after and len(before) == 512


@needs_nasm
@pytest.mark.parametrize(("source", "format"), [("kernel/kernel.asm", "elf32"), ("boot/boot.asm", "bin")])
def test_the_code_is_what_the_wrapper_makes(root: Path, source: str, format: str) -> None:
    port(root)
    target = root.parent / "wrapped.o"
    subprocess.run([*RING3, "nasm", "-f", format, "-Iinclude/", "-o", str(target), source], cwd=root,
                   env=environment(), capture_output=True, check=True)
    by_tree = assemble(root.parent / "out", source, format)
    if format == "elf32":
        assert code(by_tree) == code(target)
    else:
        assert by_tree.read_bytes() == target.read_bytes()


def test_the_patch_makes_the_ported_tree(root: Path) -> None:
    port(root)
    with (root.parent / "out.patch").open() as patch:
        subprocess.run(["patch", "-p1", "-s"], stdin=patch, cwd=root, check=True)
    assert subprocess.run(["diff", "-r", str(root), str(root.parent / "out")]).returncode == 0


def test_porting_the_result_changes_nothing(root: Path) -> None:
    port(root)
    out, again = root.parent / "out", root.parent / "again"
    assert main([str(out), "-o", str(again)]) == 0
    assert (root.parent / "again.patch").read_text() == ""
    assert subprocess.run(["diff", "-r", str(out), str(again)]).returncode == 0
    (out / "kernel/kernel.asm").write_text((out / "kernel/kernel.asm").read_text() + "\tcli\n")
    assert main([str(out), "-o", str(again), "--force"]) == 0
    assert (root.parent / "again.patch").read_text().count("\n+") == 2  # the file's name, and the line


@needs_nasm
def test_the_wrapper_takes_the_ported_tree(root: Path) -> None:
    """It has nothing to port there, and does for what somebody added."""
    port(root)
    out = root.parent / "out"
    plain = assemble(out, "kernel/kernel.asm", "elf32").read_bytes()
    for added in ("", "\tcli\n"):
        (out / "include/io.inc").write_text((out / "include/io.inc").read_text() + added)
        target = out / "wrapped.o"
        run = subprocess.run([*RING3, "nasm", "-f", "elf32", "-Iinclude/", "-o", str(target), "kernel/kernel.asm"],
                             cwd=out, env=environment(), text=True, capture_output=True)
        assert (run.returncode, run.stderr) == (0, "")
        assert (target.read_bytes() == plain) == (not added)
        assert not survey(target).left


def test_a_dry_run_writes_no_tree(root: Path) -> None:
    assert main([str(root), "--dry-run", "--patch", str(root.parent / "patch")]) == 0
    assert sorted(path.name for path in root.parent.iterdir()) == ["patch", "src"]
    assert "+++ b/ring3.nasm" in (root.parent / "patch").read_text()


@pytest.mark.parametrize(("changed", "again"), [
    ("include/io.inc", ["boot/a20.inc", "boot/boot.asm", "include/io.inc", "kernel/kernel.asm"]),
    ("kernel/plain.asm", ["kernel/plain.asm"]), ("tables.inc", [])])
def test_programs_are_ported_again_when_a_file_of_theirs_changed(root: Path, changed: str, again: list[str],
                                                                monkeypatch: pytest.MonkeyPatch) -> None:
    scanned = port(root)["port"]["scanned"]
    assert scanned == len(FILES) and port(root)["port"]["reused"] == scanned
    (root / changed).write_text((root / changed).read_text() + "\n; cli\n")
    groups: list[tuple[str, ...]] = []
    real: Callable[..., Any] = tree_port.port_group

    def noted(group: Any, texts: Any) -> Any:
        groups.append(group.files)
        return real(group, texts)

    monkeypatch.setattr(tree_port, "port_group", noted)
    report = port(root)
    assert [name for group in groups for name in group] == again
    fresh = root.parent / "fresh"
    assert main([str(root), "-o", str(fresh)]) == 0
    assert subprocess.run(["diff", "-r", str(root.parent / "out"), str(fresh)]).returncode == 0
    assert report["sites"] == json.loads((root.parent / "fresh.json").read_text())["sites"]


def test_what_a_file_includes_or_no_more_counts(root: Path) -> None:
    port(root)
    (root / "boot/a20.inc").write_text("\tin al, 0x92\n")
    (root / "boot/boot.asm").write_text(BOOT.replace("\tMASK\n", ""))
    port(root)
    assert "\tr3_out 0x21, al\n" in (root.parent / "out/include/io.inc").read_text()


def test_any_number_of_jobs_makes_the_same(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("porter.workers._WORTH_IT", 0)
    monkeypatch.setattr("porter.workers._PIECE", 40)
    results = []
    for jobs in ("1", "3"):
        port(root, "--force", "--jobs", jobs)
        results.append([path.read_bytes() for path in sorted(root.parent.rglob("*")) if path.is_file()])
    assert results[0] == results[1]


def test_excluded_files_are_read_but_stay(root: Path) -> None:
    for text in (FILES["include/io.inc"], FILES["include/io.inc"].replace("MASK", "cli")):
        (root / "include/io.inc").write_text(text)
        (root / "kernel/kernel.asm").write_text(KERNEL.replace("MASK", "cli"))
        assert port(root, "--exclude", "include/*")["port"]["changed"] == ["kernel/kernel.asm"]
        assert (root.parent / "out/include/io.inc").read_text() == text
        own_macro = "MASK" not in text
        assert ("\tcli\n" in (root.parent / "out/kernel/kernel.asm").read_text()) == own_macro


@needs_nasm
def test_where_nothing_shows_the_format_either_will_do(tmp_path: Path) -> None:
    texts = ported(tmp_path, {"a.asm": "f:\tcli\n\tmov ax, ds\n\tret\n"})
    assert texts["a.asm"] == ("f:\tr3_by_bits {cli}, {r3_cli}\n\tr3_by_bits {mov ax, ds}, {r3_store_ds ax}\n\tret\n")
    assert assemble(tmp_path / "out", "a.asm", "bin").read_bytes() == b"\xfa\x8c\xd8\xc3"
    assert survey(assemble(tmp_path / "out", "a.asm", "elf32")).ported == {"cli": 1, "store_ds": 1}


@pytest.mark.parametrize(("text", "line"), [
    ("\tglobal f\nf:\tcli\n\tmov ax, 5\n", "f:\tr3_cli"), ("\torg 0x100\n\tcli\n\tmov ax, 5\n", "\tcli"),
    ("\tcli\n\tmov ax, 5\n\tdw 0xaa55\n", "\tcli"), ("..start:\tcli\n\tmov ax, 5\n\tglobal f\n", "..start:\tcli"),
    ("\tglobal f\nf:\tcli\n\tmov rax, 5\n", "f:\tcli"), ("bits 32\n\tcli\n\tmov ax, 5\n", "\tr3_cli")])
def test_the_code_size_at_the_start(text: str, line: str, tmp_path: Path) -> None:
    assert line in ported(tmp_path, {"a.asm": text})["a.asm"].split("\n")


@needs_nasm
def test_a_macro_that_another_program_has_as_16_bit_code_too(tmp_path: Path) -> None:
    """In one program all uses are 32-bit code, in another some, in a third the file says itself."""
    files = {"m.inc": "%macro OFF 0\n\tcli\n%endmacro\n",
             "a.asm": 'bits 32\n%include "m.inc"\n\tOFF\n\tret\n',
             "b.asm": 'bits 32\n%include "m.inc"\n\tOFF\n\tret\nbits 16\n\tOFF\n'}
    assert ported(tmp_path, files)["m.inc"] == "%macro OFF 0\n\tr3_by_bits {cli}, {r3_cli}\n%endmacro\n"
    assert survey(assemble(tmp_path / "out", "a.asm", "elf32")).ported == {"cli": 1}
    assert assemble(tmp_path / "out", "b.asm", "bin").read_bytes().endswith(b"\xc3\xfa")


def test_programs_that_do_not_agree_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(nasm_group, "_shared", lambda _: Shared())
    root = written(tmp_path / "src", {
        "m.inc": "; x\n%macro OFF 0\n\tcli\n%endmacro\n", "a.asm": 'bits 32\n%include "m.inc"\n\tOFF\n',
        "b.asm": 'bits 32\n%include "m.inc"\n\tOFF\nbits 16\n\tOFF\n'})
    assert main([str(root), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ring3: m.inc:3: becomes `r3_by_bits {cli}, {r3_cli}` for b.asm, `r3_cli` for a.asm: ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(("more", "first", "second"), [
    ({}, "\tr3_sti_hlt\n", "\t\n"),  # the only program
    ({"b.asm": 'bits 32\n%include "on.inc"\n\tret\n'}, "\tr3_sti\n", "\tr3_hlt\n")])
def test_a_pair_is_one_where_it_is_one_in_every_program(more: dict[str, str], first: str, second: str,
                                                        tmp_path: Path) -> None:
    texts = ported(tmp_path, {"on.inc": "\tsti\n", "a.asm": 'bits 32\n%include "on.inc"\n\thlt\n'} | more)
    assert texts["on.inc"] == first
    assert texts["a.asm"].endswith(second)


def test_a_macro_that_is_sti_in_one_program_only(tmp_path: Path) -> None:
    texts = ported(tmp_path, {"on.inc": "\tON\n", "a.asm": 'bits 32\n%define ON sti\n%include "on.inc"\n\thlt\n',
                              "b.asm": 'bits 32\n%define ON nop\n%include "on.inc"\n\tret\n'})
    assert texts["on.inc"] == "\tON\n"
    assert texts["a.asm"] == 'bits 32\n%define ON r3_sti\n%include "on.inc"\n\tr3_hlt\n'


@needs_nasm
def test_included_twice_in_one_program(tmp_path: Path) -> None:
    files = {"a.asm": 'org 0\nbits 16\n%include "f.inc"\nbits 32\n%include "f.inc"\n\tcall 16\n', "f.inc": "\tcli\n"}
    assert ported(tmp_path, files)["f.inc"] == "\tr3_by_bits {cli}, {r3_cli}\n"
    code = assemble(tmp_path / "out", "a.asm", "bin").read_bytes()
    assert code[0] == 0xfa and code[1] != 0xfa


@needs_nasm
@pytest.mark.parametrize("name", ["start.s", "start.S", "start.nasm", "START.ASM", "sub/start.inc"])
def test_whatever_its_name_it_is_nasm_s(name: str, tmp_path: Path) -> None:
    text = "\tsection .text\n\tglobal start\nstart:\tmov eax, cr0\n\tmov cr3, eax ; x\n\tret\n"
    assert ported(tmp_path, {name: text})[name] == text.replace("mov eax, cr0", "r3_read_cr0 eax").replace(
        "mov cr3,", "r3_write_cr3")
    assert survey(assemble(tmp_path / "out", name, "elf32")).ported == {"read_cr0": 1, "write_cr3": 1}


def test_what_nasm_includes_is_nasm_s(tmp_path: Path) -> None:
    files = {"a.asm": '%define GDT "gdt"\nbits 32\n%include "port.h"\n%include GDT\n',
             "port.h": "f:\tin al, 5\n", "gdt": "\tlgdt [eax]\n", "b.c": '#include "port.h"\n'}
    texts = ported(tmp_path, files)
    assert (texts["port.h"], texts["gdt"]) == ("f:\tr3_in al, 5\n", "\tr3_lgdt [eax]\n")


def test_an_include_is_the_nearest_file_of_that_name(tmp_path: Path) -> None:
    """Beside the source, above it, or wherever the path says."""
    part = "\tcli\n"
    texts = ported(tmp_path, {
        "one/a.asm": '\torg 0\n%include "p.inc"\n%include "lib/q.inc"\n', "one/p.inc": part,
        "two/a.asm": '\tbits 32\n%include "p.inc"\n%include "../far/r.inc"\n', "two/p.inc": part,
        "lib/q.inc": part, "x/far/r.inc": part})
    assert {name: text for name, text in texts.items() if name.endswith(".inc")} == {
        "one/p.inc": part, "lib/q.inc": part, "two/p.inc": "\tr3_cli\n", "x/far/r.inc": "\tr3_cli\n"}


def test_files_that_include_each_other_are_ported_once(tmp_path: Path) -> None:
    guard = "%ifndef {0}\n%define {0}\nbits 32\n%include '{1}.inc'\n%include 'e.inc'\n\tcli\n%endif\n"
    files = {f"{name}.inc": guard.format(name, other) for name, other in ("ab", "ba", "cd", "dc", "ff")}
    texts = ported(tmp_path, files | {"e.inc": "\tcli\n"})
    assert [text.count("\tr3_cli\n") for text in texts.values()] == [1] * 6


def test_a_link_stays_one(tmp_path: Path) -> None:
    root = written(tmp_path / "src", {"a.asm": 'bits 32\n%include "link.inc"\n', "real.inc": "bits 32\n\tcli\n"})
    (root / "link.inc").symlink_to("real.inc")
    assert port(root)["port"]["changed"] == ["real.inc"]
    assert (tmp_path / "out/link.inc").is_symlink()


def test_a_c_header_of_the_name_is_none_of_nasm_s(tmp_path: Path) -> None:
    header = '#define STOP asm("cli")\n#define IN in al, 5\n'
    texts = ported(tmp_path, {"a.asm": 'bits 32\n%include "regs.h"\n\tcli\n', "inc/regs.h": header})
    assert "in al, 5" in texts["inc/regs.h"] and "%include R3_NASM" not in texts["inc/regs.h"]
    assert "r3_cli" in texts["a.asm"]


MASM = ("\t.386p\n_TEXT\tsegment para public use32\n\tassume cs:_TEXT\nstart\tproc\n\tcli\n\tmov ds, ax\n"
        "\tcall far ptr f\nstart\tendp\n_TEXT\tends\n\tend start\n")
TASM = "\tideal\n\tp386\n\tmodel tiny\n\tcodeseg\n\tmov ds, ax\n\tend\n"
FASM = "format ELF\nuse32\nsection '.text' executable\npublic start\nmacro off {\n cli\n}\nstart: mov cr0, eax\n off\n"


@pytest.mark.parametrize(("text", "assembler", "sites"), [
    (MASM, "MASM or TASM", [(5, "cli"), (6, "mov ds, ax"), (7, "call far ptr f")]),
    (TASM, "MASM or TASM", [(5, "mov ds, ax")]),
    (FASM, "FASM", [(6, "cli"), (8, "mov cr0, eax")]),
    ("macro off a\n{\n\tcli\n}\nx:\tmov cr0, eax\n", "FASM", [(3, "cli"), (5, "mov cr0, eax")])])
@pytest.mark.parametrize("name", ["a.asm", "b.inc"])
def test_other_assemblers_sources_are_reported(name: str, text: str, assembler: str, sites: list[tuple[int, str]],
                                               tmp_path: Path) -> None:
    root = written(tmp_path / "src", {name: text, "n.asm": "bits 32\n\tcli\n"})
    report = port(root)
    found = [site for site in report["sites"] if site["file"] == name]
    assert [(site["line"], site["text"]) for site in found] == sites
    assert {site["treatment"] for site in found} == {"left"}
    assert all(site["reason"].startswith(f"written for {assembler}; ") for site in found)
    assert all(site["remedy"].startswith("translate it") for site in found)
    assert report["port"]["changed"] == ["n.asm"]


@pytest.mark.parametrize(("others", "reason"), [
    ({}, ""), ({"f.asm": FASM}, "written for FASM, as others"),
    ({"f.asm": FASM, "m.asm": MASM}, "assembly for NASM, FASM"),
    ({"f.asm": FASM, "n.asm": "bits 32\n"}, "assembly for NASM, FASM"), ({"n.asm": "bits 32\n"}, "")])
def test_what_could_be_for_several_is_what_the_tree_is(others: dict[str, str], reason: str, tmp_path: Path) -> None:
    root = written(tmp_path / "src", {"a.asm": "start:\tmov cr3, eax\n\tjmp start\n"} | others)
    (site,) = [site for site in port(root)["sites"] if site["file"] == "a.asm"]
    assert (site["treatment"], site["reason"][:len(reason)]) == ("left" if reason else "ported", reason)


@pytest.mark.parametrize(("name", "text", "reported"), [
    ("z80.asm", "\tdi\n\tin a, (5)\n\tout (c), b\n\thalt\n", True), ("m6502.asm", "\tcli\n\tlda #5\n\tsta 7\n", True),
    ("list.asm", "start:\n  100:\tfa\tcli\n  101:\t0f 22 d8\tmov %eax,%cr3\n", False),
    ("table.inc", "#define X 1\nint in(int ax);\nint out = in(ax);\n", False),
    ("page.inc", "<?php\nglobal $x;\ninclude 'a.php';\npublic function in() {}\n", False),
    ("vars.inc", "<?php\nglobal $x;\nin x;\n", False), ("plain.inc", "int table[] = {\n1, 2 };\n", False)])
def test_what_is_no_intel_syntax_is_left_alone(name: str, text: str, reported: bool, tmp_path: Path) -> None:
    root = written(tmp_path / "src", {name: text, "n.asm": "bits 32\n\tcli\n"})
    report = port(root)
    assert report["port"]["changed"] == ["n.asm"]
    assert {site["remedy"].partition(":")[0] for site in report["sites"] if site["file"] == name} == (
        {"nothing to do"} if reported else set())


def test_gas_sources_with_nasm_s_beside_them(tmp_path: Path) -> None:
    texts = ported(tmp_path, {"g.s": "\tmov %eax, %cr0\n", "n.s": "bits 32\n\tmov cr0, eax\n", "h.S": "\tcli; ret\n"
                              "\tmov %eax, %cr3\n"})
    assert "\tr3_write_cr0 %eax\n" in texts["g.s"] and "\tr3_write_cr3 %eax\n" in texts["h.S"]
    assert texts["n.s"] == "bits 32\n\tr3_write_cr0 eax\n"
    assert {path.name for path in (tmp_path / "out").iterdir()} >= {"ring3.h", "ring3.inc", "ring3.nasm"}


def test_bad_input_is_refused_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = written(tmp_path / "src", {"a.asm": "bits 32\n\tmov [eax, cr0\n"})
    assert main([str(root), "-o", str(tmp_path / "out")]) == 2
    assert capsys.readouterr().err.startswith("ring3: a.asm:2:")
    written(root, {"a.asm": "bits 32\n\tcli\n", "ring3.nasm": "; mine\n"})
    assert main([str(root), "-o", str(tmp_path / "out")]) == 2
    assert "ring3.nasm: the port adds a file of this name" in capsys.readouterr().err


@pytest.mark.parametrize(("before", "lead"), [
    ("\tcli\n", ""), ("; a\n; b \\\n c\n\n\tcli\n", "; a\n; b \\\n c\n\n"),
    ("%ifndef A\n%define A\n\tcli\n%endif\n", "%ifndef A\n%define A\n"), ("%ifndef A\n\tcli\n%endif\n", ""),
    ("; a\n%include 'b'\n", "; a\n")])
def test_where_the_include_goes(before: str, lead: str) -> None:
    after = with_nasm_include(before, "x/a.asm", "ring3.nasm")
    assert after == lead + PREAMBLE.format(length=6, up="../") + before[len(lead):]
    assert with_nasm_include(after, "x/a.asm", "ring3.nasm") == after
    crlf = with_nasm_include(before.replace("\n", "\r\n"), "x/a.asm", "ring3.nasm")
    assert crlf == after.replace("\n", "\r\n")
