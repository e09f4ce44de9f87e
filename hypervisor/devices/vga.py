"""The VGA as the VMM sees it: set up as firmware does, and what it shows.

The monitor keeps the registers and works out what reaches the planes (hypervisor/monitor/vga.c and
vga_memory.c); in text mode the window at 0xb8000 is plain guest RAM. `snapshot` is all that is needed to
draw the screen (hypervisor/screen/), taken while the guest runs: a picture may hold a half-drawn frame, as a
photograph of a real screen does.
"""

from __future__ import annotations

import zlib

from hypercalls.structs import VgaPlain
from hypervisor.bus import Bus, Device
from hypervisor.devices import vga_tables
from hypervisor.devices.framebuffer import Framebuffer
from hypervisor.memory_map import VGA_TEXT
from hypervisor.screen.font import font
from hypervisor.screen.linear import LinearSnapshot
from hypervisor.screen.snapshot import FONT_PLANE, GLYPH_BYTES, PLANE, VgaSnapshot, plain_window
from hypervisor.screen.text import screen_text

_BLANK = b" \x07"  # light grey on black
_CELLS = 80 * 25
_TEXT_WINDOW = 0x8000


class Vga(Device):
    """A VGA in colour text mode, 80 columns by 25 rows, until the guest changes that. Its ports are the monitor's."""

    name = "VGA"

    def __init__(self, linear: Framebuffer | None = None) -> None:
        """`linear`: the framebuffer that is shown instead of the VGA's own memory, which a loader has set."""
        self._linear = linear

    def attach(self, bus: Bus) -> None:
        self._memory = bus.memory
        self._state, self._planes = bus.vga()
        state = self._state
        for name in ("sequencer", "graphics", "crtc", "attributes", "dac"):
            values = getattr(vga_tables, name.upper())
            getattr(state, name)[: len(values)] = values
        state.misc, state.feature, state.dac_mask = vga_tables.MISC, vga_tables.FEATURE, vga_tables.DAC_MASK
        state.attribute_index = vga_tables.ATTRIBUTE_INDEX
        state.plain, state.window, state.window_size = VgaPlain.ODD_EVEN, VGA_TEXT, _TEXT_WINDOW
        shapes = b"".join(glyph.ljust(GLYPH_BYTES, b"\0") for glyph in font())
        self._planes[FONT_PLANE * PLANE : FONT_PLANE * PLANE + len(shapes)] = shapes
        bus.memory.write(VGA_TEXT, _BLANK * _CELLS)

    def snapshot(self) -> VgaSnapshot | LinearSnapshot:
        """All that is needed to draw the screen, at this moment."""
        if self._linear:
            return LinearSnapshot.take(self._linear, self._memory)
        return VgaSnapshot.take(bytes(self._state), self._planes, self._memory)

    def fingerprint(self) -> object:
        """Differs from that of another moment where the screen may: cheaper than a snapshot. Fonts do not count."""
        if self._linear:
            return zlib.crc32(LinearSnapshot.take(self._linear, self._memory).data)
        state = bytes(self._state)
        window = plain_window(self._state)
        return state, self._memory.read(*window) if window else bytes(self._planes)

    def text(self) -> str:
        """The screen as text, without trailing spaces and empty lines at the end; empty in graphics modes."""
        snapshot = self.snapshot()
        return screen_text(snapshot) if isinstance(snapshot, VgaSnapshot) else ""
