"""What a run tells of a tree: the places that trapped, found again in its sources.

A sensitive instruction that trapped is one that was not ported in the kernel that ran. Any other is an access to
device memory, which the monitor emulates: where an assembly source has it, ``r3_device_access`` in front of it makes
it a gate. In front of an access to ordinary memory that macro costs time and changes nothing, so a place that is
found again by its line and mnemonic alone is found well enough.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from porter.asm_state import States
from porter.binary.code import disassembler
from porter.binary.image import load
from porter.binary.lines import Lines as SourceLines
from porter.binary.sensitive import classify
from porter.errors import PortError
from porter.evident import start_syntax
from porter.model import ATT, in_family
from porter.report import Entry, Hot, HotPlace
from porter.rewrite import Lines

GATE = "r3_device_access"
_KEY, _GROUP = "device-access", "device memory"
_IN_ASSEMBLY = frozenset({".S", ".sx", ".s"})
_SHIFTS = (0, 1, 2)  # lines that a former port put in front, where the kernel was built from its tree
_ACCESS = re.compile(r"(?P<front>[ \t]*(?:[\w.$]+:[ \t]*)*)(?P<statement>(?P<name>[a-z]+)[ \t]+[^;#\n]*?)[ \t\r]*"
                     r"(?:#.*|/\*.*|//.*)?\Z")
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
    def name(self) -> str:
        return self.text.partition(" ")[0]


def places(profile: Profile, paths: Collection[str]) -> list[Place]:
    """Where in a tree of these paths the places of a profile are. Raises PortError for a kernel that is unreadable."""
    if not profile.trapped:
        return []
    try:
        image = load(profile.kernel)
    except PortError as error:
        raise PortError(f"the kernel of the profile: {error}") from None
    lines, decoder = SourceLines(image), disassembler()
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(os.path.basename(path), []).append(path)
    found = []
    for one in profile.trapped:
        insn = next(decoder.disasm(one.code, one.address, 1), None)
        address = image.resolve(one.address)
        source = lines.find(address) if address is not None else None
        symbol = image.symbol_at(address) if address is not None else None
        path = _in_tree(source[0], by_name) if source else ""
        found.append(Place(
            path, source[1] if source and path else 0, f"{insn.mnemonic} {insn.op_str}".strip() if insn else "?",
            f"{symbol[0]}+{symbol[1]:#x}" if symbol else f"{one.address:#x}",
            insn is not None and classify(insn) is not None, one.times, one.seconds))
    return found


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


def accesses(found: Iterable[Place]) -> dict[str, list[Place]]:
    """The accesses to device memory that an assembly source has, by path."""
    out: dict[str, list[Place]] = {}
    for place in found:
        if place.path and not place.sensitive and os.path.splitext(place.path)[1] in _IN_ASSEMBLY:
            out.setdefault(place.path, []).append(place)
    return out


def with_gates(text: str, path: str, wanted: Iterable[Place]) -> tuple[str, list[Entry]]:
    """An assembly text with a gate in front of each access to device memory that is found in it."""
    lines, wanted = text.split("\n"), list(wanted)

    def found(place: Place, shift: int) -> re.Match[str] | None:
        number = place.line - shift
        match = _ACCESS.match(lines[number - 1]) if 0 < number <= len(lines) else None
        return match if match and _is(match, place) else None

    shift = max(_SHIFTS, key=lambda shift: sum(found(place, shift) is not None for place in wanted))
    states, at = States(text, text, start_syntax(text, text, ATT)), Lines(text)
    entries: dict[int, Entry] = {}
    for place in wanted:
        match = found(place, shift)
        if match is None:
            continue
        number, front = place.line - shift, match["front"]
        gate = in_family(GATE, states.at(at.offset(number)).syntax)
        entries[number] = Entry("", path, number, len(front) + 1, match["statement"], _KEY, _GROUP, "ported", gate,
                                "gate", "traps", "", None, Hot(place.times, place.seconds))
        lines[number - 1] = f"{front}{gate}; {lines[number - 1][len(front):]}"
    return ("\n".join(lines), list(entries.values())) if entries else (text, [])


def _is(match: re.Match[str], place: Place) -> bool:
    """Whether a statement may be the instruction that trapped: one with a memory operand, and of its mnemonic."""
    name = _EXTENDING.sub(r"mov\1x", match["name"])
    operands = [operand.strip() for operand in _COMMA.split(match["statement"][len(match["name"]):])]
    in_memory = any(one[:1] not in ("%", "$") or ":" in one for one in operands)
    return in_memory and name.rstrip("bwl") == place.name.rstrip("bwl")


def told(found: Iterable[Place], entries: list[Entry]) -> tuple[list[Entry], list[HotPlace]]:
    """The entries with what the profile tells of them, and the places with what was done about each."""
    at: dict[tuple[str, int], list[int]] = {}
    for position, entry in enumerate(entries):
        at.setdefault((entry.file, entry.line), []).append(position)
    out, hot, found = list(entries), [], list(found)

    def entry_of(place: Place, shift: int) -> int | None:
        return next((i for i in at.get((place.path, place.line - shift), ())
                     if (out[i].key == _KEY) != place.sensitive), None)

    by_path: dict[str, list[Place]] = {}
    for place in found:
        by_path.setdefault(place.path, []).append(place)
    shifts = {path: max(_SHIFTS, key=lambda shift: sum(entry_of(one, shift) is not None for one in places))
              for path, places in by_path.items()}
    for place in found:
        index = entry_of(place, shifts[place.path])
        if index is not None and place.sensitive:
            before = out[index].hot or Hot(0, 0.0)
            out[index] = out[index]._replace(hot=Hot(before.times + place.times, before.seconds + place.seconds))
        hot.append(HotPlace(place.text, place.path, place.line, place.symbol, place.times, place.seconds,
                            _action(place, out[index] if index is not None else None)))
    return out, hot


def _action(place: Place, entry: Entry | None) -> str:
    if entry:
        return f"now {entry.macro} ({entry.cost})" if entry.treatment == "ported" else f"left: {entry.reason}"
    if place.sensitive:
        return "not found in a source of the tree: build with `ring3 cc`, or see `ring3 check`"
    if not place.path:
        return "its source is not known: build the kernel with -g, from this tree"
    if os.path.splitext(place.path)[1] in _IN_ASSEMBLY:
        return "no access of that kind is on this line: it is in a macro, where others use it"
    return "written by a C compiler: stays a trap; as inline assembly in an assembly source it could be a gate"
