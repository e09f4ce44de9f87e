"""What the user asks to be booted, what a loader may tell of the machine, and what a protocol plans to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from hypervisor.devices.framebuffer import Framebuffer
from hypervisor.loaders.elf import Image, read_file
from hypervisor.loaders.placement import Placement
from hypervisor.memory_map import Region, memory_map

LOADER_NAME = "ring3"
BOOT_DISK = 0x80  # BIOS number of the first hard disk, from which a PC boots
PAGE = 4096


class Protocol(Enum):
    """How a kernel wants to be started."""

    MULTIBOOT = "multiboot"
    MULTIBOOT2 = "multiboot2"
    LINUX = "linux"
    ELF = "elf"
    FLAT = "flat"


@dataclass(frozen=True)
class ModuleFile:
    """A module to load: its file and the string the kernel is given with it."""

    path: Path
    text: str


@dataclass(frozen=True)
class BootRequest:
    """What to boot. `protocol` None: what the file shows; `load_at`, `entry`: of a flat binary."""

    kernel: Path
    append: str = ""
    modules: tuple[ModuleFile, ...] = ()
    initrd: Path | None = None
    protocol: Protocol | None = None
    load_at: int | None = None
    entry: int | None = None


@dataclass(frozen=True)
class BootMachine:
    """What loaders tell a kernel of its machine: bytes of RAM, and the firmware's tables."""

    memory: int
    rsdp_address: int
    rsdp: bytes
    smbios_entry: bytes

    def regions(self, framebuffer: Framebuffer | None) -> tuple[Region, ...]:
        """The memory map; a linear framebuffer lies behind the RAM."""
        return memory_map(self.memory, framebuffer.size if framebuffer and framebuffer.linear else 0)


@dataclass(frozen=True)
class BootSegments:
    """The segments at entry: flat ones of 4 GiB, by selector, and the GDT that has them."""

    code: int
    data: int
    gdt: bytes


@dataclass
class Plan:
    """The kernel's image, what else goes where, and the registers at entry (physical addresses).

    `framebuffer`: the one that the kernel was told of, or None.
    """

    image: Image
    segments: BootSegments
    parts: list[tuple[int, bytes]] = field(default_factory=list)
    eax: int = 0
    ebx: int = 0
    esi: int = 0
    framebuffer: Framebuffer | None = None
    gdt: int = 0
    stack_top: int = 0


@dataclass(frozen=True)
class Module:
    """A boot module in memory: [`start`, `end`), and its string."""

    start: int
    end: int
    text: str


def place_modules(placement: Placement, files: Sequence[ModuleFile]) -> tuple[list[Module], list[tuple[int, bytes]]]:
    """Find room for modules, each on pages of its own: what is told of them, and what goes where.

    Raises RingError where one cannot be read or does not fit.
    """
    modules, parts = [], []
    for file in files:
        content = read_file(file.path, "module")
        at = placement.find(f"module {file.path}", max(len(content), 1), align=PAGE, low=False)
        modules.append(Module(at, at + len(content), file.text))
        parts.append((at, content))
    return modules, parts
