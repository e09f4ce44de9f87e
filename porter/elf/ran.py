"""What a run of a linked kernel proves: an instruction that has run is code."""

from __future__ import annotations

from porter.binary.image import Image
from porter.elf.port import find_port
from porter.elf.ported_file import original
from porter.errors import PortError
from porter.profile import Profile, address_in, kernel_of


def ran(profile: Profile, image: Image) -> frozenset[int]:
    """Link addresses of instructions of the kernel in `image` that have trapped in a run of it, or of a port of it.

    Code that came into memory otherwise does not count. Raises PortError for a run of another kernel.
    """
    kernel = kernel_of(profile)
    if _loaded(kernel) != _loaded(image):
        raise PortError(f"{image.path}: the profile is of another kernel, {profile.kernel}: make one of this")
    found = (address_in(kernel, one) for one in profile.trapped)
    return frozenset(address for address in found if address is not None and image.code_at(address))


def _loaded(image: Image) -> list[tuple[int, bytes]]:
    """What is loaded where, as it was before a port."""
    port = find_port(image)
    content = original(image, port) if port else image.content
    return [(one.virtual, content[one.offset : one.offset + one.file_size]) for one in image.segments]
