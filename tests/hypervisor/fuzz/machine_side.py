"""Random accesses by a guest to its VGA, or to a whole machine: ports and device memory, monitor and VMM together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any

from hypervisor.domain import DiskConfig, Domain, DomainConfig
from hypervisor.serial import SerialConfig
from tests.hypervisor.engine import guests

# Ports whose writes end the machine; what they do otherwise the VMM's side is asked.
_ENDING = {0x64, 0x92, 0xCF9, *range(0xF4, 0xF8), *range(0x604, 0x608), *range(0xB004, 0xB008), *range(0x4004, 0x4008)}
_VGA = [0x3B4, 0x3B5, 0x3BA, *range(0x3C0, 0x3D0), 0x3D4, 0x3D5, 0x3DA]
_CHIPS = [*_VGA, 0x20, 0x21, 0xA0, 0xA1,
          *range(0x40, 0x44), 0x61, 0x70, 0x71, *range(0x2E8, 0x2F0), *range(0x2F8, 0x300),
          *range(0x3E8, 0x3F0), *range(0x3F8, 0x400), 0x4D0, 0x4D1, 0xFFFF]
_AREA = 0x8000  # bytes accessed from each of four addresses on
_VGA_MEMORY = (0xA0000, 0xA8000, 0xB0000, 0xB8000)
_MEMORY = (0xFEE00000, 0xFEC00000, 0xA0000, 0xFED00000)

PLAYER = """
# EBP: left; ESI: state of a linear congruential generator. It gives 32 bits, of which the high ones are good.
.macro draw
	imull $1664525,%esi,%esi
	addl $1013904223,%esi
	movl %esi,%eax
	roll $16,%eax
.endm

test:	movl $COUNT,%ebp
	movl $SEED,%esi
1:	draw
	movl %eax,%ebx
	movzwl %ax,%ecx
	andl $7,%ecx
	cmpl $1,%ecx
	jbe memory
	xorl %edx,%edx
	draw
	movl $PORTS,%ecx
	divl %ecx
	movzwl ports(,%edx,2),%edx
	draw
	movl %eax,%edi
	testl $0x80,%ebx
	jnz read
	btl %edx,ending
	jc 9f
	movl %edi,%eax
	testl $0x100,%ebx
	jz 2f
	r3_out %al,%dx
	jmp 9f
2:	testl $0x200,%ebx
	jz 3f
	r3_out %ax,%dx
	jmp 9f
3:	testl $0xc00,%ebx
	jz 4f
	r3_out %eax,%dx
	jmp 9f
4:	pushl %esi
	movl %edi,%ecx
	andl $63,%ecx
	movl $buffer,%esi
	r3_rep_outsb
	popl %esi
	jmp 9f
read:	testl $0x100,%ebx
	jz 2f
	r3_in %dx,%al
	jmp 9f
2:	testl $0x200,%ebx
	jz 3f
	r3_in %dx,%ax
	jmp 9f
3:	testl $0xc00,%ebx
	jz 4f
	r3_in %dx,%eax
	jmp 9f
4:	movl %edi,%ecx
	andl $63,%ecx
	movl $buffer,%edi
	r3_rep_insw
	jmp 9f
memory:	draw
	movl %eax,%edx
	andl $AREA-4,%edx
	shrl $4,%ebx
	movl %ebx,%ecx
	andl $3,%ecx
	addl areas(,%ecx,4),%edx
	draw
	testl $4,%ebx
	jz 2f
	movl %eax,(%edx)
	jmp 9f
2:	movl (%edx),%eax
9:	decl %ebp
	jnz 1b
	finish

	.bss
buffer:	.skip 256
	.data
	.balign 4
"""


def _kernel(count: int, seed: int, folder: Path, ports: Sequence[int], memory: Sequence[int]) -> Path:
    """The guest that makes `count` accesses of random kinds to `ports` and from the addresses `memory` on."""
    ending = bytearray(0x2000)
    for port in _ENDING:
        for at in range(port - 3, port + 1):  # of wide accesses, too
            ending[at >> 3] |= 1 << (at & 7)
    first = Random(seed).getrandbits(32)
    body = f"\t.set COUNT,{count}\n\t.set SEED,{first:#x}\n\t.set AREA,{_AREA}\n\t.set PORTS,{len(ports)}\n{PLAYER}"
    body += "areas:\t.long " + ", ".join(map(hex, memory)) + "\n"
    body += "ending:\t.byte " + ", ".join(map(str, ending)) + "\n"
    body += "ports:\t.word " + ", ".join(map(hex, ports)) + "\n"
    return guests.assemble(body, folder / "fuzz", ported=True)


def _finishes(kernel: Path, count: int, **config: Any) -> None:
    result = guests.run(kernel, seconds=30 + count / 5000, **config)
    assert result.outcome.cause == "debug exit with value 0x0", result.outcome


def vga(count: int, seed: int, folder: Path) -> None:
    """A guest makes `count` accesses to the VGA and comes to its end. AssertionError where it does not."""
    _finishes(_kernel(count, seed, folder, _VGA, _VGA_MEMORY), count)


def run(count: int, seed: int, folder: Path) -> None:
    """A guest makes `count` accesses to all devices and comes to its end. AssertionError where it does not."""
    disk = folder / "disk"
    disk.write_bytes(bytes(64 * 512))
    config = {"disks": (DiskConfig(disk, index=1),),
              "serials": tuple(SerialConfig(number, "null") for number in (1, 2, 3))}  # fmt: skip
    asked = _kernel(1, seed, folder, [0x80], _MEMORY)  # only for its devices
    with Domain(DomainConfig(asked, memory=guests.MEMORY, **config)) as domain:
        domain.build()
        ports = sorted({*_CHIPS, *(port for device in domain.bus.devices for span in device.ports for port in span
                                   if port < 0x1000)})
    _finishes(_kernel(count, seed, folder, ports, _MEMORY), count, **config)
