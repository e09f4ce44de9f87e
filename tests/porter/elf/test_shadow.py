"""What `sti` withholds for one more instruction, where that instruction has a jump of ring3's in front of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from porter.binary.image import load
from porter.elf.port import port
from porter.elf.write import elf_file
from tests.hypervisor.engine import guests
from tests.hypervisor.engine.pieces import PC

pytestmark = pytest.mark.usefixtures("monitor")

# An interrupt is pending; `sti` is too short for a jump of its own, and others come to what is behind it.
_SETUP = f"""{PC}
test:	call controllers
	gate 0x20, tock
	port $0x43, $0x30
	port $0x40, $0x10
	port $0x40, $0
	port $0x21, $0xfe
	port $0x20, $0x0a
1:	inb $0x20,%al
	testb $1,%al
	jz 1b
	call window
	say within, %ebx
	say ticks, ticks
	finish
tock:	incl ticks
	pushl %eax
	movl ticks,%eax
	movl %eax,%cr2
	popl %eax
	iret
	.globl window
	.type window,@function
"""
_JUMP = """
window:	testl %eax,%eax
	jz 2f
	sti
2:	movl ticks,%ebx
	nop
	cli
	ret
	.size window, . - window
"""
# Three bytes are free, and there is padding behind the function.
_ISLAND = """
window:	testl %eax,%eax
	jz 2f
	sti
2:	movl %cr2,%ebx
3:	nop
	nop
	cli
	testl %eax,%eax
	jz 3b
	ret
	.fill 8, 1, 0x90
	.size window, . - window
"""


@pytest.mark.parametrize(("body", "text", "tactic"), [(_JUMP, "cli", "jump"), (_ISLAND, "mov ebx, cr2", "island")])
def test_the_instruction_behind_sti_runs_before_a_pending_interrupt(
    tmp_path: Path, body: str, text: str, tactic: str
) -> None:
    kernel, target = guests.assemble(_SETUP + body, tmp_path / "shadow", ported=False), tmp_path / "ported.elf"
    ported = port(load(kernel), lines=False)
    tactics = {one.site.text: one.choice.tactic for one in ported.decisions
               if one.site.symbol and one.site.symbol[0] == "window"}  # fmt: skip
    assert (tactics["sti"], tactics[text]) == ("jump", tactic)
    target.write_bytes(elf_file(ported))
    assert guests.run(target).items == {"within": 0, "ticks": 1}
