"""Reading a file that was ported before: `ring3 check` looks at it as it was, and at what the port did."""

from __future__ import annotations

from pathlib import Path

from hypercalls import by_name, by_number
from hypercalls.binary_port import NOTE_OWNER, BinaryPort
from hypercalls.sequences import COUNTED, COVERED_GATE, SEQUENCES, find_all
from porter.binary.image import Image, load, read
from porter.binary.ported import Replacement, gate_of_pointer
from porter.binary.survey import PortedSite, Survey, survey
from porter.elf.port import find_port

_GATE = COVERED_GATE[:3]  # how each begins: the call, and then the pointer


def survey_ported(path: Path, lines: bool = True) -> Survey | None:
    """Survey a ported binary; None for any other file. `lines`: look up source lines in DWARF. Raises PortError."""
    content = read(path)
    if not content.startswith(b"\x7fELF") or NOTE_OWNER not in content:
        return None
    image = load(path, content)
    port = find_port(image)
    if port is None:
        return None
    return with_port(survey(path, lines, original(image, port)), port)


def with_port(found: Survey, port: BinaryPort) -> Survey:
    """`found`, what is in a kernel as it was, made to tell what `port` replaced of it."""
    replacements = _replacements(port)
    left = []
    for site in found.left:
        if any(patch.address <= site.address < patch.end and not patch.traps for patch in port.patches):
            name = site.text.partition(" ")[0]
            one = replacements.get(site.address, Replacement(site.address, name))
            found.replaced.append(PortedSite(site.address, site.physical, one))
        else:
            left.append(site)
    found.left = left
    return found


def _replacements(port: BinaryPort) -> dict[int, Replacement]:
    """What the trampolines hold for sensitive instructions, by the address of the original."""
    sequences, found = dict(find_all(port.code)), {}
    for offset, address in port.places:
        sequence, gate = sequences.get(offset), None
        if sequence is not None:
            name = SEQUENCES[sequence].name
            if SEQUENCES[sequence].action not in COUNTED:
                sequence, gate = None, by_name[name].number
        elif port.code.startswith(_GATE, offset):
            gate = gate_of_pointer(int.from_bytes(port.code[offset + len(_GATE) :][:4], "little"))
            if gate not in by_number:
                continue
            name = by_number[gate].name
        else:
            continue
        found[address] = Replacement(address, name, gate, sequence)
    return found


def original(image: Image, port: BinaryPort) -> bytes:
    """The content of the file of which `port` made `image`; but for what the port has added, which stays."""
    content = bytearray(image.content)
    for patch in port.patches:
        for segment in image.segments:
            offset = patch.address - segment.virtual
            if 0 <= offset < segment.file_size:
                content[segment.offset + offset : segment.offset + offset + len(patch.before)] = patch.before
    return bytes(content)
