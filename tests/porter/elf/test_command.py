"""``ring3 port KERNEL``, ``ring3 run --port`` and ``ring3 check`` of what they made: samples, reports, bad input."""

from __future__ import annotations

import json
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import jsonschema
import pytest

from porter.binary import survey
from porter.binary.image import load
from porter.elf.port import port
from tests.hypervisor.cli.commands import ring3
from tests.porter.compiled import kernel

pytestmark = pytest.mark.usefixtures("monitor")
SCHEMA = Path(__file__).resolve().parents[3] / "docs" / "report.schema.json"
Samples = Callable[..., Path]


@pytest.fixture(scope="module")
def count(sample_kernel: Samples) -> Path:
    """A kernel that says what it has done; unported."""
    return sample_kernel("count", ported=False)


@pytest.mark.parametrize("stripped", [False, True])
def test_a_ported_binary_does_what_the_source_port_does(
    sample_kernel: Samples, count: Path, tmp_path: Path, stripped: bool
) -> None:
    expected = ring3("run", sample_kernel("count", ported=True)).stdout
    source, target = tmp_path / "count.elf", tmp_path / "ported.elf"
    subprocess.run(["strip", "-o", source, count] if stripped else ["cp", count, source], check=True)
    before = source.read_bytes()
    run = ring3("port", source, "-o", target)
    assert run.returncode == 1, run.stderr  # what is behind its `ud2` may be data
    assert ring3("run", target).stdout == expected
    inside = ring3("run", "--port", source)
    assert inside.stdout == expected and b"instructions of" in inside.stderr and b"were not ported" in inside.stderr
    assert source.read_bytes() == before
    assert ring3("run", "--slide", target).stdout == expected


def test_nothing_of_it_traps(count: Path, tmp_path: Path) -> None:
    """The report's figure, by the monitor's own count: only what it refused traps."""
    trace = tmp_path / "trace"
    assert ring3("run", "--port", count, "--trace", trace).returncode == 0
    run = ring3("trace", "list", trace, "--where", "emulated and ring == 0")
    lines = run.stdout.decode().splitlines()
    assert len(lines) == 7 and all("mov fs" in line and "faults" in line for line in lines)


def test_what_only_kernels_do_is_not_copied_to_programs(sample_kernel: Samples) -> None:
    """`sysexit` of a handler that only an MSR names, unlike `int`, is in no program."""
    decisions = port(load(sample_kernel("micro", ported=False)), lines=False).decisions
    assert {one.choice.tactic for one in decisions if one.site.text == "sysexit"} == {"jump"}


def test_report_and_page(count: Path, tmp_path: Path) -> None:
    target = tmp_path / "ported.elf"
    assert ring3("port", count, "-o", target).returncode == 1
    report = json.loads((tmp_path / "ported.elf.json").read_text())
    jsonschema.validate(report, json.loads(SCHEMA.read_text()))
    assert {site["tactic"] for site in report["sites"] if site["treatment"] == "ported"} >= {"jump"}
    assert "<html" in (tmp_path / "ported.elf.html").read_text()
    check = json.loads(ring3("check", target, "--json", "-").stdout)
    assert sum(check["inputs"][0]["ported"].values()) == report["totals"]["ported"]
    assert check["totals"]["left"] == report["totals"]["left"] + report["totals"]["refused"]


def test_addresses_are_the_original_ones(count: Path, tmp_path: Path) -> None:
    """In exceptions, in the trace, and so with their source lines."""
    trace = tmp_path / "trace"
    assert ring3("run", "--port", count, "--trace", trace).returncode == 0
    lines = ring3("trace", "list", trace, "--where", "hypercall").stdout.decode().splitlines()
    lines = [line for line in lines if "invlpg" in line]
    assert len(lines) == 33 and all("translation" in line and "count.c:" in line for line in lines)


def test_dry_run_writes_nothing_but_what_is_named(count: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    assert ring3("port", count, "--dry-run", "--report", report).returncode == 1
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


CODE = "\t.globl start\n\t.type start,@function\nstart: cli\n\tpushfl\n\tpopl %eax\n1: jmp 1b\n"


def refusal(tmp_path: Path, source: Path, *more: str | Path) -> str:
    """The message with which a port of `source` is refused; nothing is written."""
    target = tmp_path / "out.elf"
    run = ring3("port", source, "-o", target, *more)
    assert run.returncode == 2 and not list(tmp_path.glob("out.elf*")), run.stdout
    message = run.stderr.decode()
    assert message.startswith("ring3: ") and message.count("\n") == 1
    return message


def changed(path: Path, offset: int, form: str, value: int) -> Path:
    """The file with one field changed."""
    content = bytearray(path.read_bytes())
    struct.pack_into(form, content, offset, value)
    other = path.with_name("changed.elf")
    other.write_bytes(content)
    return other


def test_bad_input(tmp_path: Path) -> None:
    good = kernel(tmp_path, CODE)
    assert "no such directory or file" in refusal(tmp_path, tmp_path / "none")
    assert "x86-64" in refusal(tmp_path, changed(changed(good, 4, "<B", 2), 18, "<H", 62))
    assert "ARM" in refusal(tmp_path, changed(good, 18, "<H", 40))
    assert "object file" in refusal(tmp_path, tmp_path / "part.o")
    assert "position-independent" in refusal(tmp_path, changed(good, 16, "<H", 3))
    (phoff,) = struct.unpack_from("<I", good.read_bytes(), 28)
    assert "truncated" in refusal(tmp_path, changed(good, phoff + 16, "<I", 1 << 30))
    cut = tmp_path / "cut.elf"
    cut.write_bytes(good.read_bytes()[:60])
    assert "truncated" in refusal(tmp_path, cut)
    packed = tmp_path / "packed.elf"
    packed.write_bytes(b"\x1f\x8b" + good.read_bytes())
    assert "not an ELF file" in refusal(tmp_path, packed)
    empty = tmp_path / "empty.elf"
    empty.write_bytes(b"")
    assert "not an ELF file" in refusal(tmp_path, empty)
    assert "is for source trees" in refusal(tmp_path, good, "--syntax", "att")


def test_overlapping_segments(tmp_path: Path) -> None:
    good = kernel(tmp_path, CODE + "\t.data\n\t.long 1\n")
    (phoff,) = struct.unpack_from("<I", good.read_bytes(), 28)
    (first,) = struct.unpack_from("<I", good.read_bytes(), phoff + 8)
    assert "overlap" in refusal(tmp_path, changed(good, phoff + 32 + 8, "<I", first))


def test_ported_already(tmp_path: Path) -> None:
    good, target = kernel(tmp_path, CODE), tmp_path / "ported.elf"
    assert ring3("port", good, "-o", target).returncode == 0
    assert "already ported" in refusal(tmp_path, target)
    assert ring3("port", good, "-o", target).returncode == 0  # over a former port
    other = tmp_path / "other"
    other.write_text("mine")
    run = ring3("port", good, "-o", other)
    assert run.returncode == 2 and "no ported file" in run.stderr.decode() and other.read_text() == "mine"
    run = ring3("port", good, "-o", good)
    assert run.returncode == 2 and "is the file itself" in run.stderr.decode()


def test_what_takes_no_ported_binary_says_so(count: Path, tmp_path: Path) -> None:
    target = tmp_path / "ported.elf"
    assert ring3("port", count, "-o", target).returncode == 1
    for option in (("--unported",), ("--port",)):
        run = ring3("run", target, *option)
        assert run.returncode == 2 and not run.stdout, option
        assert run.stderr.count(b"\n") == 1 and b"ported" in run.stderr and str(target).encode() in run.stderr


def test_a_damaged_note_is_refused(count: Path, tmp_path: Path) -> None:
    target = tmp_path / "ported.elf"
    assert ring3("port", count, "-o", target).returncode == 1
    content = target.read_bytes()
    at = content.index(b"ring3\0\0\0") + 8
    for offset in (0, 8, 20, 30):
        target.write_bytes(content[: at + offset] + bytes([content[at + offset] ^ 0xFF]) + content[at + offset + 1 :])
        run = ring3("run", target, "--timeout", "5")
        assert run.returncode == 2 and "port it again" in run.stderr.decode()


def test_unsure_code_is_refused_and_named(tmp_path: Path) -> None:
    """Nothing proves that what a table's pointer leads to is code: it is left as it is, and the status tells."""
    source = CODE + "\tret\n\t.byte 1,2,3\nflags:\tpushfl\n\tpopl %eax\n\tret\n\t.data\n\t.long flags\n"
    good, target = kernel(tmp_path, source), tmp_path / "ported.elf"
    subprocess.run(["strip", good], check=True)
    run = ring3("port", good, "-o", target)
    assert run.returncode == 1 and b"runs silently wrong" in run.stdout
    assert target.exists()


def test_guesses_are_ported_where_asked_for(tmp_path: Path) -> None:
    """A function that only a table names runs right, and the report says what that rests on."""
    source = """
	.globl start
	.type start, @function
start:	cli
	movl $stack, %esp
	call *table
	movw $0x2000, %ax
	movw $0x604, %dx
	outw %ax, %dx
1:	jmp 1b
	.byte 1, 2, 3
.Lflags: sti
	pushfl
	cli
	popl %eax
	shrl $9, %eax
	andb $1, %al
	addb $'0', %al
	movw $0x3f8, %dx
	outb %al, %dx
	ret
	.data
table:	.long .Lflags
	.fill 256
stack:
"""
    script = "ENTRY(start) SECTIONS { . = 0x100000; .text : { *(.text) } .data : { *(.data) } }"
    good, target = kernel(tmp_path, source, script=script), tmp_path / "ported.elf"
    subprocess.run(["strip", good], check=True)
    assert ring3("port", good, "-o", target, "--guesses").returncode == 0
    reasons = [site["reason"] for site in json.loads((tmp_path / "ported.elf.json").read_text())["sites"]]
    assert sum("a guess: nothing proves that this is code (found by: reference)" in reason for reason in reasons) == 4
    for arguments in ((target,), ("--port", "--guesses", good)):
        assert ring3("run", *arguments, "--timeout", "10").stdout == b"1", arguments


def test_guesses_are_about_binaries(count: Path, tmp_path: Path) -> None:
    for arguments, word in ((("run", "--guesses", count), b"--port"),
                            (("port", "--guesses", tmp_path, "--dry-run"), b"linked files")):
        run = ring3(*arguments)
        assert run.returncode == 2 and word in run.stderr


def patched(folder: Path, source: str) -> list[bytes]:
    """What stood where the port of a kernel has put its jumps."""
    folder.mkdir()
    return [patch.before for patch in port(load(kernel(folder, source))).port.patches if not patch.traps]


def test_what_tables_of_distances_name_is_not_covered(tmp_path: Path) -> None:
    """As those that a kernel patches itself by: the places stay where they are."""
    source = ("\t.globl start\n\t.type start, @function\nstart:\tcli\n.Lone:\tnopl 8(%eax)\n"
              "\tsti\n.Ltwo:\tnopl 8(%eax)\n\tsti\n.Lthree:\tnopl 8(%eax)\n1:\tjmp 1b\n")
    table = "\t.data\n\t.long .Lone - ., .Ltwo - ., .Lthree - .\n"
    without, named = patched(tmp_path / "without", source), patched(tmp_path / "with", source + table)
    assert without and all(b"\x0f\x1f" in before for before in without)
    assert not any(b"\x0f\x1f" in before for before in named)


def test_what_tables_of_exceptions_name_is_covered(tmp_path: Path) -> None:
    """Segment loads in a row, each of which may fault, are one patch all the same."""
    source = ("\t.globl start\n\t.type start, @function\nstart:\tpopl %es\n.Lone:\tpopl %ds\n.Ltwo:\tpopl %ds\n"
              ".Lthree:\tpopl %es\n\tnopl 8(%eax)\n1:\tjmp 1b\n"
              "\t.data\n\t.long .Lone - ., .Ltwo - ., .Lthree - .\n")
    (before,) = patched(tmp_path / "kernel", source)
    assert before.startswith(b"\x07\x1f\x1f\x07")


def test_numbers_in_data_are_no_table(tmp_path: Path) -> None:
    """Words by chance: two of them, three that are the same, or that all name one place."""
    source = ("\t.globl start\n\t.type start, @function\nstart:\tcli\n.Lone:\tnopl 8(%eax)\n"
              "\tsti\n.Ltwo:\tnopl 8(%eax)\n1:\tjmp 1b\n")
    tables = ("\t.long .Lone - ., .Ltwo - ., 0\n", "\t.long .Lone - ., .Lone - ., .Lone - .\n", "")
    made = [patched(tmp_path / str(number), f"{source}\t.data\n{table}\t.long 0\n")
            for number, table in enumerate(tables)]
    assert made[0] == made[1] == made[2] and made[0]


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_data_of_a_few_bytes(tmp_path: Path, size: int) -> None:
    """Where no aligned word fits, nothing is a pointer."""
    script = "ENTRY(start) SECTIONS { . = 0x100000; .text : { *(.text) } .data 0x110001 : SUBALIGN(1) { *(.data) } }"
    path = kernel(tmp_path, f"{CODE}\t.data\n\t.fill {size}, 1, 7\n", script=script)
    assert [site.text for site in survey(path).left] == ["cli", "pushfd"]
    assert [decision.site.text for decision in port(load(path)).decisions] == ["cli", "pushfd"]


def test_segments_with_a_base(tmp_path: Path) -> None:
    """A kernel that is linked high and reaches itself by segments with a base, until it loads others."""
    script = ("ENTRY(start) SECTIONS { .low 0x100000 : { *(.low) } "
              ".text 0xc0101000 : AT(ADDR(.text) - 0xc0000000) { *(.text) } "
              ".data : AT(ADDR(.data) - 0xc0000000) { *(.data) } }")
    source = """
	.section .low, "ax"
	.long 0x1badb002, 0, -0x1badb002
	.globl start
	.type start, @function
start:	cli
	lgdt pointer - 0xc0000000
	ljmp $8, $high
	.text
	.type high, @function
high:	movw $16, %ax
	movw %ax, %ds
	movw %ax, %ss
	movl $stack, %esp
	pushfl
	popl %ebx
	movb $'A', %al
	call say
	lgdt flat
	ljmp $8, $low - 0xc0000000
	.type low, @function
low:	movw $16, %ax
	movw %ax, %ds
	movw %ax, %ss
	movl $stack - 0xc0000000, %esp
	movb $'B', %al
	movw $0x3f8, %dx
	outb %al, %dx
	movw $0x2000, %ax
	movw $0x604, %dx
	outw %ax, %dx
1:	jmp 1b
	.type say, @function
say:	movw $0x3f8, %dx
	outb %al, %dx
	ret
	.data
	.align 8
gdt:	.quad 0, 0x40cf9b000000ffff, 0x40cf93000000ffff
flat_gdt: .quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
pointer: .word 23
	.long gdt - 0xc0000000
flat:	.word 23
	.long flat_gdt - 0xc0000000
	.fill 256
stack:
"""
    good, target = kernel(tmp_path, source, script=script), tmp_path / "ported.elf"
    assert ring3("port", good, "-o", target).returncode in (0, 1)
    for arguments in ((target,), ("--port", good), ("--unported", good)):
        assert ring3("run", *arguments, "--timeout", "10").stdout == b"AB", arguments
