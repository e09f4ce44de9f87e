"""A linear framebuffer at one moment: pixels of two to four bytes, with red, green and blue in some of their bits."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hypervisor.devices.framebuffer import Framebuffer
from hypervisor.errors import RingError

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory


@dataclass(frozen=True)
class LinearSnapshot:
    """What `shown` held: `data` are its lines, `pitch` bytes each."""

    shown: Framebuffer
    data: bytes

    is_on = True
    is_text = False

    @classmethod
    def take(cls, shown: Framebuffer, memory: GuestMemory) -> LinearSnapshot:
        """What the framebuffer in guest RAM holds now."""
        return cls(shown, memory.read(shown.address, shown.pitch * shown.height))

    def packed(self) -> dict[str, Any]:
        """As JSON values, for a control socket."""
        shown = self.shown
        return {
            "framebuffer": [shown.address, shown.width, shown.height, shown.pitch, shown.depth],
            "colours": shown.colours,
            "pixels": base64.b64encode(zlib.compress(self.data, 1)).decode(),
        }

    @classmethod
    def unpacked(cls, values: dict[str, Any]) -> LinearSnapshot:
        """Inverse of `packed`. Raises RingError where the values are none of ours."""
        try:
            address, width, height, pitch, depth = map(int, values["framebuffer"])
            colours = tuple((int(first), int(bits)) for first, bits in values["colours"])
            data = zlib.decompress(base64.b64decode(values["pixels"]))
            if len(data) != pitch * height or width * depth > pitch * 8 or len(colours) != 3:
                raise ValueError("wrong length")
        except (KeyError, TypeError, ValueError, zlib.error) as error:
            raise RingError(f"the guest's screen came damaged ({error}); take the screenshot again") from error
        return cls(Framebuffer(address, width, height, pitch, depth, colours), data)
