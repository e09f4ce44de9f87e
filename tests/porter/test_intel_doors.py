"""Intel syntax through the doors: options, directives, preprocessed sources, included files, source trees."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from porter.binary import survey
from porter.tree import main
from tests.porter.test_wrapper import FLAGS, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def text_of(bench: Bench, name: str) -> bytes:
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", name, "text"], cwd=bench.directory, check=True)
    return (bench.directory / "text").read_bytes()


def same(bench: Bench, first: str, second: str) -> None:
    assert not survey(bench.directory / first).left
    assert text_of(bench, first) == text_of(bench, second)


# The same code in three ways: AT&T, Intel, and Intel with a % in front of registers.
ATT = ("f:\tcli\n\tmovl %eax, %cr3\n\tlgdt 4(%ebx)\n\tmovw %ax, %ds\n\tmovw %gs, (%ecx)\n\tinb $0x60, %al\n"
       "\toutl %eax, %dx\n\trep outsb %fs:(%esi), %dx\n\tpushfl\n\tljmp $8, $1f\n1:\tsti\n\thlt\n\tlret\n")
INTEL = ("f:\tcli\n\tmov cr3, eax\n\tlgdt fword ptr [ebx+4]\n\tmov ds, ax\n\tmov word ptr [ecx], gs\n\tin al, 0x60\n"
         "\tout dx, eax\n\trep outs dx, byte ptr fs:[esi]\n\tpushfd\n\tjmp 8:1f\n1:\tsti\n\thlt\n\tretf\n")
PREFIXED = INTEL.replace("eax", "%eax").replace("[e", "[%e").replace(" ax", " %ax").replace(" ds", " %ds").replace(
    " gs", " %gs").replace(" al,", " %al,").replace(" dx", " %dx").replace("fs:", "%fs:").replace("cr3", "%cr3")
AS = {
    "directive": (f".intel_syntax noprefix\n{INTEL}", []),
    "prefix": (f"\t.intel_syntax prefix\n{PREFIXED}", []),
    "bare": (f"\t.intel_syntax\n{PREFIXED}", []),
    "capitals": (f".INTEL_SYNTAX noprefix\n{INTEL.upper().replace('F:', 'f:', 1).replace('1F', '1f')}", []),
    # GAS takes no segment override in Intel syntax that only an option asks for.
    "options": (INTEL.replace("fs:", ""), ["-msyntax=intel", "-mnaked-reg"]),
    "one option": (PREFIXED.replace("%fs:", ""), ["-msyntax=intel"]),
    "back again": (f".intel_syntax noprefix\n{INTEL}.att_syntax prefix\n", ["-mmnemonic=intel"]),
    "naked": (f".att_syntax noprefix\n{ATT.replace('%', '')}", []),
    "naked by option": (ATT.replace("%", ""), ["-mnaked-reg"]),
}


@pytest.mark.parametrize("case", AS)
def test_the_assembler_door(case: str, bench: Bench) -> None:
    text, options = AS[case]
    bench.write("att.s", ATT if "fs:" in text.lower() else ATT.replace("%fs:", ""))
    bench.write("intel.s", text)
    for name, more in (("att", []), ("intel", options)):
        run = bench.run("as", "--32", *more, "-o", f"{name}.o", f"{name}.s")
        assert (run.returncode, run.stderr) == (0, "")
    same(bench, "intel.o", "att.o")


def test_included_files_may_switch(bench: Bench) -> None:
    bench.write("intel.inc", "\t.intel_syntax noprefix\n")
    bench.write("part.inc", INTEL)
    bench.write("x.s", '\t.include "intel.inc"\n\t.include "part.inc"\n\tmov eax, cr2\n\tmov eax, bogus ptr\n')
    run = bench.run("as", "--32", "-o", "x.o", "x.s")
    assert "x.s:4: Error" in run.stderr
    bench.write("x.s", '\t.include "intel.inc"\n\t.include "part.inc"\n')
    bench.write("att.s", ATT)
    for name in ("x", "att"):
        assert bench.run("as", "--32", "-o", f"{name}.o", f"{name}.s").returncode == 0
    same(bench, "x.o", "att.o")


SOURCE = f"""#define PORT 0x60
#define OFF cli
#define TABLE(reg) lgdt fword ptr [reg+4]
	.intel_syntax noprefix
{INTEL.replace("lgdt fword ptr [ebx+4]", "TABLE(ebx)").replace("0x60", "PORT").replace("cli", "OFF")}"""


def test_preprocessed_source(bench: Bench) -> None:
    bench.write("att.S", ATT)
    bench.write("x.S", SOURCE)
    for name in ("att", "x"):
        bench.cc(*FLAGS, "-c", f"{name}.S")
    same(bench, "x.o", "att.o")


def test_preprocessed_source_in_a_tree(bench: Bench, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "x.S").write_text(SOURCE)
    (tree / "shared.h").write_text("#define STOP cli; hlt\n#define PAGES mov cr3, eax\n")
    (tree / "y.S").write_text('#include "shared.h"\n.intel_syntax noprefix\n\tSTOP\n\tPAGES\n')
    assert main([str(tree), "-o", str(tmp_path / "out")]) == 0
    out = tmp_path / "out"
    assert (out / "shared.h").read_text() == (
        '#include "ring3.h"\n\n#define STOP r3i_cli; r3i_hlt\n#define PAGES r3i_write_cr3 eax\n')
    assert not re.search(r"\.macro r3_(?!either)", (out / "ring3.h").read_text())
    bench.write("att.S", ATT)
    bench.cc(*FLAGS, "-c", "att.S")
    for name in ("x", "y"):
        target = str(bench.directory / f"{name}.o")
        subprocess.run(["gcc", *FLAGS, "-c", f"{name}.S", "-o", target], cwd=out, check=True)
    same(bench, "x.o", "att.o")
    assert not survey(bench.directory / "y.o").left


def test_what_the_tree_does_not_show_is_said(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "x.c").write_text('void f(void) { asm("cli"); asm("hlt" :::); }\n')
    (tree / "x.h").write_text("#define STOP pushfw; cli\n")
    (tree / "x.S").write_text('#include "x.h"\n')
    plain = ("r3_cli", "r3_hlt", "r3_pushfw; r3_cli")
    expected = {None: plain, "att": plain, "intel": ("r3i_cli", "r3i_hlt", "r3i_pushfw; r3i_cli"),
                "both": ("r3_either cli", "{r3_hlt|r3i_hlt}", "r3_pushfw; r3_cli")}
    for syntax, (basic, extended, macro) in expected.items():
        out = tmp_path / f"out-{syntax}"
        assert main([str(tree), "-o", str(out), *(["--syntax", syntax] if syntax else [])]) == 0
        assert f'asm("{basic}"); asm("{extended}" :::)' in (out / "x.c").read_text()
        assert f"#define STOP {macro}\n" in (out / "x.h").read_text()
        for dialect in {"intel": ["intel"], "both": ["att", "intel"]}.get(syntax or "att", ["att"]):
            subprocess.run(["gcc", *FLAGS, f"-masm={dialect}", "-c", out / "x.c", "-o", tmp_path / "x.o"], check=True)
            assert set(survey(tmp_path / "x.o").ported) == {"cli", "halt"}


@pytest.mark.parametrize("compiler", ["gcc", pytest.param("clang", marks=pytest.mark.skipif(
    shutil.which("clang") is None, reason="Clang is not installed"))])
def test_templates_that_switch_by_themselves(compiler: str, bench: Bench) -> None:
    bench.write("x.c", 'void f(int v) { asm volatile("cli"); asm volatile(".intel_syntax noprefix\\n\\t"\n'
                       '"mov eax, cr4; mov cr4, eax\\n\\trep insd\\n\\t.att_syntax prefix" ::: "eax"); asm("hlt"); }\n')
    run = bench.run("cc", compiler, *FLAGS, "-c", "x.c")
    assert run.returncode == 0, run.stderr
    found = survey(bench.directory / "x.o")
    assert not found.left
    assert {"cli", "halt", "write_cr4", "rep_ins32"} <= set(found.ported)


@pytest.mark.skipif(shutil.which("clang") is None, reason="Clang is not installed")
@pytest.mark.parametrize("options", [[], ["-masm=intel"]])
def test_what_clang_puts_around_intel_syntax(options: list[str], bench: Bench) -> None:
    """Blocks in Microsoft's style are in Intel syntax in either dialect."""
    bench.write("x.c", "int g;\nvoid f(int v) { __asm { cli\n mov eax, v\n mov cr3, eax }\n g = v; __asm { hlt }\n"
                       " g += v; }\n")
    run = bench.run("cc", "clang", *FLAGS, "-fasm-blocks", *options, "-c", "x.c")
    assert run.returncode == 0, run.stderr
    found = survey(bench.directory / "x.o")
    assert not found.left
    assert set(found.ported) == {"cli", "write_cr3", "halt"}


def test_messages_name_the_authors_line(bench: Bench) -> None:
    bench.write("x.s", "\t.intel_syntax noprefix\n\tnop\n\tmov cr0, [eax\n")
    run = bench.run("as", "--32", "-o", "x.o", "x.s")
    assert run.returncode == 2
    assert run.stderr.startswith("ring3: x.s:3:12: cannot parse `mov cr0, [eax`: ")
    bench.write("x.s", "\t.intel_syntax noprefix\n\tmov cr0, eax\n\tmov eax, bogus ptr\n")
    assert "x.s:3: Error" in bench.run("as", "--32", "-o", "x.o", "x.s").stderr
