"""32-bit code that only 16-bit code leads to: it is left, reported, and nothing else is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from porter.asm_port import port_assembly
from porter.c_port import port_c
from porter.source_port import port_source

ENTER = ".code16\nstart:\tlgdt table\n\tljmp $8, $high\n"  # the way into protected mode
REASON = "32-bit code that only 16-bit code leads to"


def treatments(text: str) -> dict[str, str]:
    """What becomes of each sensitive statement in 32-bit code, by its text; the two doors must agree."""
    out = []
    for port in (port_assembly, port_source):
        ported = port(text, "x.S")
        again = port(ported.text, "x.S")
        assert again.text == ported.text
        out.append({site.text: "ported" if site.item.changes else site.item.reason for site in ported.sites
                    if not site.item.reason.startswith("16-bit")})
    assert out[0] == out[1]
    return out[0]


LEFT = {
    "the code behind the jump": ENTER + ".code32\nhigh:\tcli\n",
    "alignment between": ENTER + "\t.p2align 4\n.code32\nhigh:\tcli\n",
    "the label in front of the directive": ENTER + "high:\n.code32\n\tcli\n",
    "a numbered label": ".code16\n\tljmp $8, $1f\n.code32\n1:\tcli\n",
    "a number that comes back": "1:\tret\n.code16\n\tljmp $8, $1f\n.code32\n1:\tcli\n",
    "an expression": ".code16\nstart:\tljmpl $8, $(0x7000 + (high - start))\n.code32\nhigh:\tcli\n",
    "an indirect jump": ".code16\n\tljmpl *there\nthere:\t.long high\n\t.word 8\n.code32\nhigh:\tcli\n",
    "a jump by hand": ".code16\nstart:\tcli\n\t.byte 0x66, 0xea\n\t.long high\n\t.word 8\n.code32\nhigh:\tcli\n",
    "what the tail calls and loops to": ENTER + ".code32\nhigh:\tcall more\n1:\thlt\n\tjmp 1b\nmore:\tcli\n\tret\n",
    "an exported start": ".globl start\n" + ENTER + ".code32\nhigh:\tmov $start, %esp\n\tcli\n",
    "exported data behind it": ".globl end\n" + ENTER + ".code32\nhigh:\tcli\n\tjmp .\nend:\t.long 0\n",
    "another section": ENTER + "\t.section .boot\n.code32\nhigh:\tcli\n\t.text\nrun:\tret\n",
    "32-bit code of its own beside": ".globl run\nrun:\tret\n" + ENTER + ".code32\nhigh:\tcli\n",
}


@pytest.mark.parametrize("text", LEFT.values(), ids=LEFT.keys())
def test_left(text: str) -> None:
    found = treatments(text)
    assert found
    assert all(reason.startswith(REASON) for reason in found.values()), found


RUNS = {
    "exported": ".globl high\n" + ENTER + ".code32\nhigh:\tcli\n",
    "exported afterwards": ENTER + ".code32\nhigh:\tcli\n.global high\n",
    "called by 32-bit code": ".globl run\nrun:\tcall high\n\tret\n" + ENTER + ".code32\nhigh:\tcli\n",
    "run into": ".globl run\n" + ENTER + ".code32\nrun:\tnop\nhigh:\tcli\n",
    "run into from another part of the section":
        ".globl run\nrun:\tnop\n\t.section .boot\n" + ENTER + "\t.text\n.code32\nhigh:\tcli\n",
    "its address in data": ENTER + "\t.data\n\t.long high\n\t.text\n.code32\nhigh:\tcli\n",
    "its address in a header": "header:\t.long 0x1badb002, high\n" + ENTER + ".code32\nhigh:\tcli\n",
    "its address in a header in the 16-bit part":
        ".code16\nstart:\tjmp 1f\nheader:\t.long 0x1badb002, high\n1:\tljmp $8, $high\n.code32\nhigh:\tcli\n",
    "behind a header without a jump":
        ".code16\nstart:\tnop\nheader:\t.long 0x1badb002, high\n\tljmp $8, $high\n.code32\nhigh:\tcli\n",
    "by another name": ".globl alias\n.set alias, high\n" + ENTER + ".code32\nhigh:\tcli\n",
    "in a macro": ".macro go\n\tjmp high\n.endm\n" + ENTER + ".code32\nhigh:\tcli\n",
    "exported by a macro":
        ".macro function name\n.globl \\name\n\\name:\n.endm\n" + ENTER + ".code32\n\tfunction high\n\tcli\n",
    "nothing leads to it": ".code16\nstart:\tjmp start\n.code32\nhigh:\tcli\n",
    "no jump in front": ".code16\nstart:\tnop\n.code32\n\tcli\n",
    "in an included file": ".include \"more.s\"\n" + ENTER + ".code32\nhigh:\tcli\n",
}


@pytest.mark.parametrize("text", RUNS.values(), ids=RUNS.keys())
def test_ported(text: str) -> None:
    assert set(treatments(text).values()) == {"ported"}


def test_a_branch_that_ends_does_not_hide_one_that_runs_on() -> None:
    tail = ".code32\n#if A\n\tjmp start\n#endif\nhigh:\tcli\n"
    ported = port_source(f"{ENTER}{tail}", "x.S").sites[-1]
    assert ported.item.reason.startswith(REASON)
    runs = port_source(f".globl run\n{ENTER}.code32\nrun:\tmov %eax, %ebx\n#if A\n\tjmp start\n#endif\nhigh:\tcli\n",
                       "x.S").sites[-1]
    assert runs.treatment == "ported"


def test_macros_of_the_preprocessor_that_export_or_refer() -> None:
    for text in (f"{ENTER}.code32\nENTRY(high)\n\tcli\n", f"#define GO jmp high\n{ENTER}.code32\nhigh:\tcli\n"):
        assert port_source(text, "x.S").sites[-1].treatment == "ported"
    tail = f"{ENTER}.code32\nhigh:\tcli\n\tjmp high\ngdt:\tENTRY_NULL\nENTRY(next)\n\tsti\n\tmov %eax, %cr3\n"
    sites = port_source(tail, "x.S").sites
    assert [site.treatment for site in sites] == ["left", "left", "left", "ported", "ported"]


def _template(text: str) -> str:
    return "".join(f'\t"{line}\\n"\n' for line in text.replace("\t", " ").splitlines())


def test_inline_assembly() -> None:
    code = f"asm(\n{_template(ENTER + '.code32' + chr(10) + 'high: cli' + chr(10))});\n"
    alone = port_c(code, "x.c")
    assert alone.text == code
    assert [site.item.reason[:6] for site in alone.sites] == ["16-bit", "16-bit", "32-bit"]
    called = port_c(f"{code}extern void high(void);\nvoid f(void) {{ high(); }}\n", "x.c")
    assert '"high: r3_cli\\n"' in called.text
    assert called.text.count("r3_") == 1


def test_a_boot_sector_keeps_its_size_in_both_builds(tmp_path: Path, root: Path) -> None:
    """One of our own: real mode, then a protected-mode tail full of segment loads, then C."""
    tail = "".join(f"\tmovw %ax, %{segment}\n" for segment in ("ds", "es", "ss", "fs", "gs"))
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "boot.S").write_text(f".globl start\n{ENTER}.code32\nhigh:\n{tail}\tcall boot\n1:\tjmp 1b\n"
                                 "table:\t.word 0\n\t.long 0\n")
    (tree / "main.c").write_text("void boot(void) { asm volatile(\"cli\"); }\n")
    ring3 = [sys.executable, "-m", "hypervisor.cli.main"]
    out = tmp_path / "out"
    subprocess.run([*ring3, "port", str(tree), "-o", str(out)], cwd=root, check=True, capture_output=True)

    def size(compiler: list[str], directory: Path, name: str) -> int:
        target = tmp_path / "x.o"
        subprocess.run([*compiler, "-m32", "-fno-pie", "-c", str(directory / name), "-o", str(target)], cwd=root,
                       check=True, capture_output=True)
        shown = subprocess.run(["size", "-A", str(target)], check=True, capture_output=True, text=True).stdout
        return next(int(line.split()[1]) for line in shown.splitlines() if line.startswith(".text"))

    plain = {name: size(["gcc"], tree, name) for name in ("boot.S", "main.c")}
    for compiler, directory in (([*ring3, "cc", "gcc"], tree), (["gcc"], out)):
        assert size(compiler, directory, "boot.S") == plain["boot.S"]
        assert size(compiler, directory, "main.c") > plain["main.c"]
