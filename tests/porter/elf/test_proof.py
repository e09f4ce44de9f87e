"""What counts as proven to be code in a stripped kernel, and what does not."""

from __future__ import annotations

import subprocess
from pathlib import Path

from porter.binary.image import load
from porter.elf.port import port
from tests.porter.compiled import kernel

_SCRIPT = "ENTRY(start) SECTIONS { . = 0x100000; .text : { *(.text) } .data : { *(.data) } }"
_START = """
	.globl start
start:	movl $0x200000, %esp
	{calls}
1:	jmp 1b
.Lproven: ret
.Lnever: cli
1:	jmp 1b
	.balign 16, 0x90
"""
_VARIABLES = "\t.data\n\t.align 4\n.Lvariable: .long 7\n"


def treatments(folder: Path, calls: str, code: str, data: str = "") -> dict[str, tuple[str, bool]]:
    """By its text, what becomes of each sensitive instruction, and whether the report calls that a guess."""
    path = kernel(folder, _START.replace("{calls}", calls) + code + _VARIABLES + data, script=_SCRIPT)
    subprocess.run(["strip", path], check=True)
    return {decision.site.text: (decision.treatment, "guess" in decision.choice.why)
            for decision in port(load(path), lines=False).decisions}  # fmt: skip


def test_bytes_of_proven_code_are_no_branches(tmp_path: Path) -> None:
    """An immediate in a function that only a pointer names looks like a branch over the beginning of the next one."""
    code = """
.Lfirst: call .Lproven
	movl ${immediate}, %eax
	ret
	.balign 16, 0x90
.Lsecond: movl .Lvariable, %eax
	inb $0x60, %al
	ret
"""
    calls, data = "pushl $.Lsecond\n\tcall .Lproven", "\t.long .Lfirst\n"
    # The second byte of the immediate is JO, and the third its distance: to behind the first instruction of .Lsecond.
    for number, immediate in enumerate(("0", "0x000c7000")):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = treatments(folder, calls, code.replace("{immediate}", immediate), data)
        assert found["in al, 0x60"] == ("ported", False), immediate


def test_what_fills_up_between_functions_is_no_branch(tmp_path: Path) -> None:
    """A NOP behind a call that does not come back, with a byte that looks like a branch into the next function."""
    code = """
.Lfirst: call .Lnever
	.byte 0x8d, 0x74, 0x26, 0
.Lsecond: movl .Lvariable, %eax
	.fill 40, 1, 0x41
	inb $0x60, %al
	ret
"""
    found = treatments(tmp_path, "pushl $.Lsecond\n\tcall .Lproven\n\tjmp .Lfirst", code)
    assert found["in al, 0x60"] == ("ported", False)


def test_what_fills_up_behind_a_call_without_return_is_nobody_else_s(tmp_path: Path) -> None:
    code = """
.Lfunction: movl 4(%esp), %eax
	testl %eax, %eax
	jz 1f
	call .Lproven
	jmp 2f
1:	call .Lnever
	.byte 0x8d, 0xb4, 0x26, 0, 0, 0, 0
2:	inb $0x60, %al
	ret
"""
    assert treatments(tmp_path, "call .Lproven", code, "\t.long .Lfunction\n")["in al, 0x60"] == ("ported", False)


_TABLE = "\t.long .Lproven, .Lfunction, 0\n"


def test_functions_of_a_table(tmp_path: Path) -> None:
    """One that makes a frame, beside one that is proven, is taken for code, and called a guess."""
    frame = ".Lfunction: pushl %ebp\n\tmovl %esp, %ebp\n\tinb $0x60, %al\n\t{end}\n\tret\n\t.balign 16, 0x90\n"
    for number, (end, table, expected) in enumerate((
        ("popl %ebp", _TABLE, ("ported", True)),
        ("leave\n\txorl %eax, %eax", _TABLE, ("ported", True)),
        ("nop", _TABLE, ("left", False)),  # the frame stays
        ("popl %ebp\n\tret\n\t.byte 0x9d, 0x5d, 0x89", _TABLE, ("left", False)),  # bytes behind that nobody reads
        ("popl %ebp", "\t.long 0, .Lfunction, 0\n", ("left", False)),  # nothing proven stands beside it
    )):  # fmt: skip
        folder = tmp_path / str(number)
        folder.mkdir()
        assert treatments(folder, "call .Lproven", frame.replace("{end}", end), table)["in al, 0x60"] == expected, end


def test_what_may_be_copied_for_programs_traps(tmp_path: Path) -> None:
    """An `int` that the kernel does not come to by itself; one that it does is ported."""
    source = _START.replace("{calls}", "call .Lcalled\n\tpushl $.Lcopied\n\tcall .Lproven") + """
	.type .Lcalled, @function
.Lcalled: movl $1, %eax
	int $0x40
	ret
	.globl copied
	.type copied, @function
copied:
.Lcopied: movl $11, %eax
	int $0x80
	jmp .Lcopied
"""
    found = {one.site.text: (one.treatment, one.choice.tactic)
             for one in port(load(kernel(tmp_path, source, script=_SCRIPT)), lines=False).decisions}  # fmt: skip
    assert found["int 0x40"] == ("ported", "jump") and found["int 0x80"] == ("left", "trap")
