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
_BODY = f"""{PC}
test:	call controllers
	gate 0x20, tick
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
	.globl window
	.type window,@function
window:	testl %eax,%eax
	jz 2f
	sti
2:	movl ticks,%ebx
	nop
	cli
	ret
	.size window, . - window
"""


def test_the_instruction_behind_sti_runs_before_a_pending_interrupt(tmp_path: Path) -> None:
    kernel, target = guests.assemble(_BODY, tmp_path / "shadow", ported=False), tmp_path / "ported.elf"
    ported = port(load(kernel), lines=False)
    at = next(decision for decision in ported.decisions if decision.site.text == "sti")
    assert at.treatment == "ported" and at.choice.tactic == "jump"
    target.write_bytes(elf_file(ported))
    assert guests.run(target).items == {"within": 0, "ticks": 1}
