"""Loading: the kernel, its modules and the boot state of the virtual CPU.

A multiboot kernel finds the state of the Multiboot Specification, section 3.2; any other ELF kernel the
same with EAX = EBX = 0: protected mode, paging and interrupts off, flat 4 GiB segments, A20 open.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypercalls.layout import host_selector
from hypervisor.errors import RingError
from hypervisor.loaders import elf, multiboot
from hypervisor.loaders.placement import Placement
from hypervisor.memory_map import memory_map

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory
    from hypervisor.state import StateFile

BOOT_CS, BOOT_DS = 0x08, 0x10
_ACCESS_CODE, _ACCESS_DATA = 0xCF9B, 0xCF93  # ring 0, 32 bits, 4 GiB, accessed (SDM vol. 3, 3.4.5)
_ACCESS_LDT, _ACCESS_TSS = 0x0082, 0x008B
_GDT = struct.pack("<3Q", 0, 0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)
_STACK_SIZE = 0x1000

CR0_PE_ET = 0x11
EFLAGS_RESET = 0x2
DR6_RESET, DR7_RESET = 0xFFFF_0FF0, 0x400  # SDM vol. 3, table 10-1


@dataclass(frozen=True)
class ModuleFile:
    """A module to load: its file and the string the kernel is given with it."""

    path: Path
    text: str


@dataclass(frozen=True)
class Loaded:
    """What was loaded: the state at entry (physical addresses) and the kernel's segments."""

    entry: int
    eax: int
    ebx: int
    gdt: int
    stack_top: int
    image: elf.Image


def load(memory: GuestMemory, kernel: Path, command_line: str, modules: Sequence[ModuleFile]) -> Loaded:
    """Load `kernel` and what belongs to it into RAM.

    Raises RingError (nothing was written then) for every file that cannot be booted.
    """
    data = elf.read_file(kernel, "kernel")
    header = multiboot.find_header(kernel, data)
    if header and header.flags & multiboot.ADDRESS_FIELDS and data[:4] != b"\x7fELF":
        image = multiboot.image(kernel, data, header)
    else:
        image = elf.parse(kernel, data)
    placement = Placement(memory.size)
    for number, segment in enumerate(image.segments):
        placement.claim(f"{kernel}: segment {number}", segment.address, segment.size)
    if modules and not header:
        raise RingError(f"{kernel} has no multiboot header, so it takes no modules; leave out --module")
    contents = [elf.read_file(module.path, "module") for module in modules]
    placed = [
        (placement.find(f"module {module.path}", max(len(content), 1), align=4096, low=False), content, module)
        for module, content in zip(modules, contents, strict=True)
    ]
    eax = ebx = 0
    info = b""
    if header:
        regions = memory_map(memory.size)
        listed = [multiboot.Module(at, at + len(content), module.text) for at, content, module in placed]
        length = multiboot.information_size(regions, command_line, listed)
        eax, ebx = multiboot.BOOT_MAGIC, placement.find("boot information", length, low=True)
        info = multiboot.information(ebx, regions, command_line, listed)
    gdt = placement.find("the boot GDT", len(_GDT), low=True)
    stack = placement.find("the boot stack", _STACK_SIZE, low=True)

    for segment in image.segments:
        memory.write(segment.address, segment.data)
    for at, content, _ in placed:
        memory.write(at, content)
    if info:
        memory.write(ebx, info)
    memory.write(gdt, _GDT)
    return Loaded(image.entry, eax, ebx, gdt, stack + _STACK_SIZE, image)


def set_boot_state(state: StateFile, loaded: Loaded) -> None:
    """Put the virtual CPU of a fresh state file at the kernel's entry."""
    vcpu, shared = state.vcpu, state.shared
    vcpu.eax, vcpu.ebx, vcpu.eip, vcpu.esp = loaded.eax, loaded.ebx, loaded.entry, loaded.stack_top
    vcpu.eflags = EFLAGS_RESET
    # The host runs all guest code in ring 3, and CS and SS take its RPL whatever is loaded.
    vcpu.host_cs, vcpu.host_ss = host_selector(BOOT_CS) | 3, host_selector(BOOT_DS) | 3
    vcpu.host_ds = vcpu.host_es = vcpu.host_fs = vcpu.host_gs = host_selector(BOOT_DS)
    vcpu.cpl = vcpu.iopl = 0
    _segment(vcpu.cs, BOOT_CS, 0xFFFF_FFFF, _ACCESS_CODE)
    _segment(vcpu.ss, BOOT_DS, 0xFFFF_FFFF, _ACCESS_DATA)
    _segment(vcpu.ldtr, 0, 0xFFFF, _ACCESS_LDT)
    _segment(vcpu.tr, 0, 0xFFFF, _ACCESS_TSS)
    vcpu.gdt_base, vcpu.gdt_limit = loaded.gdt, len(_GDT) - 1
    vcpu.idt_base, vcpu.idt_limit = 0, 0x3FF
    vcpu.dr[6], vcpu.dr[7] = DR6_RESET, DR7_RESET
    shared.upcall_mask = shared.not_pending = 1
    shared.cr0, shared.cr2, shared.cr3, shared.cr4 = CR0_PE_ET, 0, 0, 0
    shared.cs, shared.ss = BOOT_CS, BOOT_DS


def _segment(target: Any, selector: int, limit: int, access: int) -> None:
    target.selector, target.base, target.limit, target.access = selector, 0, limit, access
