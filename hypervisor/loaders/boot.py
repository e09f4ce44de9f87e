"""Loading: which protocol a kernel is started by, and the boot state of the virtual CPU.

All protocols enter 32-bit protected mode with paging and interrupts off, flat 4 GiB segments and A20 open. Registers
and selectors are those of the protocol; an ELF or flat kernel finds EAX = EBX = ESI = 0.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

from hypercalls.layout import host_selector
from hypervisor.errors import RingError
from hypervisor.loaders import elf, linux, multiboot, multiboot2
from hypervisor.loaders.elf import Image, Segment
from hypervisor.loaders.handover import BootMachine, BootRequest, BootSegments, Plan, Protocol
from hypervisor.loaders.placement import Placement

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory
    from hypervisor.state import StateFile

_CODE, _DATA = 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF  # 4 GiB, ring 0, accessed
SEGMENTS = BootSegments(0x08, 0x10, struct.pack("<3Q", 0, _CODE, _DATA))
LINUX_SEGMENTS = BootSegments(0x10, 0x18, struct.pack("<4Q", 0, 0, _CODE, _DATA))  # __BOOT_CS, __BOOT_DS
_ACCESS_CODE, _ACCESS_DATA = 0xCF9B, 0xCF93  # ring 0, 32 bits, 4 GiB, accessed (SDM vol. 3, 3.4.5)
_ACCESS_LDT, _ACCESS_TSS = 0x0082, 0x008B
_STACK_SIZE = 0x1000

CR0_PE_ET = 0x11
EFLAGS_RESET = 0x2
DR6_RESET, DR7_RESET = 0xFFFF_0FF0, 0x400  # SDM vol. 3, table 10-1


def plan_boot(request: BootRequest, machine: BootMachine) -> Plan:
    """What is to lie where, and the registers at entry. Raises RingError for everything that cannot be booted."""
    kernel = request.kernel
    data = elf.read_file(kernel, "kernel")
    placement = Placement(machine.memory)
    protocol, header = _choose(request, data)
    _check_extras(request, protocol)
    if isinstance(header, multiboot.Header):
        plan = multiboot.plan(request, data, header, machine, placement, SEGMENTS)
    elif isinstance(header, multiboot2.Header):
        plan = multiboot2.plan(request, data, header, machine, placement, SEGMENTS)
    elif protocol is Protocol.LINUX:
        plan = linux.plan(request, data, machine, placement, LINUX_SEGMENTS)
    else:
        image = _flat(request, data) if protocol is Protocol.FLAT else elf.parse(kernel, data)
        placement.claim_image(kernel, image)
        plan = Plan(image, SEGMENTS)
    plan.gdt = placement.find("the boot GDT", len(plan.segments.gdt), low=True)
    plan.stack_top = placement.find("the boot stack", _STACK_SIZE, low=True) + _STACK_SIZE
    plan.parts.append((plan.gdt, plan.segments.gdt))
    return plan


def write(memory: GuestMemory, plan: Plan) -> None:
    """Put everything that `plan` says into RAM."""
    for segment in plan.image.segments:
        memory.write(segment.address, segment.data)
    for address, data in plan.parts:
        memory.write(address, data)


def _choose(request: BootRequest, data: bytes) -> tuple[Protocol, multiboot.Header | multiboot2.Header | None]:
    """The protocol, and its header in the file where it has one. A file of both multiboots is started by the first."""
    kernel, wanted = request.kernel, request.protocol
    if request.load_at is not None and wanted in (None, Protocol.FLAT):
        return Protocol.FLAT, None
    if request.load_at is not None or request.entry is not None or wanted is Protocol.FLAT:
        raise RingError("--load-at ADDRESS is for flat binaries, and they need it; --entry goes with it")
    if wanted in (None, Protocol.MULTIBOOT):
        first = multiboot.find_header(kernel, data)
        if first:
            return Protocol.MULTIBOOT, first
    if wanted in (None, Protocol.MULTIBOOT2):
        second = multiboot2.find_header(kernel, data)
        if second:
            return Protocol.MULTIBOOT2, second
    if wanted in (Protocol.MULTIBOOT, Protocol.MULTIBOOT2):
        raise RingError(f"{kernel} has no {wanted.value} header; leave out --protocol, or add a header")
    if wanted is None and (linux.is_bzimage(data) or request.initrd):
        return Protocol.LINUX, None
    return wanted or Protocol.ELF, None


def _check_extras(request: BootRequest, protocol: Protocol) -> None:
    is_multiboot = protocol in (Protocol.MULTIBOOT, Protocol.MULTIBOOT2)
    if request.modules and not is_multiboot:
        remedy = "give --initrd" if protocol is Protocol.LINUX else "leave out --module"
        raise RingError(f"{request.kernel} has no multiboot header, so it takes no modules; {remedy}")
    if request.initrd and protocol is not Protocol.LINUX:
        remedy = "give --module" if is_multiboot else "leave out --initrd"
        raise RingError(f"{request.kernel} is started by {protocol.value}, which knows no initrd; {remedy}")


def _flat(request: BootRequest, data: bytes) -> Image:
    """A binary that lies in memory as it does in its file."""
    assert request.load_at is not None
    if not data:
        raise RingError(f"{request.kernel} is empty; give the kernel's binary")
    image = Image((Segment(request.load_at, request.load_at, data, len(data)),), request.load_at)
    return image if request.entry is None else image.entered_at(request.kernel, request.entry)


def set_boot_state(state: StateFile, plan: Plan) -> None:
    """Put the virtual CPU of a fresh state file at the kernel's entry."""
    vcpu, shared, segments = state.vcpu, state.shared, plan.segments
    vcpu.eax, vcpu.ebx, vcpu.esi = plan.eax, plan.ebx, plan.esi
    vcpu.eip, vcpu.esp = plan.image.entry, plan.stack_top
    vcpu.eflags = EFLAGS_RESET
    # The host runs all guest code in ring 3, and CS and SS take its RPL whatever is loaded.
    vcpu.host_cs, vcpu.host_ss = host_selector(segments.code) | 3, host_selector(segments.data) | 3
    vcpu.host_ds = vcpu.host_es = vcpu.host_fs = vcpu.host_gs = host_selector(segments.data)
    vcpu.cpl = vcpu.iopl = 0
    _segment(vcpu.cs, segments.code, 0xFFFF_FFFF, _ACCESS_CODE)
    _segment(vcpu.ss, segments.data, 0xFFFF_FFFF, _ACCESS_DATA)
    _segment(vcpu.ldtr, 0, 0xFFFF, _ACCESS_LDT)
    _segment(vcpu.tr, 0, 0xFFFF, _ACCESS_TSS)
    vcpu.gdt_base, vcpu.gdt_limit = plan.gdt, len(segments.gdt) - 1
    vcpu.idt_base, vcpu.idt_limit = 0, 0x3FF
    vcpu.dr[6], vcpu.dr[7] = DR6_RESET, DR7_RESET
    shared.upcall_mask = shared.not_pending = 1
    shared.cr0, shared.cr2, shared.cr3, shared.cr4 = CR0_PE_ET, 0, 0, 0
    shared.cs, shared.ss = segments.code, segments.data


def _segment(target: Any, selector: int, limit: int, access: int) -> None:
    target.selector, target.base, target.limit, target.access = selector, 0, limit, access
