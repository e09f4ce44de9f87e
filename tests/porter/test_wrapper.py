"""``ring3 cc`` and ``ring3 as``, run as a build runs them."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from porter.stage.build import build

ROOT = Path(__file__).resolve().parents[2]
CODE = 'void f(void) { asm volatile("cli"); }\nint main(void) { f(); return 0; }\n'
FLAGS = ["-m32", "-ffreestanding", "-fno-pie", "-O1"]


class Bench:
    """A directory with sources, and the wrappers run in it.

    Each run is made twice: the first time Python answers, and the second time the program in porter/stage, if it can.
    Nobody may see a difference.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        (directory / "tmp").mkdir()
        self.environment = {**os.environ, "PYTHONPATH": str(ROOT), "TMPDIR": str(directory / "tmp"),
                            "XDG_CACHE_HOME": str(directory / "cache"), "RING3_PYTHON": sys.executable}
        self.program = str(build())
        self.write("a.c", '#include "a.h"\n' + CODE)
        self.write("a.h", "/* nothing */\n")
        self.write("b.S", "#define OFF cli\n\t.globl g\ng:\tOFF\n\tret\n")
        self.write("c.s", "\t.globl h\nh:\thlt\n\tret\n")

    def write(self, name: str, text: str) -> None:
        (self.directory / name).write_text(text)

    def once(self, command: str, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``ring3-COMMAND``."""
        return subprocess.run([f"ring3-{command}", *args], executable=self.program, cwd=self.directory,
                              env=self.environment, input=stdin, text=True, capture_output=True, timeout=60)

    def run(self, command: str, *args: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run ``ring3-COMMAND`` twice, with the same result."""
        first, second = (self.once(command, *args, stdin=stdin) for _ in range(2))
        messages = [re.sub(r"/cc\w{6}\.", "/temporary.", run.stderr) for run in (first, second)]
        assert (first.returncode, first.stdout, messages[0]) == (second.returncode, second.stdout, messages[1])
        return second

    def cc(self, *args: str, stdin: str = "", status: int = 0) -> str:
        """Run ``ring3 cc gcc``; its messages."""
        run = self.run("cc", "gcc", *args, stdin=stdin)
        assert run.returncode == status, run.stderr
        assert not list((self.directory / "tmp").iterdir()), "temporary files were left"
        return run.stderr

    def code(self, name: str) -> str:
        return subprocess.run(["objdump", "-d", "--no-show-raw-insn", name], cwd=self.directory, text=True,
                              capture_output=True, check=True).stdout

    def is_ported(self, name: str) -> bool:
        code = self.code(name)
        assert "\tcli" not in code and "\thlt" not in code, code
        return "%ss:" in code or "%cs:" in code

    def files(self) -> set[str]:
        return {path.name for path in self.directory.iterdir() if path.is_file()} - {"a.c", "a.h", "b.S", "c.s"}


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(("source", "target"), [("a.c", "a.o"), ("b.S", "b.o"), ("c.s", "c.o")])
def test_each_language(bench: Bench, source: str, target: str) -> None:
    assert bench.cc(*FLAGS, "-c", source) == ""
    assert bench.files() == {target}
    assert bench.is_ported(target)


def test_the_second_compile_needs_no_parser(bench: Bench) -> None:
    for name in ("first.o", "second.o"):
        bench.cc(*FLAGS, "-c", "a.c", "-o", name)
    assert (bench.directory / "first.o").read_bytes() == (bench.directory / "second.o").read_bytes()


def test_several_sources_at_once(bench: Bench) -> None:
    bench.cc(*FLAGS, "-c", "a.c", "b.S", "c.s")
    assert bench.files() == {"a.o", "b.o", "c.o"}
    assert all(bench.is_ported(name) for name in ("a.o", "b.o", "c.o"))


def test_compile_and_link_in_one_go(bench: Bench) -> None:
    bench.cc(*FLAGS, "-nostdlib", "-static", "-Wl,-e,main", "a.c", "b.S", "-o", "prog")
    assert bench.files() == {"prog"}
    assert bench.is_ported("prog")


def test_linking_alone(bench: Bench) -> None:
    bench.cc(*FLAGS, "-c", "a.c")
    bench.cc(*FLAGS, "-nostdlib", "-static", "-Wl,-e,main", "a.o", "-o", "prog")
    assert bench.is_ported("prog")


def test_dependency_files_are_those_of_the_build(bench: Bench) -> None:
    bench.cc(*FLAGS, "-MD", "-c", "a.c", "-o", "x.o")
    assert (bench.directory / "x.d").read_text() == "x.o: a.c a.h\n"
    bench.cc(*FLAGS, "-MMD", "-MP", "-MF", "deps", "-MT", "goal", "-c", "a.c", "-o", "x.o")
    assert (bench.directory / "deps").read_text().startswith("goal: a.c a.h\n")


def test_pipe_and_standard_input(bench: Bench) -> None:
    bench.cc(*FLAGS, "-pipe", "-c", "a.c", "-o", "a.o")
    bench.write("flags", "-pipe -c")
    bench.cc(*FLAGS, "@flags", "a.c", "-o", "response.o")
    bench.cc(*FLAGS, "-c", "-x", "c", "-", "-o", "in.o", stdin=CODE)
    bench.cc(*FLAGS, "-c", "-x", "assembler", "-", "-o", "as.o", stdin="\tcli\n")
    assert all(bench.is_ported(name) for name in ("a.o", "response.o", "in.o", "as.o"))


def test_languages_named_by_option(bench: Bench) -> None:
    bench.write("source.txt", "\tcli\n")
    bench.cc(*FLAGS, "-x", "assembler", "-c", "source.txt", "-o", "a.o")
    bench.cc(*FLAGS, "-x", "assembler-with-cpp", "-c", "source.txt", "-o", "b.o")
    assert bench.is_ported("a.o") and bench.is_ported("b.o")


def test_response_files(bench: Bench) -> None:
    bench.write("flags", "-m32 -ffreestanding -fno-pie\n-c a.c -o a.o")
    bench.cc("@flags")
    assert bench.is_ported("a.o")


def test_saved_temporaries_are_the_compilers(bench: Bench) -> None:
    bench.cc(*FLAGS, "-save-temps", "-c", "a.c")
    assert bench.files() == {"a.i", "a.s", "a.o"}
    assert "\tcli" in (bench.directory / "a.s").read_text()
    assert bench.is_ported("a.o")


def test_assembler_options_pass(bench: Bench) -> None:
    bench.write("d.s", "\t.if VALUE == 7\n\tcli\n\t.endif\n")
    bench.cc(*FLAGS, "-Wa,--defsym,VALUE=7", "-c", "d.s")
    assert bench.is_ported("d.o")


@pytest.mark.parametrize("flag", ["-E", "-S", "-M", "--version", "-dumpspecs", "-dumpmachine",
                                  "-print-libgcc-file-name"])
def test_what_assembles_nothing_is_the_compilers_own(bench: Bench, flag: str) -> None:
    args = [*FLAGS, flag] + (["a.c", "-o", "-"] if flag in ("-E", "-S", "-M") else [])
    ours = bench.run("cc", "gcc", *args)
    own = subprocess.run(["gcc", *args], cwd=bench.directory, text=True, capture_output=True)
    assert (ours.returncode, ours.stdout, ours.stderr) == (own.returncode, own.stdout, own.stderr)


def test_64_bit_code_is_not_touched(bench: Bench) -> None:
    bench.cc("-m64", "-c", "a.c", "-o", "a.o")
    assert "\tcli" in bench.code("a.o")
    bench.write("host.c", "int main(void) { return 3; }\n")
    bench.cc("host.c", "-o", "host")
    assert subprocess.run([str(bench.directory / "host")]).returncode == 3


def test_messages_and_status_of_the_compiler(bench: Bench) -> None:
    bench.write("bad.c", "int main(void) { return x; }\n")
    own = subprocess.run(["gcc", *FLAGS, "-c", "bad.c"], cwd=bench.directory, text=True, capture_output=True)
    assert bench.cc(*FLAGS, "-c", "bad.c", status=own.returncode) == own.stderr
    assert bench.files() == {"bad.c"}


def test_messages_of_the_assembler_name_the_authors_line(bench: Bench) -> None:
    bench.write("bad.S", "#define A 1\n\tcli\n\tmovl A\n")
    assert "bad.S:3: Error" in bench.cc(*FLAGS, "-c", "bad.S", status=1)
    bench.write("bad.c", 'void f(void) {\n asm("cli");\n asm("bogus");\n}\n')
    assert "bad.c:3: Error" in bench.cc(*FLAGS, "-c", "bad.c", status=1)
    assert not (bench.directory / "bad.o").exists()


def test_debug_lines(bench: Bench) -> None:
    bench.write("d.S", "\n\tnop\n\tpushf\n\n\tret\n")
    bench.cc("-m32", "-g", "-c", "d.S")
    lines = subprocess.run(["objdump", "-dl", "d.o"], cwd=bench.directory, text=True, capture_output=True).stdout
    assert [line.rpartition(":")[2] for line in lines.splitlines() if "/d.S:" in line or line.startswith("d.S:")] == [
        "2", "3", "5"]


def test_included_assembly_is_ported(bench: Bench) -> None:
    (bench.directory / "inc").mkdir()
    bench.write("inc/part.inc", "\tcli\n")
    bench.write("d.s", '\tnop\n\t.include "part.inc"\n\tmovl bad\n')
    assert "d.s:3: Error" in bench.cc(*FLAGS, "-Wa,-I,inc", "-c", "d.s", status=1)
    bench.write("d.s", '\tnop\n\t.include "part.inc"\n')
    bench.cc(*FLAGS, "-Wa,-Iinc", "-c", "d.s")
    assert bench.is_ported("d.o")


def test_what_stays_unported_is_told_once(bench: Bench) -> None:
    bench.write("d.S", "#include \"a.h\"\n\t.code16\n\tcli\n\thlt\n\t.code32\n\tnop\n")
    assert bench.cc(*FLAGS, "-c", "d.S") == (
        "d.S:3: ring3: `cli` and 1 more not ported: 16-bit code does not run in an i386 guest\n")


def one_line(run: subprocess.CompletedProcess[str]) -> str:
    assert run.returncode == 2
    assert run.stderr.count("\n") == 1, run.stderr
    assert run.stderr.startswith("ring3: ")
    return run.stderr


@pytest.mark.parametrize(("args", "words"), [
    (["no-such-compiler", "-c", "a.c"], ["no-such-compiler", "PATH"]),
    (["gcc", "-flto", *FLAGS, "-c", "a.c"], ["-flto", "-fno-lto"]),
    (["gcc", "-fintegrated-as", *FLAGS, "-c", "a.c"], ["-fintegrated-as", "leave the option out"]),
    ([], ["nothing to compile"]),
])
def test_bad_calls_are_refused_in_a_line(bench: Bench, args: list[str], words: list[str]) -> None:
    message = one_line(bench.run("cc", *args))
    assert all(word in message for word in words)
    assert bench.files() == set()


def test_lto_switched_off_again_is_fine(bench: Bench) -> None:
    bench.cc("-flto", "-fno-lto", *FLAGS, "-c", "a.c")
    assert bench.is_ported("a.o")


def test_unparsable_assembly_leaves_no_object(bench: Bench) -> None:
    bench.write("bad.s", "\tnop\n\tmovl (%eax, %cr0\n")
    message = one_line(bench.run("cc", "gcc", *FLAGS, "-c", "bad.s"))
    assert "bad.s:2:" in message and "movl (%eax, %cr0" in message
    assert not (bench.directory / "bad.o").exists()


def test_the_assembler_door(bench: Bench) -> None:
    assert bench.run("as", "--32", "-o", "c.o", "c.s").returncode == 0
    assert bench.is_ported("c.o")
    assert bench.run("as", "--32", "-o", "in.o", stdin="\tcli\n").returncode == 0
    assert bench.is_ported("in.o")
    bench.write("e.s", "\tsti\n")
    assert bench.run("as", "--32", "-o", "two.o", "c.s", "e.s").returncode == 0
    assert bench.is_ported("two.o")
    assert bench.run("as", "--64", "-o", "wide.o", "c.s").returncode == 0
    assert "\thlt" in bench.code("wide.o")
    assert "GNU assembler" in bench.run("as", "--version").stdout


def test_the_assembler_may_be_named(bench: Bench) -> None:
    bench.write("my-as", '#!/bin/sh\nexec as --defsym named=1 "$@"\n')
    (bench.directory / "my-as").chmod(0o755)
    bench.write("n.s", "\tcli\n\t.ifdef named\n\tsti\n\t.endif\n")
    for name in ("./my-as", str(bench.directory / "my-as")):
        assert bench.run("as", name, "--32", "-o", "n.o", "n.s").returncode == 0
        assert bench.is_ported("n.o")
        assert "\tsti" not in bench.code("n.o") and bench.code("n.o").count("\n") > 6, "it was the one named"
    bench.write("plain-as", "\tcli\n")
    assert bench.run("as", "--32", "-o", "p.o", "plain-as").returncode == 0, "a source, whatever its name"
    assert bench.run("as", "plain-as", "--32", "-o", "p.o").returncode == 0
    assert bench.is_ported("p.o")
    assert "no-such-as" in one_line(bench.run("as", "no-such-as", "--32", "-o", "p.o", "n.s"))


def test_the_assembler_door_refuses_in_a_line(bench: Bench) -> None:
    assert "nothing.s" in one_line(bench.run("as", "--32", "-o", "x.o", "nothing.s"))
    bench.environment["RING3_AS"] = "no-such-as"
    assert "no-such-as" in one_line(bench.run("as", "--32", "-o", "x.o", "c.s"))
    assert bench.files() == set()


def test_an_unusable_cache_changes_nothing(bench: Bench) -> None:
    bench.write("cache", "a file where a directory should be")
    bench.cc(*FLAGS, "-c", "a.c")
    assert bench.is_ported("a.o")


HIDDEN = 'void f(void) { asm volatile(".byte 0xfa"); }\n'


def test_verified_as_it_is_made(bench: Bench) -> None:
    """What an assembler cannot see, the check of what it made can."""
    bench.write("hidden.c", HIDDEN)
    bench.cc(*FLAGS, "-c", "hidden.c")
    (bench.directory / "hidden.o").unlink()
    for rest in (["-c", "hidden.c"], ["-nostdlib", "-static", "-Wl,-e,f", "hidden.c", "-o", "prog"]):
        run = bench.run("cc", "--verify", "gcc", *FLAGS, *rest)
        assert run.returncode == 1
        assert "`cli` is left to port" in run.stderr
    assert bench.files() == {"hidden.c"}
    assert bench.run("cc", "--verify", "gcc", *FLAGS, "-c", "a.c", "b.S", "c.s").returncode == 0
    assert bench.files() == {"hidden.c", "a.o", "b.o", "c.o"}


@pytest.mark.parametrize(("value", "status"), [("1", 1), ("0", 0), ("", 0)])
def test_verified_by_the_environment(bench: Bench, value: str, status: int) -> None:
    bench.write("hidden.c", HIDDEN)
    bench.environment["RING3_VERIFY"] = value
    bench.cc(*FLAGS, "-c", "hidden.c", status=status)
    bench.cc("-m64", "-c", "hidden.c", "-o", "host.o")  # none of ours
    bench.cc("-E", "a.c")


def test_the_compiler_may_come_from_the_environment(bench: Bench) -> None:
    bench.environment["RING3_CC"] = "gcc -m32"
    assert bench.run("cc", *FLAGS[1:], "-c", "a.c", "-o", "words.o").returncode == 0
    bench.environment["RING3_CC"] = shutil.which("gcc") or ""
    assert bench.run("cc", *FLAGS, "-c", "a.c", "-o", "path.o").returncode == 0
    assert bench.is_ported("words.o") and bench.is_ported("path.o")
    bench.environment["RING3_CC"] = "no-such-compiler"
    assert "no-such-compiler" in one_line(bench.run("cc", *FLAGS, "-c", "a.c"))
    bench.environment["RING3_CC"] = "gcc '"
    assert "RING3_CC" in one_line(bench.run("cc", *FLAGS, "-c", "a.c"))


def test_without_a_compiler_named_it_is_the_usual_one(bench: Bench) -> None:
    assert bench.run("cc", *FLAGS, "-c", "a.c").returncode == 0
    assert bench.is_ported("a.o")
    bench.write("a.cc", 'extern "C" void f() { asm volatile("cli"); }\n')
    assert bench.run("c++", *FLAGS, "-c", "a.cc", "-o", "plus.o").returncode == 0
    assert bench.is_ported("plus.o")


@pytest.mark.parametrize("variable", ["COMPILER_PATH", "-B"])
def test_the_assembler_is_the_one_that_the_compiler_would_run(bench: Bench, variable: str) -> None:
    (bench.directory / "bin").mkdir()
    assembler = bench.directory / "bin" / "as"
    assembler.write_text('#!/bin/sh\n: > called\nexec as "$@"\n')
    assembler.chmod(0o755)
    bench.cc(*FLAGS, "-c", "a.c", "-o", "before.o")
    place = [f"-B{bench.directory}/bin/"] if variable == "-B" else []
    if not place:
        bench.environment[variable] = str(bench.directory / "bin")
    bench.cc(*FLAGS, *place, "-c", "a.c")
    assert bench.is_ported("a.o") and (bench.directory / "called").exists()
    (bench.directory / "called").unlink()
    bench.environment.pop(variable, None)
    bench.cc(*FLAGS, "-c", "a.c", "-o", "after.o")
    assert not (bench.directory / "called").exists()


def test_help(bench: Bench) -> None:
    run = bench.run("cc", "--help")
    assert run.returncode == 0 and "RING3_CC" in run.stdout and run.stderr == ""


def test_precompiled_headers(bench: Bench) -> None:
    bench.write("a.h", 'static inline void off(void) { asm volatile("cli"); }\n')
    bench.write("use.c", '#include "a.h"\nvoid f(void) { off(); }\n')
    bench.cc(*FLAGS, "-x", "c-header", "a.h", "-o", "a.h.gch")
    (bench.directory / "a.h").write_text("#error the precompiled header is to be taken\n")
    bench.cc(*FLAGS, "-Winvalid-pch", "-Werror", "-c", "use.c")
    assert bench.is_ported("use.o")


@pytest.mark.skipif(shutil.which("ccache") is None, reason="ccache is not installed")
def test_behind_it_a_compiler_cache(bench: Bench) -> None:
    bench.environment |= {"CCACHE_DIR": str(bench.directory / "ccache"), "CCACHE_LOGFILE": str(bench.directory / "log")}
    command = [*FLAGS, "-c", "a.c", "-o"]
    subprocess.run(["ccache", "gcc", *command, "bare.o"], cwd=bench.directory, env=bench.environment, check=True)
    assert "\tcli" in bench.code("bare.o")
    assert bench.run("cc", "ccache", "gcc", *command, "x.o").returncode == 0
    assert bench.is_ported("x.o")
    assert "direct_cache_hit" in (bench.directory / "log").read_text()


@pytest.mark.parametrize(("name", "text", "args"), [
    ("flags", "-flto", ["@flags"]), ("flags", '"@more"', ["@flags"]),
    ("lto.specs", "*cc1_options:\n+ -flto\n", ["-specs=lto.specs"]),
    ("flags", "-flto -fno-lto -flto=auto", ["@flags"]),
])
def test_options_in_files_are_seen(bench: Bench, name: str, text: str, args: list[str]) -> None:
    bench.write("more", "-flto")
    bench.write(name, text)
    run = bench.run("cc", "gcc", *FLAGS, *args, "-c", "a.c")
    assert run.returncode == 2 and "-fno-lto" in run.stderr
    assert not (bench.directory / "a.o").exists()


def test_objects_of_a_link_time_optimiser_are_refused_when_they_are_linked(bench: Bench) -> None:
    subprocess.run(["gcc", "-flto", *FLAGS, "-c", "a.c"], cwd=bench.directory, check=True)
    run = bench.run("cc", "gcc", *FLAGS, "-nostdlib", "-static", "-Wl,-e,main", "a.o", "-o", "prog")
    code = bench.code("prog") if run.returncode == 0 else ""
    assert "\tcli" not in code


def processes_of(group: int) -> list[str]:
    """The command lines of a process group, without those that have ended."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, _, its_group = (entry / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


def until(true: object, seconds: float = 20) -> bool:
    assert callable(true)
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(true())


@pytest.mark.parametrize("options", [[], ["--verify"]])
@pytest.mark.parametrize("known", [False, True])
def test_interrupted_it_leaves_nothing(bench: Bench, options: list[str], known: bool) -> None:
    (bench.directory / "bin").mkdir()
    assembler = bench.directory / "bin" / "as"
    assembler.write_text("#!/bin/sh\necho part > a.o\n: > started\nexec sleep 60\n")
    assembler.chmod(0o755)
    if known:
        bench.cc(*FLAGS, "-c", "a.c", "-o", "first.o")
    running = subprocess.Popen(["ring3-cc", *options, "gcc", "-Bbin/", *FLAGS, "-c", "a.c"], executable=bench.program,
                               cwd=bench.directory, env=bench.environment, process_group=0, stderr=subprocess.PIPE)
    try:
        assert until((bench.directory / "started").exists), running.stderr and running.stderr.read()
        os.killpg(running.pid, signal.SIGINT)
        assert running.wait(20) != 0
        assert until(lambda: not processes_of(running.pid)), processes_of(running.pid)
    finally:
        if processes_of(running.pid):
            os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    assert not (bench.directory / "a.o").exists()
    assert not list((bench.directory / "tmp").iterdir())


def test_ended_alone_it_ends_the_compiler(bench: Bench) -> None:
    """Verifying, it waits for the compiler, and is not to leave it behind."""
    compiler = bench.directory / "slow"
    compiler.write_text("#!/bin/sh\ncase $* in *-c*) : > started; exec sleep 60;; *) exec gcc \"$@\";; esac\n")
    compiler.chmod(0o755)
    running = subprocess.Popen(["ring3-cc", "--verify", "./slow", *FLAGS, "-c", "a.c"], executable=bench.program,
                               cwd=bench.directory, env=bench.environment, process_group=0)
    try:
        assert until((bench.directory / "started").exists)
        os.kill(running.pid, signal.SIGTERM)
        assert running.wait(20) == 128 + signal.SIGTERM
        assert processes_of(running.pid) == []
    finally:
        if processes_of(running.pid):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()
