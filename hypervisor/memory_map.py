"""The PC's physical memory map for a RAM size: declared once, told by multiboot, BIOS data and CMOS.

Types are ACPI's (ACPI 6.5, table 15.3): 1 usable, 2 reserved. The holes are those of every PC since
the AT: video memory and adapter ROMs at 640 KiB, the BIOS below 1 MiB, the interrupt controllers and
the flash ROM below 4 GiB.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypervisor.errors import RingError

USABLE, RESERVED = 1, 2

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
MIN_MEMORY = 2 * MIB
MAX_MEMORY = 0xE000_0000  # 3584 MiB: above are the interrupt controllers and, guest-virtual, the hole

EBDA = 0x9_FC00  # extended BIOS data area: the last KiB of base memory
FACS = EBDA + 0x80  # ACPI's structure that kernels write to
BASE_END = 0xA_0000
VGA_TEXT = 0xB_8000
ROM = 0xF_0000  # system BIOS
HIGH = 0x10_0000
IOAPIC = 0xFEC0_0000
LAPIC = 0xFEE0_0000

_UNITS = {"": MIB, "K": KIB, "M": MIB, "G": GIB}


@dataclass(frozen=True)
class Region:
    """`length` bytes of physical memory from `base`."""

    base: int
    length: int
    kind: int

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.base + self.length


def memory_map(size: int, video: int = 0) -> tuple[Region, ...]:
    """The regions for a machine with `size` bytes of RAM and `video` bytes of framebuffer behind it, ascending."""
    return (
        Region(0, EBDA, USABLE),
        Region(EBDA, BASE_END - EBDA, RESERVED),
        Region(ROM, HIGH - ROM, RESERVED),
        Region(HIGH, size - HIGH, USABLE),
        *((Region(size, video, RESERVED),) if video else ()),
        Region(IOAPIC, 0x1000, RESERVED),
        Region(LAPIC, 0x1000, RESERVED),
        Region(0xFFFC_0000, 0x4_0000, RESERVED),
    )


def check_size(size: int) -> int:
    """`size` in bytes if a machine can have that much RAM. Raises RingError otherwise."""
    if size < MIN_MEMORY:
        raise RingError(f"memory of {describe(size)} is too small; give at least {describe(MIN_MEMORY)}")
    if size > MAX_MEMORY:
        raise RingError(
            f"memory of {describe(size)} does not fit a 32-bit PC; give at most {describe(MAX_MEMORY)}"
        )
    if size % 4096:
        raise RingError(f"memory of {size} bytes is no whole number of pages; give a multiple of 4K")
    return size


def parse_size(text: str) -> int:
    """Bytes for a size as people write it: 64M, 1G, 8192K; a bare number counts MiB (as in QEMU).

    Raises RingError where the text is no size or no machine can have it.
    """
    digits, unit = text.strip().upper().removesuffix("IB").removesuffix("B"), ""
    if digits and digits[-1] in _UNITS:
        digits, unit = digits[:-1], digits[-1]
    if not (digits.isascii() and digits.isdigit()):
        raise RingError(f"'{text}' is no memory size; write for example 256M or 1G")
    return check_size(int(digits) * _UNITS[unit])


def describe(size: int) -> str:
    """A size for people: the largest unit that divides it."""
    for unit, name in ((GIB, "GiB"), (MIB, "MiB"), (KIB, "KiB")):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return f"{size} bytes"
