"""Devices that a PC may have and this one has not: a kernel that probes for them finds an empty bus."""

from __future__ import annotations

from tests.hypervisor.engine.conftest import Machine


def test_no_hpet(machine: Machine) -> None:
    """Where chipsets put it; no ACPI table tells of one (tests/hypervisor/firmware)."""
    said = machine("""
test:	movl $0xfed00000,%ebx
	say capabilities, (%ebx)
	say period, 4(%ebx)
	movl $1,0x10(%ebx)
	say configuration, 0x10(%ebx)
	say counter, 0xf0(%ebx)
	finish
""")
    assert set(said.values()) == {0xFFFF_FFFF} and len(said) == 4


def test_no_floppy(machine: Machine) -> None:
    """Drive types in CMOS are 0, and the controller's main status never says that it is ready (bits 7-6: 10)."""
    said = machine("""
.macro read name:req, port:req
	movl $\\port,%edx
	xorl %eax,%eax
	r3_in %dx,%al
	say \\name, %eax
.endm
test:	movb $0x10,%al
	r3_out %al,$0x70
	read drives, 0x71
	movl $0x3f2,%edx
	movb $0x0c,%al
	r3_out %al,%dx
	read output, 0x3f2
	read status, 0x3f4
	read data, 0x3f5
	finish
""")
    assert said == {"drives": 0, "output": 0xFF, "status": 0xFF, "data": 0xFF}
