"""A jump over instructions to which others branch: those branches come to the trampoline then."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.binary.image import load
from porter.elf.port import Ported, port
from porter.elf.write import elf_file
from tests.hypervisor.cli.commands import ring3
from tests.porter.compiled import kernel

pytestmark = pytest.mark.usefixtures("monitor")

# Each way through `window` ends in the letter of what it leaves in IF: A off, B on. `sti` is one byte between two to
# which others branch; they are near it, or so far that their branches are long.
_SOURCE = """
	.globl start
	.type start, @function
start:	movl $stack, %esp
	movb $0xff, %al
	outb %al, $0x21
	outb %al, $0xa1
	movl $7, %edi
1:	cli
	movl %edi, %esi
	call window
	pushfl
	popl %eax
	shrl $9, %eax
	andl $1, %eax
	addl $'A', %eax
	movw $0x3f8, %dx
	outb %al, %dx
	decl %edi
	jns 1b
	movw $0x2000, %ax
	movw $0x604, %dx
	outw %ax, %dx
2:	jmp 2b
	.type window, @function
window:	testl $1, %esi
	jnz .Laside
	testl $2, %esi
	jz .Lbehind
.Lenable:	sti
.Lbehind:	movl %esi, %eax
	ret
	{fill}
.Laside:	testl $4, %esi
	je .Lbehind
	jmp {to}
	nop
	.data
	.fill 256
stack:
"""


def _expected() -> bytes:
    on = [bool(esi & 4) if esi & 1 else bool(esi & 2) for esi in range(7, -1, -1)]
    return bytes(b"AB"[one] for one in on)


def made(folder: Path, fill: str, to: str = ".Lenable", more: str = "") -> tuple[Path, Ported, str]:
    """A kernel, its port, and what became of its `sti`."""
    source = _SOURCE.replace("{fill}", fill).replace("{to}", to).replace("\t.data\n", f"{more}\t.data\n", 1)
    script = "ENTRY(start) SECTIONS { . = 0x100000; .text : { *(.text) } .data : { *(.data) } }"
    path = kernel(folder, source, script=script)
    ported = port(load(path), lines=False)
    sti = next(decision for decision in ported.decisions if decision.site.text == "sti")
    return path, ported, sti.choice.tactic


@pytest.mark.parametrize("fill", ["", ".fill 200, 1, 0x90"], ids=["short", "long"])
def test_all_ways_lead_where_they_led(tmp_path: Path, fill: str) -> None:
    path, ported, tactic = made(tmp_path, fill)
    assert tactic == "redirect"
    target = tmp_path / "ported.elf"
    target.write_bytes(elf_file(ported))
    for arguments in (("--unported", path), (target,), ("--slide", target)):
        assert ring3("run", *arguments, "--timeout", "10").stdout == _expected(), arguments


def test_a_branch_that_cannot_be_led_elsewhere_keeps_the_trap(tmp_path: Path) -> None:
    """LOOP has no long form, a pointer may be anybody's, what a kernel patches itself does not move, and of many
    branches not all are known."""
    pointer = "\t.data\n\t.align 4\n\t.long .Lenable\n"
    table = "\t.data\n\t.align 4\n\t.long .Laside - ., window - ., .Lenable - .\n"
    loop = "1f\n1: loop .Lenable\n\tret"
    many = ".Lenable\n" + "\tjc .Lenable\n" * 4 + "\tjmp .Lenable"
    for number, (to, more) in enumerate(((loop, ""), (".Lenable", pointer), (".Lenable", table), (many, ""))):
        folder = tmp_path / str(number)
        folder.mkdir()
        assert made(folder, "", to, more)[2] == "trap", to
