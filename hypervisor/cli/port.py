"""``ring3 port``: the porter's command, with what it cannot know itself: how to read a trace, and coverage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hypervisor.files import same_kernel
from porter import tree
from porter.profile import Profile, Trapped


def main(arguments: Sequence[str]) -> int:
    """Port a source tree; returns the exit status."""
    return tree.main(arguments, _profile)


def _profile(path: Path) -> Profile:
    """What a trace or a coverage file tells the porter. Raises RingError."""
    from hypervisor.coverage.format import is_coverage

    if is_coverage(path):
        return _from_coverage(path)
    from hypervisor.trace import profile
    from hypervisor.trace.reader import open_trace

    trace = open_trace(path)
    kernel = Path(trace.header.kernel)
    same_kernel(kernel, trace.header.kernel_crc, path)
    return Profile(kernel, [Trapped(*place) for place in profile.trapped(trace)])


def _from_coverage(path: Path) -> Profile:
    from hypervisor.coverage.format import USER_RING, load
    from porter.binary.code import MAX_INSTRUCTION
    from porter.binary.image import load as load_image

    coverage = load(path)
    kernel = Path(coverage.kernel)
    image = load_image(kernel, same_kernel(kernel, coverage.crc, path))
    trapped = []
    for place in (*coverage.sites, *coverage.elsewhere):
        if place.form == "trap" and place.count and place.ring != USER_RING:
            linked = image.resolve(place.address)
            code = image.read(linked, MAX_INSTRUCTION) if linked is not None else b""
            trapped.append(Trapped(place.address, code, place.vector, place.count, place.nanoseconds / 1e9))
    return Profile(kernel, sorted(trapped, key=lambda one: (-one.times, one.address)))
