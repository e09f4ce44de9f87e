"""``ring3 screenshot``: what a running guest shows on its VGA."""

from __future__ import annotations

from pathlib import Path

from hypervisor.cli.arguments import Parser
from hypervisor.control.client import ask
from hypervisor.errors import RingError
from hypervisor.screen.linear import LinearSnapshot
from hypervisor.screen.snapshot import VgaSnapshot
from hypervisor.screen.text import screen_text

_SUFFIXES = (".png", ".txt")


def main(arguments: list[str]) -> int:
    """Write what a running guest shows on its screen as a picture, or as text in UTF-8."""
    parser = Parser(prog="ring3 screenshot", description=main.__doc__)
    parser.add_argument("name", metavar="NAME", help="the guest ('ring3 list' lists them)")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help="a file named *.png or *.txt")
    options = parser.parse_args(arguments)
    output: Path = options.output
    if output.suffix.lower() not in _SUFFIXES:
        raise RingError(f"{output} is neither .png nor .txt; name the file after what it shall hold")
    values = ask(options.name, "screenshot")
    snapshot = (LinearSnapshot if "framebuffer" in values else VgaSnapshot).unpacked(values)
    if output.suffix.lower() == ".txt":
        if not isinstance(snapshot, VgaSnapshot) or not snapshot.is_text:
            raise RingError(f"guest {options.name} shows graphics; write a .png")
        content = (screen_text(snapshot) + "\n").encode()
    else:
        from hypervisor.screen.pixels import render  # NumPy: not needed for text
        from hypervisor.screen.png import png

        content = png(render(snapshot))
    try:
        output.write_bytes(content)
    except OSError as error:
        raise RingError(f"{output} cannot be written ({error.strerror})") from error
    return 0
