"""The program in porter/stage: whatever it answers, the porter would have answered too."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from porter.asm_port import port_assembly
from porter.assembler import report
from porter.errors import PortError
from porter.stage.build import build
from porter.stage_file import write_down_text
from porter.statements import macro_text
from porter.units import units
from porter.usual import statements
from tests.porter.fuzz.att import ATT
from tests.porter.fuzz.generator import Generator

ROOT = Path(__file__).resolve().parents[2]
USUAL = sorted(set(statements()))
HANDED_OVER = 77
PREFIXES = ("rep", "repz", "repnz", "gs", "es", "data16")


class Stage:
    """The program, an assembler that shows what it gets, and no Python."""

    def __init__(self, directory: Path) -> None:
        self.program = str(build())
        self.directory = directory
        self.text = directory / "x.s"
        for name, script in (("as", 'for last; do :; done; case $last in --) cat;; *) cat "$last";; esac'),
                             ("python", f"exit {HANDED_OVER}")):
            (directory / name).write_text(f"#!/bin/sh\n{script}\n")
            (directory / name).chmod(0o755)
        self.environment = {**os.environ, "XDG_CACHE_HOME": str(directory / "cache"), "PYTHONPATH": str(ROOT),
                            "RING3_AS": str(directory / "as"), "RING3_PYTHON": str(directory / "python")}
        self.learn("cli")

    def run(self, text: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
        self.text.write_bytes(text.encode("latin-1"))
        return subprocess.run(["ring3-as", "--32", str(self.text)], executable=self.program, capture_output=True,
                              env={**self.environment, **environment}, timeout=60)

    def learn(self, text: str) -> None:
        """Let Python port a text, and write down what it knows then."""
        run = self.run(text, RING3_PYTHON=sys.executable)
        assert run.returncode == 0, run.stderr
        assert run.stdout.decode("latin-1") == self.expected(text)

    def expected(self, text: str) -> str:
        """What the assembler is to get."""
        ported = port_assembly(text, "x.s")
        return text if ported.text == text else f'{macro_text(ported.sites)}# 1 "{self.text}"\n{ported.text}'

    def answer(self, text: str) -> str | None:
        """What the assembler gets without Python; None where the program asks for that."""
        run = self.run(text)
        assert run.returncode in (0, HANDED_OVER), run.stderr
        return None if run.returncode else run.stdout.decode("latin-1")

    @property
    def memory(self) -> Path:
        (path,) = (self.directory / "cache" / "ring3").glob("stage-????????")
        return path


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp("stage"))


HARMLESS = ["nop", "movl %eax, %ebx", "call *%eax", "jmp 1f", "movl %fs:4, %eax", 'addl $8, %esp # cli', ".long 0xfa",
            '.string "cli; hlt"', '.ascii "say \\"cli\\"\\n"', "#APP", "#NO_APP", '# 7 "a.c" 1', ".loc 1 2 3",
            "in_use:", "cli:", ".globl sti", "1:", "", "rep movsb", "movb $'%', %al", "leal cs(%eax), %ebx"]
PARTS = st.one_of(st.sampled_from(USUAL), st.sampled_from(USUAL).map(str.upper), st.sampled_from(HARMLESS),
                  st.sampled_from(["sti", "hlt", "rep", "gs", "insb", "outsl", "pushfl", "popl %eax", "cli", "int $3"]))
BETWEEN = st.sampled_from(["\n", "\n#APP\n", " # cli\n", "\n/ rep\n", " // \"\n", "\n\t", "; ", ";", "\n  ", " ;\t",
                           "\n\n", "\r\n", "\n\tlabel: "])
TEXTS = st.lists(st.tuples(BETWEEN, PARTS), max_size=12).map(
    lambda parts: "".join(word for part in parts for word in part) + "\n")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=TEXTS)
@example(text="\tsti\n\thlt\n")
@example(text="sti; hlt")
@example(text="\trep\n\tinsb\n")
@example(text="\trep\n#APP\n\tclac\n")
@example(text="\trep # movsb\n/ in: here\nlabel: # hlt\n\tclac\n")
@example(text="\tmovb $'#', %al; rep\n\tclac\n")
def test_it_says_what_the_porter_says(stage: Stage, text: str) -> None:
    answer = stage.answer(text)
    assert answer in (None, stage.expected(text))


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(text=TEXTS)
def test_units_come_to_what_the_whole_comes_to(text: str) -> None:
    """Only then are they written down; here: how often that is so."""
    whole = port_assembly(text, "x.s").text
    by_unit = units(text, PREFIXES)
    assume("lock" not in text.lower())
    assert by_unit is None or by_unit.ported == whole or "rep" in text or "gs" in text


@pytest.mark.parametrize("text", [
    "", "\tnop\n", "\tcli\n", "\tcli", "a: cli; sti; ret\n", '\t.string "cli; hlt"\n\tnop\n', "\tsti\n\tret\n",
    "\tmovw %ax, %ds\n", "\tmovl %fs:8, %eax\n", "\tmovl %eax, %cr3\n#NO_APP\n", "\tcld; rep insl\n", "\tPUSHFL\n",
])
def test_what_is_usual_needs_no_python(stage: Stage, text: str) -> None:
    if text.isupper():
        stage.learn(text)
    assert stage.answer(text) == stage.expected(text)


@pytest.mark.parametrize("text", [
    "\tsti\n\thlt\n", "\tsti; hlt\n",
    "\tsti\n#NO_APP\n\t.loc 1 2 3\n#APP\n\thlt\n\tret\n", "\trep\n\tinsb\n", "\tgs; outsb\n",
    "\trep\rinsb\n", "\tjmp\r$8,$2\n", "\tmov %\rds, %ax\n",
    "\tcli; rep\n\tinsl\n", "\tlgdt 12(%esp)\n\tret\n", "\tljmp $8, $1f\n1:\n", "\t.code16\n\tcli\n",
    "\tcli\n\t# tf=%esp\n\tcli\n",
    '\t.string "x=%d # \\n"\n\tcli\n', "\tmovb $'#', %al\n\tcli\n", '\t.string "#"\n\tcli\n',
    "\t.macro off\n\tcli\n\t.endm\n\toff\n",
    "/* a\ncli */\n\tcli\n", "\t.altmacro\n\tcli\n", "\tmovl $'\\n, %eax\n\tcli\n",
    "x\xe9: cli\n", "\tint $0x42\n",
])
def test_what_has_been_asked_once_needs_no_python(stage: Stage, text: str) -> None:
    assert stage.answer(text) in (None, stage.expected(text))
    stage.learn(text)
    if ".code16" not in text:  # its message names the file, which is another one each time
        assert stage.answer(text) == stage.expected(text)


@pytest.mark.parametrize("definition", [".set sel, %bx", ".EQU sel,%bx", "sel = %bx", "sel==%bx"])
def test_the_same_statement_of_a_register_by_another_name(stage: Stage, definition: str) -> None:
    stage.learn("\tverr sel\n")
    assert stage.answer("\tverr sel\n") is not None
    text = f"{definition}\n\tverr sel\n"
    assert stage.answer(text) in (None, stage.expected(text))


def test_messages_come_again(stage: Stage) -> None:
    text = '# 1 "boot.S"\n\t.code16\n\tcli\n'
    told = stage.run(text, RING3_PYTHON=sys.executable)
    assert told.stderr == b"boot.S:2: ring3: `cli` not ported: 16-bit code does not run in an i386 guest\n"
    again = stage.run(text)
    assert (again.returncode, again.stdout, again.stderr) == (0, told.stdout, told.stderr)


@pytest.mark.parametrize("text", ["\t.section .gnu.lto_x,\"e\"\n\t.string \"x\"\n", "\tmovl (%eax, %cr0\n"])
def test_refusals_are_pythons(stage: Stage, text: str) -> None:
    for _ in range(2):
        assert stage.answer(text) is None
        assert stage.run(text, RING3_PYTHON=sys.executable).returncode == 2


def test_what_is_included_may_change(stage: Stage) -> None:
    text = f'\t.include "{stage.directory}/part.inc"\n'
    (stage.directory / "part.inc").write_text("\tnop\n")
    assert stage.run(text, RING3_PYTHON=sys.executable).returncode == 0
    assert stage.answer(text) is None


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_memory_is_no_memory(stage: Stage, data: st.DataObject) -> None:
    """Any byte of it may be wrong, and any part missing."""
    whole = stage.memory.read_bytes()
    text = "\tcli\n\tmovl %eax, %cr3\n"
    try:
        if data.draw(st.booleans()):
            at = data.draw(st.integers(0, len(whole) - 1))
            stage.memory.write_bytes(whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1:])
        else:
            stage.memory.write_bytes(whole[:data.draw(st.integers(0, len(whole)))])
        run = stage.run(text)
        assert run.returncode == HANDED_OVER or run.stdout.decode("latin-1") == stage.expected(text)
    finally:
        stage.memory.write_bytes(whole)


@pytest.mark.parametrize(("learnt", "text"), [
    ("\tht; mov %esp, %cr2\n", "\twait\n\n\tht; mov %esp, %cr2\n"),
    ("\trep; insb\n", "\t.byte 0x66\n# 16\n\trep; insb\n"),
    ("\trep; insb\n", "\tgs /* x */; rep; insb\n"),
    ("\tclac\n", "\trep\n# 1 \"a.c\" 1\nlabel:\n\tclac\n"),
])
def test_more_may_stand_in_front_than_was_learnt(stage: Stage, learnt: str, text: str) -> None:
    stage.learn(learnt)
    assert stage.answer(learnt) is not None
    assert stage.answer(text) in (None, stage.expected(text))


@pytest.mark.parametrize("seed", range(3))
def test_what_was_learnt_apart_is_right_together(seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Statements of every kind, written down one by one, then in mixtures with prefixes in front of them."""
    stage, rng = Stage(tmp_path), Random(seed)
    monkeypatch.setenv("XDG_CACHE_HOME", stage.environment["XDG_CACHE_HOME"])
    known = [*HARMLESS, *["rep", "lock", "data16", "gs", "ht", "wait", ".byte 0xf3", ".byte 0x66", "sti", "hlt"] * 10]
    for unit in Generator(seed, ATT).units(300):
        with contextlib.suppress(PortError):
            ported = port_assembly(unit.text, "x.s")
            write_down_text(unit.text, "x.s", report(ported.sites), ported.text)
            known.append(unit.text)
    answers = 0
    for _ in range(600):
        text = "\n"
        for _ in range(rng.randrange(1, 5)):
            text += rng.choice(known) + rng.choice(["\n", "; ", "\n\t", "\n#APP\n", "\n\n", " # x\n", "\nl: ", " ;;\n"])
        answer = stage.answer(text)
        if answer is not None:
            assert answer == stage.expected(text), text
            answers += 1
    assert answers > 100


def test_it_forgets_when_the_porter_changes(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    assert stage.answer("\tcli\n") is not None
    whole = stage.memory.read_bytes()
    at = whole.index(b"catalogue_rows.py\0") + len(b"catalogue_rows.py\0")
    import zlib

    from porter.stage_file import _RECORD

    start = whole.rindex(b"S" + str(ROOT / "porter").encode(), 0, at) - _RECORD.size
    key_size, value_size, key_crc, _ = _RECORD.unpack_from(whole, start)
    value = bytearray(whole[start + _RECORD.size + key_size:start + _RECORD.size + key_size + value_size])
    digit = value.index(b"catalogue_rows.py\0") + len(b"catalogue_rows.py\0")
    value[digit] ^= 1
    head = _RECORD.pack(key_size, value_size, key_crc, zlib.crc32(value))
    stage.memory.write_bytes(whole[:start] + head + whole[start + _RECORD.size:start + _RECORD.size + key_size]
                             + bytes(value) + whole[start + _RECORD.size + key_size + value_size:])
    assert stage.answer("\tcli\n") is None
    stage.learn("\tcli\n")
    assert stage.answer("\tcli\n") is not None


def test_many_writers_at_once(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    texts = [f"\tlgdt {4 * number}(%esp)\n" for number in range(12)]
    running = []
    for number, text in enumerate(texts):
        path = tmp_path / f"{number}.s"
        path.write_text(text)
        running.append(subprocess.Popen(
            ["ring3-as", "--32", str(path)], executable=stage.program, stdout=subprocess.PIPE,
            env={**stage.environment, "RING3_PYTHON": sys.executable}))
    for process in running:
        assert b"r3_lgdt" in process.communicate(timeout=60)[0] and process.returncode == 0
    assert [stage.answer(text) for text in texts] == [stage.expected(text) for text in texts]


def test_it_does_not_run_itself_for_ever(stage: Stage) -> None:
    run = stage.run("\tcli\n", RING3_AS=stage.program)
    assert run.returncode in (2, HANDED_OVER)
