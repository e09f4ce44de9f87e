"""``ring3 port --profile``: what trapped in a run is named, and accesses to device memory become gates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from hypervisor.cli import port
from hypervisor.trace.profile import trapped
from hypervisor.trace.reader import open_trace
from porter.check import check
from porter.profile import Access, Place, told, with_gates
from porter.progress import Bar
from porter.tree import main as port_alone
from porter.tree_files import File, Tree
from porter.tree_port import port_tree
from porter.workers import Workers

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "hypervisor.cli.main"]
FILES = {
    "boot.S": """\
	.long 0x1badb002, 0, -0x1badb002
	.globl start
start:	movl $stack + 4096, %esp
	call lapic
	call poke
	cli
	movw $0x2000, %ax
	movw $0x604, %dx
	outw %ax, %dx
	.lcomm stack, 4096
""",
    "lapic.S": """\
#define EOI 0xfee000b0
	.set TPR, 0xfee00080
	.globl lapic
lapic:	movl $0xfee00000, %ebx
	movl $300, %ecx
1:	movl %ecx, 0x80(%ebx)	# task priority
	movl $0, EOI
	orl $1, %ds:TPR
	movl %eax, word
	decl %ecx
	jnz 1b
	pushl $0
	popfl
	ret
	.lcomm word, 4
""",
    "poke.c": "void poke(void)\n{\n\tfor (int i = 0; i < 50; i++)\n\t\t*(volatile int *)0xfee00080 = i;\n}\n",
    "Makefile": "k.elf: boot.S lapic.S poke.c\n\tgcc -m32 -g -O1 -ffreestanding -fno-pic -nostdlib -static -no-pie "
                "-Wl,-Ttext-segment=0x100000,-e,start,-z,noexecstack,--build-id=none,--no-warn-rwx-segments "
                "-o $@ boot.S lapic.S poke.c\n",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    return root


def traced(folder: Path) -> Path:
    """Build the kernel of a tree and record a run of it."""
    subprocess.run(["make", "-s", "-B"], cwd=folder, check=True)
    subprocess.run([*COMMAND, "run", str(folder / "k.elf"), "--trace", str(folder / "trace")], cwd=ROOT, check=True,
                   stdin=subprocess.DEVNULL, timeout=60)
    return folder / "trace"


def ported(root: Path, out: str, *more: str) -> dict[str, Any]:
    assert port.main([str(root), "-o", str(root.parent / out), *more]) == 0
    report: dict[str, Any] = json.loads((root.parent / f"{out}.json").read_text())
    jsonschema.validate(report, json.loads((ROOT / "docs" / "report.schema.json").read_text()))
    return report


@pytest.mark.parametrize("built", ["src", "first"])
def test_hot_accesses_become_gates(source: Path, monitor: Path, built: str) -> None:
    """The kernel of the run is built from the untouched tree, or from a ported one, whose lines lie lower."""
    ported(source, "first")
    trace = traced(source.parent / built)
    report = ported(source, "second", "--profile", str(trace))
    text = (source.parent / "second" / "lapic.S").read_text()
    assert "1:	r3_device_access; movl %ecx, 0x80(%ebx)	# task priority\n" in text
    assert "	r3_device_access; movl $0, EOI\n	r3_device_access; orl $1, %ds:TPR\n	movl %eax, word\n" in text
    sites = [site for site in report["sites"] if site["class"] == "device memory"]
    assert [(site["line"], site["macro"], site["cost"], site["hot"]["times"]) for site in sites] == [
        (line, "r3_device_access", "gate", 300) for line in (6, 7, 8)]
    hot = {(place["file"], place["what"].split()[0]): place for place in report["port"]["hot"]}
    assert hot["lapic.S", "or"]["action"] == "now r3_device_access (gate)"
    assert hot["poke.c", "mov"]["times"] == 50 and "C compiler" in hot["poke.c", "mov"]["action"]
    assert ("boot.S", "cli") not in hot if built == "first" else hot["boot.S", "cli"]["action"] == "now r3_cli (inline)"
    again = open_trace(traced(source.parent / "second"))
    assert [place.times for place in trapped(again)] == [50]
    assert check([source.parent / "second" / "k.elf"]).inputs[0].ported["device_access"] == 3
    assert Path(again.header.kernel) == source.parent / "second" / "k.elf"


def test_the_same_profile_again_tells_the_same(source: Path, monitor: Path) -> None:
    trace = str(traced(source))
    first = ported(source, "out", "--profile", trace)
    again = ported(source, "out", "--profile", trace)
    assert again["port"]["reused"] == again["port"]["scanned"]
    assert again["sites"] == first["sites"] and again["port"]["hot"] == first["port"]["hot"]


def test_a_port_without_the_profile_takes_the_gates_back(source: Path, monitor: Path) -> None:
    ported(source, "out", "--profile", str(traced(source)))
    assert "r3_device_access" in (source.parent / "out" / "lapic.S").read_text()
    assert ported(source, "out")["port"]["reused"] == 2
    assert "r3_device_access" not in (source.parent / "out" / "lapic.S").read_text()


@pytest.mark.parametrize(("line", "name", "after"), [
    ("\tmovl %eax, (%ecx)", "mov", "\tr3_device_access; movl %eax, (%ecx)"),
    ("1: 2:\tmovb $1, 4(%ecx,%edx,4) # why", "mov", "1: 2:\tr3_device_access; movb $1, 4(%ecx,%edx,4) # why"),
    ("\tmovzbl 5, %eax /* c */", "movzx", "\tr3_device_access; movzbl 5, %eax /* c */"),
    ("\tlock orl $1, (%ecx)", "lock", "\tr3_device_access; lock orl $1, (%ecx)"),
    ("\tsubl $1, table(,%eax,4)\r", "sub", "\tr3_device_access; subl $1, table(,%eax,4)\r"),
    ("\tMOVL %EAX, (%ECX)", "mov", "\tr3_device_access; MOVL %EAX, (%ECX)"),
    ("\tmovl %eax, %ecx", "mov", None),  # no memory operand
    ("\tmovl $4, %ecx", "mov", None),
    ("\torl $4, (%ecx)", "mov", None),  # another instruction
    ("\tnop; movl %eax, (%ecx)", "mov", None),
    ("\t# movl %eax, (%ecx)", "mov", None),
    ("/*\n\tmovl %eax, (%ecx) */", "mov", None),
    ("#define WRITE movl %eax, (%ecx)", "mov", None),
    ("#define WRITE \\\n\tmovl %eax, (%ecx)", "mov", None),
    ("\t.code16\n\tmovl %eax, (%ecx)", "mov", None),
    ("\trep\n\tmovsl (%esi), (%edi)", "movsl", None),  # the prefix would be the gate's
    ("\tnop; data16 lock\n\torl $4, (%ecx)", "or", None),
    ("\tlock\n\n\torl $4, (%ecx)", "or", None),
    ("x:\t.byte 0xf0\n\torl $4, (%ecx)", "or", None),
    ("\tr3_device_access; movl %eax, (%ecx)", "mov", None),
])
@pytest.mark.parametrize("preprocessed", [False, True])
def test_where_the_gate_goes(line: str, name: str, after: str | None, preprocessed: bool) -> None:
    if line.startswith("#define") and not preprocessed:
        line = line.replace("\\\n", "")  # a comment
    number = 2 + line.count("\n")
    text, entries = with_gates(f"\tnop\n{line}\n\tnop", "a.S", preprocessed, [Access(number, name)])
    assert text == f"\tnop\n{line if after is None else after}\n\tnop"
    assert [entry.line for entry in entries] == ([] if after is None else [number])


def test_the_gate_is_that_of_the_syntax() -> None:
    source = ".intel_syntax noprefix\n\tmov [ebx], eax\n\t.att_syntax\n\tmovl %eax, (%ebx)\n"
    text, entries = with_gates(source, "a.S", True, [Access(2, "mov"), Access(4, "mov")])
    assert text == (".intel_syntax noprefix\n\tr3i_device_access; mov [ebx], eax\n\t.att_syntax\n"
                    "\tr3_device_access; movl %eax, (%ebx)\n")
    assert [entry.macro for entry in entries] == ["r3i_device_access", "r3_device_access"]


@pytest.mark.parametrize("shift", [0, 1, 2, 4])
def test_all_places_of_a_file_are_shifted_alike(shift: int) -> None:
    """Each line alone would fit by several shifts."""
    source = "\tmovl %eax, 1\n\tmovl %eax, 2\n\torl $1, 3\n\tmovl %eax, 4\n\tmovl %eax, 5\n\torl $1, 6\n"
    wanted = {2: "mov", 3: "or", 4: "mov"}
    text, entries = with_gates(source, "a.S", True, [Access(line + shift, name) for line, name in wanted.items()])
    assert [number for number, line in enumerate(text.split("\n"), 1) if "r3_" in line] == list(wanted)
    found = [Place("a.S", line + shift, f"{name} x", "f+0", False, line, 0.5) for line, name in wanted.items()]
    entries, hot = told(found, entries)
    assert {entry.line: entry.hot and entry.hot.times for entry in entries} == {2: 2, 3: 3, 4: 4}
    assert [(place.line, place.action) for place in hot] == [
        (line, "now r3_device_access (gate)") for line in (4, 3, 2)]


def test_nasm_sources_get_no_gates(tmp_path: Path) -> None:
    """A line has room for one instruction there."""
    root = tmp_path / "src"
    root.mkdir()
    text = "bits 32\n\tmov [0xfee000b0], eax\n\tcli\n"
    files = {name: File(name, len(text), 0o644, True) for name in ("a.asm", "b.s")}
    for name in files:
        (root / name).write_text(text)
    hot = {name: (Access(2, "mov"),) for name in files}
    result = port_tree(root, Tree(list(files.values()), []), Workers(1), Bar(), stage=tmp_path / "out", hot=hot)
    for name in files:
        assert "r3_cli" in (tmp_path / "out" / name).read_text()
        assert "r3_device_access" not in (tmp_path / "out" / name).read_text()
    found = [Place(name, line + 4, "mov [x], eax", "f+0", line == 3, 9, 0.5) for name in files for line in (2, 3)]
    _, places = told(found, list(result.entries), result.nasm)
    assert [(place.file, place.line, place.action) for place in places] == [
        (name, line, action) for name in files for line, action in (
            (2, "in a NASM source, where no gate can stand in front of an instruction: stays a trap"),
            (3, "now r3_cli (inline)"))]


def refused(source: Path, profile: Path) -> str:
    command = [*COMMAND, "port", str(source), "-o", str(source.parent / "out"), "--profile", str(profile)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith("ring3: ") and done.stderr.count("\n") == 1
    return done.stderr


def test_bad_profiles_are_refused(source: Path, monitor: Path) -> None:
    assert "nothing" in refused(source, source / "nothing")
    assert "boot.S" in refused(source, source / "boot.S")
    trace = traced(source)
    kernel = source / "k.elf"
    kernel.write_bytes(kernel.read_bytes() + b"\0")
    assert "has changed since" in refused(source, trace)
    kernel.unlink()
    assert "cannot be read" in refused(source, trace)
    assert port_alone([str(source), "-o", str(source.parent / "out"), "--profile", str(trace)]) == 2
