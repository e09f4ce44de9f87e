"""What a run tells of a tree: the places that trapped, found again in its sources.

A sensitive instruction that trapped is one that was not ported in the kernel that ran. Any other is an access to
device memory, which the monitor emulates: where an assembly source has it, ``r3_device_access`` in front of it makes
it a gate. In front of an access to ordinary memory that macro costs time and changes nothing, so a place that is
found again by its line and mnemonic is found well enough.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from capstone import CsInsn

from debuginfo.lines import Lines
from debuginfo.units import Units
from porter.asm_state import States
from porter.binary.code import disassembler
from porter.binary.image import Image, load
from porter.binary.sensitive import classify
from porter.comments import without_comments
from porter.errors import PortError
from porter.evident import start_syntax
from porter.model import ATT, in_family
from porter.prefixes import NAMES
from porter.report import Entry, Hot, HotPlace
from porter.source_port import as_assembled

GATE = "r3_device_access"
_KEY, _GROUP = "device-access", "device memory"
_IN_ASSEMBLY = frozenset({".S", ".sx", ".s"})
# By how many lines those of the kernel may lie behind those of the tree: where it was built from a ported one, an
# include was added to the file, which is one line or NASM's three, and perhaps a blank line behind it.
_SHIFTS = (0, 1, 2, 4)
_LABELS = r"[ \t]*(?:[\w.$]+:[ \t]*)*"
_STATEMENT = re.compile(rf"(?P<front>{_LABELS})(?P<text>(?P<name>[a-z]+)[ \t]+[^;\n]*?)[ \t\r]*\Z", re.IGNORECASE)
# What belongs to the instruction on the line behind it.
_PREFIX = re.compile(rf"{_LABELS}(?:.*;[ \t]*)?(?:(?:{NAMES})(?:[ \t/]+(?:{NAMES}))*"
                     r"|\.(?:byte|word|short|[24]byte|hword|insn)\b[^;]*)[ \t\r;/]*\Z", re.IGNORECASE)
_EXTENDING = re.compile(r"\Amov([zs])[bw][wl]\Z")
_COMMA = re.compile(r",(?![^(]*\))")


class Trapped(NamedTuple):
    """A place of the kernel that trapped: its address, the bytes there, the exception, how often, and the seconds
    that the emulation took."""

    address: int
    code: bytes
    vector: int
    times: int
    seconds: float


class Profile(NamedTuple):
    """What a run of `kernel` told."""

    kernel: Path
    trapped: list[Trapped]


class Access(NamedTuple):
    """An access to device memory by its line in the file of which the kernel was made, and its mnemonic."""

    line: int
    name: str


class Place(NamedTuple):
    """A place found in the tree; `path` is '' where it is not. `sensitive`: it is no access to device memory."""

    path: str
    line: int
    text: str
    symbol: str
    sensitive: bool
    times: int
    seconds: float

    @property
    def access(self) -> Access:
        return Access(self.line, self.text.partition(" ")[0])


def kernel_of(profile: Profile) -> Image:
    """The kernel that ran. Raises PortError where it is unreadable."""
    try:
        return load(profile.kernel)
    except PortError as error:
        raise PortError(f"the kernel of the profile: {error}") from None


def find(profile: Profile, paths: Collection[str]) -> list[Place]:
    """Where in a tree of these paths the places of a profile are. Raises PortError for a kernel that is unreadable."""
    image = kernel_of(profile)
    lines = Lines(Units(image.elf))
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(os.path.basename(path), []).append(path)
    return [_place(one, image, lines, by_name) for one in profile.trapped]


def _instruction(one: Trapped) -> CsInsn | None:
    return next(disassembler().disasm(one.code, one.address, 1), None)


def address_in(image: Image, one: Trapped) -> int | None:
    """Link address of what trapped in the kernel's file; None for code that came into memory otherwise."""
    insn = _instruction(one)
    size = insn.size if insn else len(one.code)
    address = image.resolve(one.address)
    return address if address is not None and image.read(address, size) == one.code[:size] else None


def _place(one: Trapped, image: Image, lines: Lines, by_name: dict[str, list[str]]) -> Place:
    insn = _instruction(one)
    address = address_in(image, one)
    source = lines.find(address) if address is not None else None
    symbol = image.symbol_at(address) if address is not None else None
    path = _in_tree(source[0], by_name) if source else ""
    return Place(path, source[1] if source and path else 0,
                 f"{insn.mnemonic} {insn.op_str}".strip() if insn else one.code.hex(" "),
                 f"{symbol[0]}+{symbol[1]:#x}" if symbol else f"{one.address:#x}",
                 insn is not None and classify(insn) is not None, one.times, one.seconds)


def _in_tree(file: str, by_name: dict[str, list[str]]) -> str:
    """The path in the tree of a file as its compiler was given it: the one that has most of its end; '' if several."""
    parts = os.path.normpath(file).split(os.sep)
    best: list[str] = []
    most = 0
    for path in by_name.get(parts[-1], ()):
        own = path.split("/")
        same = next((n for n, (a, b) in enumerate(zip(reversed(parts), reversed(own), strict=False)) if a != b),
                    min(len(parts), len(own)))
        if same > most:
            best, most = [], same
        if same == most:
            best.append(path)
    return best[0] if len(best) == 1 else ""


def accesses(found: Iterable[Place]) -> dict[str, tuple[Access, ...]]:
    """The accesses to device memory that an assembly source has, by path."""
    out: dict[str, set[Access]] = {}
    for place in found:
        if place.path and not place.sensitive and _is_assembly(place):
            out.setdefault(place.path, set()).add(place.access)
    return {path: tuple(sorted(some)) for path, some in out.items()}


def _is_assembly(place: Place) -> bool:
    return os.path.splitext(place.path)[1] in _IN_ASSEMBLY


def _shift(fits: Callable[[int], int]) -> int:
    """The shift by which most places of a file fit, the least of several."""
    return max(_SHIFTS, key=lambda shift: (fits(shift), -shift))


class _Text:
    """The statements of an assembly text by their lines, those in front of which a gate may stand."""

    def __init__(self, text: str, preprocessed: bool) -> None:
        self.lines = text.split("\n")
        clean = as_assembled(text) if preprocessed else without_comments(text)
        states = States(clean, text if preprocessed else "", start_syntax(clean, text, ATT))
        self._found: dict[int, tuple[re.Match[str], str]] = {}
        offset, before, goes_on = 0, "", False
        for number, line in enumerate(self.lines, 1):
            bare, state = clean[offset:offset + len(line)], states.at(offset)
            offset += len(line) + 1
            joined = goes_on or line.lstrip().startswith("#")  # a directive's, or the body of a C macro
            goes_on = preprocessed and line.rstrip("\r").endswith("\\")
            match = _STATEMENT.match(bare)
            if match and not (joined or goes_on or _PREFIX.match(before)) and state.bits == "32":
                self._found[number] = match, in_family(GATE, state.syntax)
            before = bare if bare.strip() else before

    def at(self, access: Access, shift: int) -> tuple[int, re.Match[str], str] | None:
        """Line, statement and gate of what may be the instruction that trapped."""
        match, gate = self._found.get(access.line - shift, (None, ""))
        return (access.line - shift, match, gate) if match and _is(match, access.name) else None


def _is(match: re.Match[str], name: str) -> bool:
    """Whether a statement has a memory operand, and the mnemonic that a disassembler gives."""
    written = _EXTENDING.sub(r"mov\1x", match["name"].lower())
    operands = [operand.strip() for operand in _COMMA.split(match["text"][len(match["name"]):])]
    in_memory = any(one[:1] not in ("%", "$") or any(sign in one for sign in "([:") for one in operands)
    return in_memory and written.rstrip("bwl") == name.rstrip("bwl")


def with_gates(text: str, path: str, preprocessed: bool, wanted: Collection[Access]) -> tuple[str, list[Entry]]:
    """An assembly text with a gate in front of each access to device memory that is found in it.

    `preprocessed`: the C preprocessor has yet to see it.
    """
    of = _Text(text, preprocessed)
    shift = _shift(lambda by: sum(of.at(access, by) is not None for access in wanted))
    entries: dict[int, Entry] = {}
    for access in wanted:
        found = of.at(access, shift)
        if found is None or found[0] in entries:
            continue
        number, match, gate = found
        column = match.end("front")
        line = of.lines[number - 1]
        of.lines[number - 1] = f"{line[:column]}{gate}; {line[column:]}"
        entries[number] = Entry("", path, number, column + 1, match["text"], _KEY, _GROUP, "ported", gate, "gate",
                                "traps", "")
    return ("\n".join(of.lines), list(entries.values())) if entries else (text, [])


def told(found: Iterable[Place], entries: list[Entry],
         nasm: Collection[str] = ()) -> tuple[list[Entry], list[HotPlace]]:
    """The entries with what the profile tells of them, and the places with what was done about each.

    `nasm` are the paths of NASM's sources.
    """
    at: dict[tuple[str, int, bool], int] = {}
    for position, entry in enumerate(entries):
        at.setdefault((entry.file, entry.line, entry.key != _KEY), position)
    by_path: dict[str, list[Place]] = {}
    for place in found:
        by_path.setdefault(place.path, []).append(place)
    out = list(entries)
    hot: list[HotPlace] = []
    for path, places in by_path.items():
        def fits(by: int, path: str = path, places: list[Place] = places) -> int:
            return sum((path, place.line - by, place.sensitive) in at for place in places)

        shift = _shift(fits)
        for place in places:
            index = at.get((path, place.line - shift, place.sensitive)) if path else None
            if index is not None:
                before = out[index].hot or Hot(0, 0.0)
                out[index] = out[index]._replace(
                    hot=Hot(before.times + place.times, before.seconds + place.seconds))
            line = max(place.line - shift, 0)
            hot.append(HotPlace(place.text, path, line, place.symbol, place.times, place.seconds,
                                _action(place, out[index] if index is not None else None, path in nasm)))
    return out, sorted(hot, key=lambda place: -place.times)


def _action(place: Place, entry: Entry | None, nasm: bool) -> str:
    if entry:
        return f"now {entry.macro} ({entry.cost})" if entry.treatment == "ported" else f"left: {entry.reason}"
    if not place.path:
        return "its source is not known: build the kernel with -g, from this tree"
    if place.sensitive:
        return "not found in a source of the tree: build with `ring3 cc`, or see `ring3 check`"
    if nasm:
        return "in a NASM source, where no gate can stand in front of an instruction: stays a trap"
    if _is_assembly(place):
        return "not found on its line, perhaps as it is in a macro: stays a trap"
    return "written by a C compiler: stays a trap; in an assembly source it could be a gate"
