"""What firmware leaves in a VGA: the registers of mode 3 (80x25 text, 9x16 cells) and its palette.

Source: IBM VGA/XGA Technical Reference, chapter 2, "Initial values by BIOS mode".
"""

from __future__ import annotations

MISC = 0x67  # colour addresses at 0x3Dx, RAM enabled, 28 MHz
FEATURE = 0
DAC_MASK = 0xFF
SEQUENCER = bytes.fromhex("0300030002")
GRAPHICS = bytes.fromhex("0000000000100e0fff")
CRTC = bytes.fromhex("5f4f50825581bf1f004f0d0e000000009c8e8f281f96b9a3ff")
ATTRIBUTES = bytes.fromhex("000102030405140738393a3b3c3d3e3f0c000f0800")
ATTRIBUTE_INDEX = 0x20  # the palette is in use: the screen is on


def _intensity(colour: int, strong: int, weak: int) -> int:
    """One component of an EGA colour: bits `strong` and `weak` make two thirds and one third of full."""
    return 42 * (colour >> strong & 1) + 21 * (colour >> weak & 1)


# The 64 colours of an EGA, rgbRGB; the rest of the palette is black.
DAC = b"".join(
    bytes((_intensity(colour, 2, 5), _intensity(colour, 1, 4), _intensity(colour, 0, 3))) for colour in range(64)
)
