"""``ring3 nasm``, run as a build runs it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from porter.binary import survey
from porter.stage.build import build
from tests.porter.nasm_toolchain import needs_nasm
from tests.samples.kernels import RING3, environment

pytestmark = needs_nasm

SOURCE = """\
; A file.
%include "io.inc"
	bits 32
	global f
f:	cli
	OUTB 5
	hlt
	ret
"""
INCLUDED = "%macro OUTB 1\n\tout %1, al\n%endmacro\n"


class Bench:
    """A directory with sources, and ``ring3 nasm`` run in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "inc").mkdir()
        (directory / "tmp").mkdir()
        self.write("a.asm", SOURCE)
        self.write("inc/io.inc", INCLUDED)

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def link(self, *names: str) -> None:
        """Install the program of the commands in ``bin``."""
        (self.directory / "bin").mkdir()
        for name in names:
            shutil.copy2(build(), self.directory / "bin" / name)

    def nasm(self, *args: str, status: int = 0, **variables: str) -> str:
        """Run ``ring3 nasm``; its messages."""
        before = self.files()
        run = subprocess.run([*RING3, "nasm", *args], cwd=self.directory, text=True, capture_output=True, timeout=60,
                             env={**environment(), "TMPDIR": str(self.directory / "tmp"), **variables})
        assert run.returncode == status, run.stderr
        assert not list((self.directory / "tmp").iterdir()), "temporary files were left"
        if status:
            assert self.files() == before
        return run.stderr

    def plain(self, *args: str) -> bytes:
        """What NASM itself writes."""
        subprocess.run(["nasm", *args, "-o", "plain"], cwd=self.directory, check=True)
        return self.read("plain")

    def read(self, name: str) -> bytes:
        return (self.directory / name).read_bytes()

    def files(self) -> set[str]:
        return {path.name for path in self.directory.iterdir() if path.is_file()}

    def is_ported(self, name: str = "a.o") -> bool:
        found = survey(self.directory / name)
        return not found.left and {"cli", "out8_imm", "halt"} <= set(found.ported)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize("options", [
    ["-f", "elf32", "-I", "inc/"], ["-felf32", "-Iinc/"], ["-f", "elf", "-i", "inc"],
    ["-felf32", "-iinc/", "-Ox", "-w+all"],
    ["-f", "elf32", "-g", "-F", "dwarf", "-I", "inc"], ["-f", "elf32", "-P", "inc/io.inc", "-I", "inc/"]])
def test_options(bench: Bench, options: list[str]) -> None:
    bench.nasm(*options, "a.asm")
    assert bench.files() == {"a.asm", "a.o"}
    assert bench.is_ported()
    bench.nasm(*options, "-o", "b.o", "a.asm")
    assert bench.read("a.o") == bench.read("b.o")


def test_options_from_files_and_environment(bench: Bench) -> None:
    bench.write("options", "-f elf32\n-I inc/\n\n-o c.o\n")
    bench.nasm("-@", "options", "a.asm")
    assert bench.is_ported("c.o")
    bench.nasm("-o", "d.o", "a.asm", NASMENV="-f elf32 -Iinc/")
    assert bench.is_ported("d.o")


def test_a_response_file_that_is_not_there(bench: Bench) -> None:
    assert bench.nasm("-@", "none", "a.asm", status=2) == (
        "ring3: none: No such file or directory: check the path of the response file\n")


def test_definitions_on_the_command_line_are_ported(bench: Bench) -> None:
    bench.write("d.asm", "bits 32\nglobal f\nf: OFF\n mov ax, SEG\n PAUSE\n ret\n")
    bench.nasm("-f", "elf32", "-DOFF=cli", "-dSEG=ds", "-D", "PAUSE=hlt", "-D", "FLAG", "d.asm")
    found = survey(bench.directory / "d.o")
    assert not found.left
    assert set(found.ported) == {"cli", "store_ds", "halt"}


def test_lines_on_the_command_line_are_ported(bench: Bench) -> None:
    bench.write("d.asm", "global f\nf: OFF\n ret\n")
    bench.nasm("-f", "elf32", "--before", "%define OFF cli", "d.asm")
    assert set(survey(bench.directory / "d.o").ported) == {"cli"}


def test_messages_are_those_of_the_author_s_file(bench: Bench) -> None:
    bench.write("a.asm", SOURCE + "\tbogus eax\n")
    bench.write("inc/io.inc", INCLUDED + "\tbogus ebx\n")
    messages = bench.nasm("-f", "elf32", "-Iinc/", "a.asm", status=1)
    plain = subprocess.run(["nasm", "-f", "elf32", "-Iinc/", "a.asm"], cwd=bench.directory, text=True,
                           capture_output=True)
    assert messages == plain.stderr
    assert "a.asm:9: error" in messages and "inc/io.inc:4: error" in messages


def test_debug_information_names_the_author_s_lines(bench: Bench) -> None:
    bench.nasm("-f", "elf32", "-g", "-F", "dwarf", "-Iinc/", "a.asm")
    table = subprocess.run(["readelf", "--debug-dump=decodedline", "a.o"], cwd=bench.directory, text=True,
                           capture_output=True, check=True).stdout
    lines = [tuple(line.split()[:2]) for line in table.splitlines() if line.split()[1:2] and line.split()[1].isdigit()]
    assert [(os.path.basename(file), int(line)) for file, line in lines] == [
        ("a.asm", 5), ("io.inc", 2), ("a.asm", 7), ("a.asm", 8)]


def test_listings_show_the_author_s_lines(bench: Bench) -> None:
    bench.nasm("-f", "elf32", "-Iinc/", "-l", "a.lst", "a.asm")
    listing = bench.read("a.lst").decode()
    assert "f:\tr3_cli" in listing and "%macro r3_" not in listing


@pytest.mark.parametrize(("option", "file"), [("-MD a.d", "a.d"), ("-MD -MF b.d", "b.d"), ("-MD -MT a.o", "a.o.d")])
def test_dependencies_are_the_author_s_files(bench: Bench, option: str, file: str) -> None:
    bench.nasm("-f", "elf32", "-Iinc/", *option.split(), "-o", "a.o", "a.asm")
    assert bench.is_ported()
    assert bench.read(file).decode().split() == ["a.o", ":", "a.asm", "inc/io.inc"]


@pytest.mark.parametrize("args", [["-v"], ["-h"], ["-E", "-Iinc/", "a.asm"], ["-M", "-Iinc/", "a.asm"]])
def test_what_does_not_assemble_is_nasm_s_own_business(bench: Bench, args: list[str]) -> None:
    ours = subprocess.run([*RING3, "nasm", *args], cwd=bench.directory, env=environment(), capture_output=True)
    plain = subprocess.run(["nasm", *args], cwd=bench.directory, capture_output=True)
    assert (ours.returncode, ours.stdout, ours.stderr) == (plain.returncode, plain.stdout, plain.stderr)


@pytest.mark.parametrize("args", [["-f", "elf64"], ["-f", "bin"]])
def test_code_for_other_modes_passes(bench: Bench, args: list[str]) -> None:
    bench.write("b.asm", "\tcli\n\thlt\n")
    bench.nasm(*args, "b.asm", "-o", "b.o")
    assert bench.read("b.o") == bench.plain(*args, "b.asm")


def test_a_file_without_anything_to_port_is_assembled_as_it_is(bench: Bench) -> None:
    bench.write("b.asm", "bits 32\nf: mov eax, [ds:5]\n db 'cli'\n ret\n")
    assert bench.nasm("-f", "elf32", "-g", "b.asm") == ""
    assert bench.read("b.o") == bench.plain("-f", "elf32", "-g", "b.asm")


def test_16_bit_code_is_told(bench: Bench) -> None:
    bench.write("b.asm", "bits 16\n cli\n hlt\nbits 32\nf: sti\n")
    assert bench.nasm("-f", "elf32", "b.asm") == (
        "b.asm:2: ring3: `cli` and 1 more not ported: 16-bit code does not run in an i386 guest\n")


def test_the_same_input_gives_the_same_object(bench: Bench) -> None:
    objects = []
    for _ in range(2):
        reader, writer = os.pipe()  # descriptors that a build hands down change nothing
        os.set_inheritable(writer, True)
        bench.nasm("-f", "elf32", "-g", "-Iinc/", "a.asm")
        objects.append(bench.read("a.o"))
        os.close(reader)
    assert objects[0] == objects[1]


@pytest.mark.parametrize(("args", "message"), [
    (["-a", "-f", "elf32", "-Iinc/", "a.asm"], "-a: what is ported needs NASM's preprocessor: leave the option out"),
    (["-f", "elf32", "bad.asm"],
     "bad.asm:2:11: cannot parse `in al, dx)`: correct the statement, or keep the file out")])
def test_refusals(bench: Bench, args: list[str], message: str) -> None:
    bench.write("bad.asm", "bits 32\n\tin al, dx)\n")
    assert bench.nasm(*args, status=2) == f"ring3: {message}\n"


def test_no_assembler(bench: Bench) -> None:
    message = bench.nasm("-f", "elf32", "-Iinc/", "a.asm", status=2, RING3_NASM="/no/nasm")
    assert message == "ring3: /no/nasm: No such file or directory: check that it is installed and on PATH\n"


def test_ring3_does_not_call_itself(bench: Bench) -> None:
    bench.link("ring3-nasm")
    message = bench.nasm("-f", "elf32", "-Iinc/", "a.asm", status=2, RING3_NASM="./bin/ring3-nasm")
    assert message == "ring3: ./bin/ring3-nasm: is ring3 itself: name the real assembler in RING3_NASM\n"


def test_an_input_that_cannot_be_read_twice(bench: Bench) -> None:
    os.mkfifo(bench.directory / "pipe")
    assert bench.nasm("-f", "elf32", "pipe", status=2) == (
        "ring3: pipe: NASM reads its input several times, which only a file allows: write one\n")


@pytest.mark.parametrize("assembler", ["ring3 nasm", "ring3-nasm"])
def test_words_in_a_makefile(bench: Bench, assembler: str) -> None:
    bench.link("ring3", "ring3-nasm")
    bench.write("Makefile", "AS = nasm\na.o: a.asm\n\t$(AS) -f elf32 -Iinc/ -o $@ $<\n")
    path = f"{bench.directory / 'bin'}:{os.environ['PATH']}"
    subprocess.run(["make", f"AS={assembler}"], cwd=bench.directory, check=True, capture_output=True,
                   env={**environment(), "PATH": path, "RING3_PYTHON": sys.executable})
    assert bench.is_ported()


def test_a_file_that_is_not_there(bench: Bench) -> None:
    assert "none.asm" in bench.nasm("-f", "elf32", "none.asm", status=1)
    assert 'unable to open include file `io.inc' in bench.nasm("-f", "elf32", "a.asm", status=1)
