"""What ``ring3 port`` proposes for build files: what a ported tree needs to build, and nothing else."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from porter.build_files import is_build_file
from porter.tree import main

SENSITIVE = "\t.globl stop\nstop:\tmovl %eax, %cr3\n\tcli\n\tret\n"
INLINE = 'void {name}(int x) {{ __asm__ volatile("movl %0, %%cr3" : : "r"(x)); }}\n'


def ported(root: Path, files: dict[str, str]) -> tuple[Path, list[dict[str, Any]]]:
    for name, text in files.items():
        (root / "src" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "src" / name).write_text(text)
    assert main([str(root / "src"), "-o", str(root / "out")]) == 0
    return root / "out", json.loads((root / "out.json").read_text())["port"]["build"]


def builds(folder: Path) -> bool:
    return subprocess.run(["make", "-s", "-B"], cwd=folder, capture_output=True).returncode == 0


def take(out: Path, proposals: list[dict[str, Any]]) -> None:
    """Make the changes that are proposed."""
    for proposal in sorted(proposals, key=lambda p: -p["line"]):
        path = out / proposal["file"]
        lines = path.read_text().split("\n")
        index = proposal["line"] - 1
        if proposal["before"]:
            assert lines[index] == proposal["before"]
            lines[index] = proposal["after"]
        else:
            lines.insert(index, proposal["after"])
        path.write_text("\n".join(lines))


NEEDED: dict[str, dict[str, str]] = {
    "assembler in a subdirectory, by a rule of its own": {
        "Makefile": "all:\n\t$(MAKE) -C sub\n",
        "sub/Makefile": "all: stop.o\n%.o: %.s\n\t$(AS) --32 -o $@ $<\n", "sub/stop.s": SENSITIVE},
    "assembler in a subdirectory, by make's rule with flags": {
        "Makefile": "all:\n\t$(MAKE) -C sub/deep\n",
        "sub/deep/Makefile": "ASFLAGS = --32\nall: stop.o\n\t@true\n", "sub/deep/stop.s": SENSITIVE},
    "assembler in a subdirectory, by make's rule": {
        "Makefile": "all:\n\t$(MAKE) -C sub AS='as --32'\n", "sub/Makefile": "all: stop.o\n\t@true\n",
        "sub/stop.s": SENSITIVE},
    "compiler for .s in a subdirectory": {
        "Makefile": "all:\n\tmake -C sub\n",
        "sub/Makefile": "all: stop.o\nstop.o: stop.s\n\t@gcc -m32 -c stop.s\n", "sub/stop.s": SENSITIVE},
    "plain assembler for .S": {
        "Makefile": "ASFLAGS = --32 -g\nall: stop.o\n%.o: %.S\n\t$(AS) $(ASFLAGS) -o $@ $<\n", "stop.S": SENSITIVE},
    "plain assembler for one .S": {
        "Makefile": "all: stop.o\nstop.o: stop.S\n\tas --32 --noexecstack stop.S -o stop.o\n", "stop.S": SENSITIVE},
    "preprocessor that reads standard input": {
        "Makefile": "all: stop.o\nstop.o: sub/stop.S\n\t@cpp -P < $< > stop.s && as --32 -o $@ stop.s\n",
        "sub/stop.S": SENSITIVE},
    "linker script with a ported header": {
        "Makefile": "all: k.elf\nk.lds: k.lds.S\n\t$(CPP) -P -x assembler-with-cpp k.lds.S > k.lds\n"
                    "stop.o: stop.S\n\tgcc -m32 -c stop.S\n"
                    "k.elf: stop.o k.lds\n\tld -m elf_i386 -T k.lds -o k.elf stop.o\n",
        "regs.h": "#include \"page.h\"\n#ifdef __ASSEMBLER__\n#define STOP cli\n#endif\n",
        "page.h": "#define BASE 0x100000\n#ifdef __ASSEMBLER__\n#define HALT hlt\n#endif\n",
        "k.lds.S": '#include "page.h"\nSECTIONS { . = BASE; .text : { *(.text) } }\n',
        "stop.S": '#include "regs.h"\n' + SENSITIVE + "\tSTOP\n\tHALT\n"},
    "link-time optimisation": {
        "Makefile": "CFLAGS = -m32 -O2 -ffreestanding -flto=2 -flto-partition=max\nall: k.so\n"
                    "k.so: a.o b.o c.o\n\t$(CC) $(CFLAGS) -shared -nostdlib -o $@ $^\n",
        **{f"{name}.c": f"int g{name}[100];\n{INLINE.format(name=name)}" for name in "abc"}},
}


@pytest.mark.parametrize("files", NEEDED.values(), ids=NEEDED.keys())
def test_what_is_proposed_is_needed_and_enough(tmp_path: Path, files: dict[str, str]) -> None:
    out, proposals = ported(tmp_path, files)
    assert builds(tmp_path / "src"), "the example itself"
    assert proposals
    assert not builds(out)
    take(out, proposals)
    assert builds(out)


UNNEEDED: dict[str, dict[str, str]] = {
    "sources from another directory": {
        "Makefile": "all: a.o stop.o\n%.o: src/%.c\n\tgcc -m32 -nostdinc -c $< -o $@\n"
                    "%.o: src/%.S\n\tgcc -m32 -c $< -o $@\n",
        "src/a.c": INLINE.format(name="a"), "src/stop.S": SENSITIVE},
    "assembler at the top": {
        "Makefile": "all:\n\tas --32 -o stop.o sub/stop.s\n", "sub/stop.s": SENSITIVE},
    "makefile that is a part": {
        "Makefile": "all: stop.o\ninclude sub/Makefile\n", "sub/Makefile": "stop.o: sub/stop.s\n\tas --32 -o $@ $<\n",
        "sub/stop.s": SENSITIVE},
    "clang and its own assembler": {
        "Makefile": "all:\n\tclang -m32 -ffreestanding -c a.c\n\tclang -m32 -c stop.S\n",
        "a.c": INLINE.format(name="a"), "stop.S": SENSITIVE},
    "position independent code": {
        "Makefile": "all:\n\tgcc -m32 -fpic -c a.c\n", "a.c": INLINE.format(name="a")},
    "a host's tool in the same tree": {
        "Makefile": "all:\n\tgcc -o tool tool.c\n\tgcc -m32 -c a.c\n",
        "regs.h": 'static inline void stop(void) { __asm__ volatile("cli"); }\n',
        "a.c": '#include "regs.h"\nvoid f(void) { stop(); }\n',
        "tool.c": '#include "regs.h"\nint main(void) { return 0; }\n'},
    "a comment": {"Makefile": "# CFLAGS = -flto\nall:\n\tgcc -m32 -c a.c\n", "a.c": INLINE.format(name="a")},
}


@pytest.mark.parametrize("files", UNNEEDED.values(), ids=UNNEEDED.keys())
def test_nothing_is_proposed_where_nothing_is_needed(tmp_path: Path, files: dict[str, str]) -> None:
    out, proposals = ported(tmp_path, files)
    assert builds(tmp_path / "src"), "the example itself"
    assert proposals == []
    assert builds(out)


def test_a_tree_that_needs_no_port_needs_no_change(tmp_path: Path) -> None:
    assert ported(tmp_path, {"Makefile": "CFLAGS = -flto\n", "a.c": "int a;\n"})[1] == []


@pytest.mark.parametrize(("line", "after"), [
    ("set(CMAKE_INTERPROCEDURAL_OPTIMIZATION TRUE)", "set(CMAKE_INTERPROCEDURAL_OPTIMIZATION OFF)"),
    ('add_compile_options("-flto=auto" -O2)', 'add_compile_options("-fno-lto" -O2)'),
])
def test_cmake(tmp_path: Path, line: str, after: str) -> None:
    _, proposals = ported(tmp_path, {"CMakeLists.txt": f"project(k C)\n{line}\n", "a.c": INLINE.format(name="a")})
    assert [(p["file"], p["line"], p["before"], p["after"]) for p in proposals] == [("CMakeLists.txt", 2, line, after)]


def test_meson(tmp_path: Path) -> None:
    line = "project('k', 'c', default_options: ['b_lto=true'])"
    _, proposals = ported(tmp_path, {"meson.build": line, "a.c": INLINE.format(name="a")})
    assert [p["after"] for p in proposals] == [line.replace("true", "false")]


def test_the_terminal_names_file_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ported(tmp_path, NEEDED["plain assembler for .S"])
    assert "Makefile:4: assembles .S without the C preprocessor" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["Makefile", "a/GNUmakefile", "rules.mk", "CMakeLists.txt", "x/meson.build", "Kbuild",
                                  "SConstruct", "Makefile.i386", "toolchain.cmake"])
def test_build_files_are_known(name: str) -> None:
    assert is_build_file(name)
    assert not is_build_file(name + ".c")
