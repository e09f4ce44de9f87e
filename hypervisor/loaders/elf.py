"""Reading an i386 ELF executable (System V gABI, chapter 5; i386 psABI)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.elffile import ELFFile

from hypervisor.errors import RingError


@dataclass(frozen=True)
class Segment:
    """A part of the image: `data`, then zeros up to `size` bytes, at physical `address`."""

    address: int
    virtual: int
    data: bytes
    size: int


@dataclass(frozen=True)
class Image:
    """A kernel as it is to lie in memory; `entry` is a physical address.

    `distance`: how far above the addresses in its file it lies.
    """

    segments: tuple[Segment, ...]
    entry: int
    distance: int = 0

    @property
    def start(self) -> int:
        """Lowest physical address."""
        return min(part.address for part in self.segments)

    @property
    def end(self) -> int:
        """First physical address behind it."""
        return max(part.address + part.size for part in self.segments)

    def moved(self, distance: int) -> Image:
        """The same image `distance` bytes further up (physically), for kernels that say that they can be moved."""
        segments = tuple(replace(part, address=part.address + distance) for part in self.segments)
        return Image(segments, self.entry + distance, self.distance + distance)

    def entered_at(self, path: Path, entry: int) -> Image:
        """The same image with another entry (physical). Raises RingError where that lies outside it."""
        if not any(part.address <= entry < part.address + part.size for part in self.segments):
            raise RingError(f"{path} has no entry: {entry:#x} lies in no segment; give the physical address of code")
        return replace(self, entry=entry)


def read_file(path: Path, what: str) -> bytes:
    """The contents of a file that the user named. Raises RingError where it cannot be read."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise RingError(f"{what} {path} does not exist; check the path") from None
    except OSError as error:
        raise RingError(f"cannot read {what} {path}: {error.strerror}; give a readable file") from None


def parse(path: Path, data: bytes) -> Image:
    """The loadable image in the ELF file `data` (`path` is for messages).

    Raises RingError: not an ELF file, truncated, not a 32-bit i386 executable, nothing to load, no entry.
    """
    if data[:4] != b"\x7fELF":
        raise RingError(
            f"{path} is not an ELF file; give the linked kernel (for example vmlinux or kernel.elf), or say with "
            "--load-at where a flat binary goes"
        )
    try:
        return _parse(path, data)
    except (ELFError, ConstructError, ValueError, OverflowError, UnicodeDecodeError):
        raise RingError(f"{path} is a truncated or damaged ELF file; build it again") from None


def _parse(path: Path, data: bytes) -> Image:
    elf = ELFFile(BytesIO(data))
    if elf.elfclass != 32 or elf["e_machine"] != "EM_386":
        machine = elf.get_machine_arch()
        raise RingError(f"{path} is a {elf.elfclass}-bit {machine} file; ring3 runs 32-bit i386 kernels (gcc -m32)")
    if elf["e_type"] != "ET_EXEC":
        raise RingError(f"{path} is not an executable ({elf['e_type']}); link the kernel at a fixed address (-no-pie)")
    segments = []
    headers = [header for header in elf.iter_segments("PT_LOAD") if header["p_memsz"]]
    headers = [header for header in headers if not _is_stray_note(elf, header, headers)]
    # Where a linker left all physical addresses out, the virtual ones are meant.
    address = "p_paddr" if any(header["p_paddr"] for header in headers) else "p_vaddr"
    for header in headers:
        offset, filled, size = header["p_offset"], header["p_filesz"], header["p_memsz"]
        if offset + filled > len(data) or filled > size:
            raise RingError(
                f"{path} is truncated: a segment ends at byte {offset + filled}, the file at {len(data)}; "
                "build it again"
            )
        segments.append(Segment(header[address], header["p_vaddr"], data[offset : offset + filled], size))
    if not segments:
        raise RingError(f"{path} has nothing to load (no PT_LOAD segment); give the linked kernel")
    return Image(tuple(segments), _entry(path, elf["e_entry"], segments))


def _is_stray_note(elf: ELFFile, header: Any, headers: list[Any]) -> bool:
    """Whether a segment holds nothing but notes (of the build, for tools), which a linker script forgot to place.

    Linkers give such a section a segment of its own, with its virtual address as the physical one, where a kernel of
    the higher half has no memory; boot loaders do without it.
    """
    first, end = header["p_offset"], header["p_offset"] + header["p_filesz"]
    return (
        header["p_filesz"] == header["p_memsz"]
        and header["p_paddr"] == header["p_vaddr"]
        and any(other["p_paddr"] != other["p_vaddr"] for other in headers)
        and any(note["p_offset"] <= first and end <= note["p_offset"] + note["p_filesz"]
                for note in elf.iter_segments("PT_NOTE"))
    )  # fmt: skip


def _entry(path: Path, entry: int, segments: list[Segment]) -> int:
    """The physical entry: linkers put either a physical or a virtual address into e_entry."""
    if any(part.address <= entry < part.address + part.size for part in segments):
        return entry
    for part in segments:
        if part.virtual <= entry < part.virtual + part.size:
            return entry - part.virtual + part.address
    raise RingError(f"{path} has no entry: {entry:#x} lies in no segment; link it with -e SYMBOL or ENTRY(SYMBOL)")
