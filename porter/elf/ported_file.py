"""Reading a file that was ported before: `ring3 check` looks at it as it was, and at what the port did."""

from __future__ import annotations

from pathlib import Path

from hypercalls.binary_port import NOTE_OWNER, BinaryPort
from porter.binary.image import Image, load, read
from porter.binary.ported import Replacement
from porter.binary.survey import PortedSite, Survey, survey
from porter.elf.port import find_port


def survey_ported(path: Path) -> Survey | None:
    """Survey a ported binary; None for any other file. Raises PortError."""
    content = read(path)
    if not content.startswith(b"\x7fELF") or NOTE_OWNER not in content:
        return None
    image = load(path, content)
    port = find_port(image)
    if port is None:
        return None
    found = survey(path, content=_original(image, port))
    left = []
    for site in found.left:
        if any(patch.address <= site.address < patch.end and not patch.traps for patch in port.patches):
            name = site.text.partition(" ")[0]
            found.replaced.append(PortedSite(site.address, site.physical, Replacement(site.address, name)))
        else:
            left.append(site)
    found.left = left
    return found


def _original(image: Image, port: BinaryPort) -> bytes:
    content = bytearray(image.content)
    for patch in port.patches:
        for segment in image.segments:
            offset = patch.address - segment.virtual
            if 0 <= offset < segment.file_size:
                content[segment.offset + offset : segment.offset + offset + len(patch.before)] = patch.before
    return bytes(content)
