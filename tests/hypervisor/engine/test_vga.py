"""The VGA in a guest: when its memory is plain, when it is worked out, and who sees the change."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hypervisor.display.frame import frame
from hypervisor.domain import Domain, DomainConfig
from hypervisor.screen.pixels import render
from hypervisor.screen.text import screen_text
from tests.hypervisor.engine import guests
from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.pieces import PAGING

VGA = """
	.set TEXT,0xb8000
	.set PICTURE,0xa0000
.macro vga port:req, index:req, value:req	# an index port and the data port behind it
	movw $\\port,%dx
	movw $(\\value << 8 | \\index),%ax
	r3_out %ax,%dx
.endm
.macro planar
	vga 0x3c4, 2, 0x0f
	vga 0x3c4, 4, 0x06
	vga 0x3ce, 5, 0
	vga 0x3ce, 6, 0x05
.endm
.macro text
	vga 0x3c4, 2, 3
	vga 0x3c4, 4, 2
	vga 0x3ce, 5, 0x10
	vga 0x3ce, 6, 0x0e
.endm
"""


def test_text_moves_into_the_planes_and_back(machine: Machine) -> None:
    said = machine(VGA + """
test:	movl $0x1f421e41,TEXT
	planar
	vga 0x3ce, 4, 0
	movzbl PICTURE,%ebx
	say first, %ebx
	vga 0x3ce, 4, 1
	movzbl PICTURE+2,%ebx
	say second, %ebx
	vga 0x3c4, 2, 1
	movb $0x5a,PICTURE
	text
	say text, TEXT
	finish
""")
    assert said == {"first": 0x41, "second": 0x1F, "text": 0x1F421E5A}


def test_a_change_of_mode_reaches_every_address_space(machine: Machine) -> None:
    """Two directories map the text; one changes the mode while the other has the text mapped."""
    said = machine(PAGING + VGA + """
	.set SECOND,0x205000
test:	call paging
	movl $PD,%esi
	movl $SECOND,%edi
	movl $1024,%ecx
	rep movsl
	movl $0x11111111,TEXT
	movl $SECOND,%eax
	r3_write_cr3 %eax
	movl $0x22222222,TEXT+4
	movl $PD,%eax
	r3_write_cr3 %eax
	planar
	movl $SECOND,%eax
	r3_write_cr3 %eax
	movl TEXT,%ebx
	say gone, %ebx
	movl $0x33333333,PICTURE
	movl $PD,%eax
	r3_write_cr3 %eax
	movl TEXT+4,%ebx
	say gone_too, %ebx
	text
	movl $SECOND,%eax
	r3_write_cr3 %eax
	say back, TEXT+4
	movl $0x44444444,TEXT
	movl $PD,%eax
	r3_write_cr3 %eax
	say same, TEXT
	finish
""")
    assert said == {"gone": 0xFFFF_FFFF, "gone_too": 0xFFFF_FFFF, "back": 0x22222222, "same": 0x44444444}


def test_windows_that_are_not_decoded(machine: Machine) -> None:
    """Also where memory on either side was touched before, from which mappings reach further."""
    said = machine(VGA + """
test:	movl 0x80000,%eax
	movl 0x90000,%eax
	movl TEXT+0x1000,%eax
	movl 0xc0000,%eax
	movl $0x12345678,PICTURE
	movl PICTURE,%eax
	say picture, %eax
	movl 0xb0000,%eax
	say mono, %eax
	movl 0x9fffc,%ebx
	movl $0xabcdef01,0x9fffc
	movl 0x9fffc,%eax
	movl %ebx,0x9fffc
	say below, %eax
	movl $0x10203040,0xc0000
	say above, 0xc0000
	vga 0x3ce, 6, 0x0a
	movl TEXT,%eax
	say text, %eax
	finish
""")
    assert said == {"picture": 0xFFFF_FFFF, "mono": 0xFFFF_FFFF, "below": 0xABCDEF01, "above": 0x10203040,
                    "text": 0xFFFF_FFFF}  # fmt: skip


def test_string_instructions_in_planar_modes(machine: Machine) -> None:
    said = machine(VGA + """
test:	planar
	cld
	movl $0x11,%eax
	movl $PICTURE,%edi
	movl $100,%ecx
	rep stosb
	say count, %ecx
	vga 0x3c4, 2, 2
	movl $0x22222222,%eax
	movl $PICTURE+16,%edi
	movl $4,%ecx
	rep stosl
	vga 0x3ce, 5, 1		# copy by the latches
	vga 0x3c4, 2, 15
	movl $PICTURE,%esi
	movl $PICTURE+0x1000,%edi
	movl $64,%ecx
	rep movsb
	vga 0x3ce, 5, 0
	vga 0x3ce, 4, 1
	movl PICTURE+0x1010,%eax
	say plane_1, %eax
	vga 0x3ce, 4, 2
	movl PICTURE+0x1010,%eax
	say plane_2, %eax
	finish
""")
    assert said == {"count": 0, "plane_1": 0x22222222, "plane_2": 0x11111111}


def test_the_crtc_is_where_misc_output_says(machine: Machine) -> None:
    said = machine(VGA + """
.macro ask name:req, port:req
	movw $\\port,%dx
	xorl %eax,%eax
	r3_in %dx,%al
	say \\name, %eax
.endm
test:	vga 0x3d4, 15, 0x55
	ask colour, 0x3d5
	ask no_mono, 0x3b5
	movw $0x3cc,%dx
	r3_in %dx,%al
	andb $0xfe,%al
	movw $0x3c2,%dx
	r3_out %al,%dx
	ask mono, 0x3b5
	ask no_colour, 0x3d5
	ask no_status, 0x3da
	finish
""")
    assert said == {"colour": 0x55, "no_mono": 0xFF, "mono": 0x55, "no_colour": 0xFF, "no_status": 0xFF}


def run(kernel: Path) -> Domain:
    """The domain after the guest has ended."""
    domain = Domain(DomainConfig(kernel, memory=guests.MEMORY))
    domain.build()
    domain.run(guests.Recorder())
    return domain


def test_text_and_256_colours_cost_no_trap(assembled: Callable[[str, bool], Path], monitor: Path) -> None:
    kernel = assembled(VGA + """
test:	movl $2000,%ecx
1:	movw $0x0741,TEXT-2(,%ecx,2)
	loop 1b
	planar
	vga 0x3c4, 4, 0x0e
	vga 0x3ce, 5, 0x40
	movl $64000,%ecx
2:	movb %cl,PICTURE-1(%ecx)
	loop 2b
	finish
""", True)
    with run(kernel) as domain:
        assert domain.control.emulated == 0
        snapshot = domain.vga.snapshot()
        assert snapshot.planes[:1] == b"\x01" and snapshot.planes[0x10000:0x10001] == b"\x02"


def test_what_is_not_decoded_is_counted(assembled: Callable[[str, bool], Path], monitor: Path) -> None:
    kernel = assembled(VGA + """
test:	movb $1,PICTURE
	movb 0xb1234,%al
	movw $0x3ba,%dx
	r3_in %dx,%al
	finish
""", True)
    with run(kernel) as domain:
        assert domain.bus.absent == {("write", 0xA0000): 1, ("read", 0xB1000): 1, ("in", 0x3BA): 1}


FUZZ = """
	.set ROUNDS,%d
test:	movl $%d,%%esi
	movl $ROUNDS,%%edi
1:	imull $1103515245,%%esi
	addl $12345,%%esi
	movl %%esi,%%edx		# a port of 0x3b0-0x3df
	shrl $20,%%edx
	andl $0x3f,%%edx
	cmpl $0x30,%%edx
	jae 3f
	addl $0x3b0,%%edx
	movl %%esi,%%eax
	shrl $8,%%eax
	testl $0x4000000,%%esi
	jz 2f
	r3_in %%dx,%%al
	jmp 4f
2:	testl $0x8000000,%%esi
	jz 5f
	r3_out %%ax,%%dx
	jmp 4f
5:	r3_out %%al,%%dx
	jmp 4f
3:	movl %%esi,%%ebx			# or memory
	shrl $12,%%ebx
	andl $0x1ffff,%%ebx
	addl $0xa0000,%%ebx
	testl $0x400,%%esi
	jz 6f
	movl (%%ebx),%%eax
	movb (%%ebx),%%al
6:	movw %%si,(%%ebx)
	movb %%al,1(%%ebx)
4:	decl %%edi
	jnz 1b
	finish
"""
FUZZ_ACCESSES = 20_000


@given(st.integers(0, 0xFFFF_FFFF))
@settings(max_examples=6, deadline=None)
def test_no_accesses_break_it(seed: int) -> None:
    """The monitor lives on, and what comes of it can be drawn."""
    with tempfile.TemporaryDirectory() as folder:
        kernel = guests.assemble(FUZZ % (FUZZ_ACCESSES, seed), Path(folder, "guest"), ported=True)
        with Domain(DomainConfig(kernel, memory=guests.MEMORY)) as domain:
            domain.build()
            result = domain.run(guests.Recorder())
            assert result.cause == "debug exit with value 0x0", result
            snapshot = domain.vga.snapshot()
            assert render(snapshot).shape[2] == 3
            assert frame(snapshot, 80, 25).fitted(80, 25)
            screen_text(snapshot)
