"""How guests end, and that the VMM says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hypervisor.outcome import Ending
from tests.hypervisor.engine import guests

FATES = {
    "triple fault": ("movw $0,idt_pointer\n r3_lidt idt_pointer\n ud2", Ending.TRIPLE_FAULT, "vector 8"),
    "bad stack in the TSS": ("movl $USER_DS,tss+8\n user $1f\n1:	ud2", Ending.TRIPLE_FAULT, "vector 8"),
    "no page tables": ("movl $0x200000,%eax\n r3_write_cr3 %eax\n movl $0x80000011,%eax\n r3_write_cr0 %eax\n nop",
                       Ending.TRIPLE_FAULT, "vector 8"),
    "halt for good": ("r3_cli\n r3_hlt", Ending.DEAD_HALT, "interrupts off"),
    "reset": ("movl $0xcf9,%edx\n movb $6,%al\n r3_out %al,%dx", Ending.RESET, "0xcf9"),
    "power off": ("movl $0x604,%edx\n movl $0x2000,%eax\n r3_out %ax,%dx", Ending.POWEROFF, "0x604"),
    "debug exit": ("movb $5,%al\n r3_out %al,$0xf4", Ending.EXIT, "0x5"),
}  # fmt: skip


@pytest.mark.parametrize("slide", [False, True], ids=["plain", "slide"])
@pytest.mark.parametrize("ported", [True, False], ids=["ported", "unported"])
@pytest.mark.parametrize("fate", FATES)
def test_fates(
    fate: str, ported: bool, slide: bool, assembled: Callable[[str, bool], Path], monitor: Path
) -> None:
    body, ending, cause = FATES[fate]
    kernel = assembled(f"test:	{body}\n", ported)
    traps = () if ported else guests.silent_instructions(kernel)
    outcome = guests.run(kernel, slide=slide, traps=traps).outcome
    assert outcome.ending is ending and cause in outcome.cause
