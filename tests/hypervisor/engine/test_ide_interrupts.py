"""When a drive interrupts: not within the command's own instruction, and soon behind it, however the guest waits."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypervisor.domain import DiskConfig
from tests.hypervisor.engine import guests
from tests.hypervisor.engine.ide_scripts import disk_image
from tests.hypervisor.engine.pieces import PC

SECTORS = 100

# Reads sector 7 of the primary master with interrupts on; `ready` is set behind the command, as a driver notes that it
# waits. `early` counts interrupts that came before.
DRIVER = """
	gate 0x2e, handler
	call controllers
	port $0x21, $0xfb
	port $0xa1, $0xbf
	movl $40,%ecx
again:	pushl %ecx
	movl $0,ready
	movl $0,interrupts
	port_to 0x1f6, $0xe0
	port_to 0x1f2, $1
	port_to 0x1f3, $7
	port_to 0x1f4, $0
	port_to 0x1f5, $0
	r3_sti
	port_to 0x1f7, $COMMAND
	movl $1,ready
	WAIT
	r3_cli
	movl $128,%ecx
	movl $0x1f0,%edx
	movl $sector,%edi
	r3_rep_insl
	popl %ecx
	decl %ecx
	jnz again
	say early, early
	say busy, busy
	say word, sector+64
	finish

handler:
	pushl %eax
	pushl %edx
	movl $0x1f7,%edx
	xorl %eax,%eax
	r3_in %dx,%al
	testb $0x80,%al
	jz 1f
	incl busy
1:	cmpl $1,ready
	je 1f
	incl early
1:	incl interrupts
	movb $0x20,%al
	r3_out %al,$0xa0
	r3_out %al,$0x20
	popl %edx
	popl %eax
	r3_iret

	.data
ready:	.long 0
interrupts: .long 0
early:	.long 0
busy:	.long 0
	.bss
sector:	.skip 512
	.text
"""

PORT = """
.macro port_to number:req, value:req
	movl $\\number,%edx
	movb \\value,%al
	r3_out %al,%dx
.endm
"""

WAITS = {
    "halts": """1:	r3_cli
	cmpl $0,interrupts
	jne 2f
	r3_sti_hlt
	jmp 1b
2:""",
    "spins": """1:	cmpl $0,interrupts
	je 1b""",
    "turns interrupts off and on": """1:	r3_cli
	cmpl $0,interrupts
	r3_sti
	je 1b""",
    "halts often, and spins then": """1:	cmpl $10,(%esp)
	jbe 3f
	r3_cli
	cmpl $0,interrupts
	jne 2f
	r3_sti_hlt
	jmp 1b
3:	cmpl $0,interrupts
	je 3b
2:""",
    "looks at the alternate status": """1:	movl $0x3f6,%edx
	r3_in %dx,%al
	cmpl $0,interrupts
	je 1b""",
}


@pytest.mark.parametrize("command", [0x20, 0xEC], ids=["the monitor's", "the VMM's"])
@pytest.mark.parametrize("wait", WAITS)
@pytest.mark.parametrize("ported", [True, False], ids=["ported", "unported"])
def test_it_comes_when_the_driver_waits(wait: str, command: int, ported: bool, tmp_path: Path, monitor: Path) -> None:
    body = f"{PC}{PORT}\n.set COMMAND, {command}\n.macro WAIT\n{WAITS[wait]}\n.endm\ntest:{DRIVER}"
    kernel = guests.assemble(body, tmp_path / "guest", ported)
    traps = () if ported else guests.silent_instructions(kernel)
    disk = DiskConfig(disk_image(tmp_path / "disk", SECTORS), index=0)
    result = guests.run(kernel, seconds=20, disks=(disk,), traps=traps)
    assert result.outcome.cause == "debug exit with value 0x0", result
    word = {0x20: 7 * 0x1234567, 0xEC: int.from_bytes(b" " * 4)}[command]  # IDENTIFY: of the model's name
    said = result.items
    assert (said["early"], said["busy"]) == (0, 0)
    assert said["word"] == word
