"""The registers and the memory of a VGA at one moment, and how the display controller addresses them.

Source: IBM VGA/XGA Technical Reference, "CRT Controller Registers" and "Attribute Controller Registers".
"""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypercalls import layout
from hypercalls.structs import VGA, VgaPlain
from hypervisor.errors import RingError

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory

PLANE = layout.VGA_PLANE_SIZE
PLANES_SIZE = PLANE * layout.VGA_PLANES
FONT_PLANE = 2
GLYPH_BYTES = 32  # from one character's shape to the next in the font plane
RGB = tuple[int, int, int]

_WINDOWS = {(0xA_0000, 0x1_0000), (0xB_0000, 0x8000), (0xB_8000, 0x8000)}  # that may be plain
_STEPS = {VgaPlain.ODD_EVEN: 2, VgaPlain.CHAIN4: 4}  # planes that share a plain window, in turn
_START_HIGH, _START_LOW = 0x0C, 0x0D


def plain_window(state: Any) -> tuple[int, int] | None:
    """Address and bytes of video memory that is guest RAM; None where `state` says that it is not, or nonsense."""
    window = state.window, state.window_size
    return window if state.plain in _STEPS and window in _WINDOWS else None


@dataclass(frozen=True)
class VgaSnapshot:
    """A VGA: `registers` as `vga_state` of the contract, `planes` the four planes behind each other."""

    registers: Any
    planes: bytes

    @classmethod
    def take(cls, registers: bytes, planes: bytes | memoryview, memory: GuestMemory) -> VgaSnapshot:
        """What `registers` and `planes` (of the state file) and the window in guest RAM say together."""
        state = VGA.ctype.from_buffer_copy(registers)
        content = bytearray(planes)
        window = plain_window(state)
        if window:
            data, step = memory.read(*window), _STEPS[state.plain]
            for number in range(step):
                first = number * PLANE
                content[first : first + len(data) : step] = data[number::step]
        return cls(state, bytes(content))

    def packed(self) -> dict[str, str]:
        """As JSON values, for a control socket."""
        return {
            "registers": base64.b64encode(bytes(self.registers)).decode(),
            "planes": base64.b64encode(zlib.compress(self.planes, 1)).decode(),
        }

    @classmethod
    def unpacked(cls, values: dict[str, str]) -> VgaSnapshot:
        """Inverse of `packed`. Raises RingError where the values are none of ours."""
        try:
            registers = base64.b64decode(values["registers"])
            planes = zlib.decompress(base64.b64decode(values["planes"]))
            if len(planes) != PLANES_SIZE:
                raise ValueError("wrong length")
            return cls(VGA.ctype.from_buffer_copy(registers), planes)
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise RingError(f"the guest's screen came damaged ({error}); take the screenshot again") from error

    # --- what the registers say ---------------------------------------------------------------------

    @property
    def is_text(self) -> bool:
        """Whether characters are shown, not graphics."""
        return not (self.registers.graphics[6] & 1 or self.registers.attributes[0x10] & 1)

    @property
    def is_on(self) -> bool:
        """Whether anything is shown: the sequencer's screen-off bit and the palette's address source."""
        return not self.registers.sequencer[1] & 0x20 and bool(self.registers.attribute_index & 0x20)

    @property
    def start(self) -> int:
        """Address counter of the upper left corner."""
        return int(self.registers.crtc[_START_HIGH] << 8 | self.registers.crtc[_START_LOW])

    @property
    def pitch(self) -> int:
        """Address counts from one row to the next."""
        return int(self.registers.crtc[0x13]) * 2

    @property
    def columns(self) -> int:
        """Character clocks in a line."""
        return int(self.registers.crtc[0x01]) + 1

    @property
    def lines(self) -> int:
        """Scan lines shown."""
        overflow = self.registers.crtc[0x07]
        return int(self.registers.crtc[0x12] | (overflow & 2) << 7 | (overflow & 0x40) << 3) + 1

    @property
    def line_compare(self) -> int:
        """Scan line behind which the display goes on at address 0 (split screen)."""
        crtc = self.registers.crtc
        return int(crtc[0x18] | (crtc[0x07] & 0x10) << 4 | (crtc[0x09] & 0x40) << 3)

    @property
    def cell_height(self) -> int:
        """Scan lines of a character row."""
        return int(self.registers.crtc[0x09] & 0x1F) + 1

    @property
    def line_doubling(self) -> int:
        """How often each line is scanned: 2 with the 200-line bit."""
        return 2 if self.registers.crtc[0x09] & 0x80 else 1

    def address(self, counter: int) -> int:
        """Address in the planes for an address count: byte, word or doubleword mode."""
        if self.registers.crtc[0x14] & 0x40:
            return (counter << 2 | counter >> 14 & 3) % PLANE
        mode = self.registers.crtc[0x17]
        if mode & 0x40:
            return counter % PLANE
        return (counter << 1 | counter >> (15 if mode & 0x20 else 13) & 1) % PLANE

    def palette(self) -> list[RGB]:
        """The 16 colours of text and of 16-colour modes, 8 bits a component."""
        attributes = self.registers.attributes
        select, mode = attributes[0x14], attributes[0x10]
        return [
            self.colour((entry & 0xF | (select & 0xF) << 4) if mode & 0x80 else (entry & 0x3F | (select & 0xC) << 4))
            for entry in attributes[:16]
        ]

    def colour(self, index: int) -> RGB:
        """Colour `index` of the DAC, 8 bits a component."""
        at = (index & self.registers.dac_mask) * 3
        red, green, blue = (value << 2 & 0xFC | value >> 4 & 3 for value in self.registers.dac[at : at + 3])
        return red, green, blue
