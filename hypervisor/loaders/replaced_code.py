"""Code that is replaced in a kernel once it is loaded, and the side table that tells the monitor what it was.

Instructions by HLT, which traps in ring 3, for --unported; sequences by what counts them, for coverage; what a binary
port patches, where its file has not been patched yet.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from hypercalls import layout, sequences
from hypercalls.binary_port import HLT, BinaryPort
from hypercalls.structs import TRACE_COVERAGE
from hypervisor.errors import RingError
from hypervisor.loaders.ported import put_port, read_port

if TYPE_CHECKING:
    from hypervisor.domain import Domain


class _Place(NamedTuple):
    """`entry` of the side table; 0: none. Without `before`, nothing is replaced there."""

    physical: int
    before: bytes
    entry: int
    after: bytes


def replace_code(domain: Domain) -> None:
    """Replace what the domain's configuration lists, in its memory. Legal once its kernel is there.

    RingError where the kernel is not where its file says, was ported as a binary and cannot be treated so, or has too
    many places.
    """
    config, control, distance = domain.config, domain.control, domain.boot.image.distance
    places = [_Place(address + distance, bytes([byte]), byte, HLT) for address, byte in config.traps]
    places += _ported(domain)
    for address, number in config.counted or ():
        code = sequences.SEQUENCES[number].code
        places.append(_Place(address + distance, code, _entry(number), sequences.covered(number)))
    if len(places) * 8 > layout.TRAPS_SIZE:
        raise RingError(f"{config.kernel} has {len(places)} instructions to replace, which are too many")
    places.sort()
    table = b"".join(struct.pack("<II", place.physical, place.entry) for place in places if place.entry)
    domain.shared.window(layout.TRAPS_OFFSET, layout.TRAPS_SIZE)[: len(table)] = table
    for place in places:
        if not place.before:
            continue
        if domain.memory.read(place.physical, len(place.before)) not in (place.before, place.after):
            raise RingError(
                f"{config.kernel} is not loaded as its ELF program headers say, so its instructions cannot be "
                "found; --unported, --coverage and --port need that"
            )
        domain.memory.write(place.physical, place.after)
    control.trap_count = len(table) // 8
    if config.counted is not None:
        control.trace_mask |= 1 << TRACE_COVERAGE


def _entry(number: int) -> int:
    """What the side table has of a sequence that is counted."""
    return sequences.SEQUENCES[number].code[0] | (number + 1) << 8


def _counted(domain: Domain, port: BinaryPort) -> list[_Place]:
    """What counts goes over the sequences in the trampolines; the side table knows them by their linear addresses."""
    code, found = domain.shared.window(layout.TRAMPOLINES_FILE_OFFSET, len(port.code)), []
    for offset, number in sequences.find_all(port.code):
        if sequences.SEQUENCES[number].action in sequences.COUNTED:
            over = sequences.covered(number)
            code[offset : offset + len(over)] = over
            found.append(_Place(layout.HOLE + layout.TRAMPOLINES_OFFSET + offset, b"", _entry(number), b""))
    return found


def _ported(domain: Domain) -> list[_Place]:
    """A binary port's patches, and what the instructions that are left to trap in them were."""
    config, distance = domain.config, domain.boot.image.distance
    port = config.port or read_port(config.kernel)
    if port is None:
        return []
    if config.traps:
        raise RingError(f"{config.kernel} was ported as a binary, which --unported cannot take; leave the option out, "
                        "or give the kernel that it was made of")  # fmt: skip

    def physical(address: int) -> int:
        at = domain.symbols.loaded_at(address + distance)
        if at is None:
            raise RingError(f"{config.kernel}: its port changes {address:#x}, which is not in it; port it again")
        return at

    put_port(domain.shared, port, physical)
    found = []
    if config.counted is not None:
        found = _counted(domain, port)
    for patch in port.patches:
        at = physical(patch.address)
        found.append(_Place(at, patch.before, 0, patch.after))
        found += [_Place(at + offset, b"", before, b"") for offset, before in enumerate(patch.before)
                  if patch.trapping[offset] != before]  # fmt: skip
    return found
