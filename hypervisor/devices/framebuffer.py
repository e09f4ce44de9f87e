"""The screen as a boot loader describes it to a kernel: the VGA's text, or a linear framebuffer.

A linear framebuffer is plain memory behind the guest's RAM, as graphics of a chipset take theirs: writing to it costs
nothing. There are no registers: the mode is what the kernel asked its loader for.
"""

from __future__ import annotations

from dataclasses import dataclass

from hypervisor.memory_map import MAX_MEMORY, VGA_TEXT

DEFAULT_WIDTH, DEFAULT_HEIGHT, DEFAULT_DEPTH = 1024, 768, 32
MAX_WIDTH, MAX_HEIGHT = 4096, 4096
_ALIGNMENT = 1 << 16  # of its size: VBE counts video memory in 64 KiB


@dataclass(frozen=True)
class Framebuffer:
    """`height` lines of `pitch` bytes at guest-physical `address`, `depth` bits for each pixel or character.

    `colours`: (lowest bit, bits) of red, green and blue; empty for text.
    """

    address: int
    width: int
    height: int
    pitch: int
    depth: int
    colours: tuple[tuple[int, int], ...] = ()

    @property
    def linear(self) -> bool:
        """Whether it shows pixels."""
        return bool(self.colours)

    @property
    def size(self) -> int:
        """Bytes of memory."""
        return -(-self.pitch * self.height // _ALIGNMENT) * _ALIGNMENT


TEXT = Framebuffer(VGA_TEXT, 80, 25, 160, 16)
_COLOURS = {
    15: ((10, 5), (5, 5), (0, 5)),
    16: ((11, 5), (5, 6), (0, 5)),
    24: ((16, 8), (8, 8), (0, 8)),
    32: ((16, 8), (8, 8), (0, 8)),
}


def linear_framebuffer(memory: int, width: int, height: int, depth: int) -> Framebuffer | None:
    """The framebuffer behind `memory` bytes of RAM for a kernel that prefers this mode; 0: no preference.

    A preference that cannot be met is met as nearly as possible; None where there is no room for any.
    """
    width = min(width, MAX_WIDTH) or DEFAULT_WIDTH
    height = min(height, MAX_HEIGHT) or DEFAULT_HEIGHT
    depth = depth if depth in _COLOURS else DEFAULT_DEPTH
    wanted = Framebuffer(memory, width, height, width * (-(-depth // 8)), depth, _COLOURS[depth])
    return wanted if memory + wanted.size <= MAX_MEMORY else None
