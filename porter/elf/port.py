"""Port a linked kernel: decide about every sensitive instruction of it, and put the trampolines together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass

from debuginfo.lines import Lines
from debuginfo.units import Units
from hypercalls.binary_port import BinaryPort, PortFormatError, from_note
from porter.binary.code import CodeMap
from porter.binary.image import Image
from porter.binary.survey import Site, Survey, Surveyor
from porter.catalogue import BY_KEY
from porter.elf.barriers import barriers, entries, pointers, relative_pointers
from porter.elf.low import LowCode
from porter.elf.patch import Choice, Patcher
from porter.elf.proof import Proof
from porter.elf.room import KERNEL, NONE, Room, rooms
from porter.errors import PortError

# Classes of what tables of exceptions name because it may fault, and no kernel patches: where it faults, the kernel is
# told where it was.
_MAY_FAULT = frozenset(BY_KEY[row].group for row in ("pop-sreg", "iret", "rdmsr"))

# What programs ask their kernels by; the first of these traps.
_SYSTEM_CALL = BY_KEY["int"].group
_OF_PROGRAMS = frozenset(BY_KEY[row].group for row in ("int", "sysenter"))
_OF_KERNELS = frozenset(BY_KEY[row].group for row in ("lgdt", "mov-to-cr"))

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is."""


@dataclass
class Decision:
    """A site and what became of it. `treatment` as in the report: ported, left, refused."""

    site: Site
    treatment: str
    choice: Choice


@dataclass
class Ported:
    """The result: what is told to the monitor, what was found and what was decided; `room` is where trampolines are."""

    image: Image
    port: BinaryPort
    survey: Survey
    decisions: list[Decision]
    room: Room

    @property
    def looks_like_a_program(self) -> bool:
        """Whether there is `int` or the like in it, and nothing that loads a processor's tables."""
        kinds = {decision.site.kind.name for decision in self.decisions}
        return bool(kinds & _OF_PROGRAMS) and not kinds & _OF_KERNELS


def _nothing(_what: str, _done: int, _all: int) -> None:
    pass


def port(image: Image, lines: bool = True, progress: Progress = _nothing, guesses: bool = False,
         user: bool = False, ran: Collection[int] = ()) -> Ported:  # fmt: skip
    """Port the kernel in `image`. Raises PortError where that is no kernel that can be ported.

    `guesses`: port all that was found to look like code, not only what is proven to be code. `user`: it is no kernel,
    but a program that runs in ring 3 of one. `ran`: addresses of instructions of it that have run.
    """
    check_portable(image)
    surveyor = Surveyor(image, Lines(Units(image.elf)) if lines else None,
                        lambda done, whole: progress("finding the code", done, whole), ran)  # fmt: skip
    survey = surveyor.run()
    if survey.replaced:
        raise PortError(f"{image.path}: already ported ({len(survey.replaced)} replacements); run it as it is")
    porter = _Porter(surveyor, survey, guesses, user, ran)
    if not user:
        return porter.port(KERNEL, progress)
    ported = None
    for room in rooms(surveyor.image) if survey.left else (NONE,):
        ported = porter.port(room, progress)
        if not porter.was_full:
            break
    if ported is None:
        raise PortError(f"{image.path}: no room for trampolines: its code does not end with zeros up to the end of a "
                        "page, and it names the address of its end, or has too much uninitialised data")  # fmt: skip
    return ported


class _Porter:
    """What is known of one image, and how its sites are decided about."""

    def __init__(self, surveyor: Surveyor, survey: Survey, guesses: bool, user: bool,
                 ran: Collection[int]) -> None:  # fmt: skip
        self._image, self._survey, self._guesses, self._user = surveyor.image, survey, guesses, user
        self._flow = flow = surveyor.discovery.flow
        words = pointers(flow)
        entered = entries(flow, words)
        self._proof = Proof(flow, entered, words, ran)
        low = None if user else LowCode(flow, self._proof)  # programs run where they are linked
        self._low, self._mixed = (low.only, low.mixed) if low else (set[int](), set[int]())
        kept = relative_pointers(flow) - {site.address for site in survey.left if site.kind.name in _MAY_FAULT}
        entry = flow.image.entry
        self._called = self._proof.reachable(() if entry is None else (entry,))
        kept |= {site.address for site in survey.left if self._stays(site)}
        self._barriers = barriers(flow, entered, kept)
        self.was_full = False
        """Whether the last port had no room for everything."""

    def port(self, room: Room, progress: Progress) -> Ported:
        """Decide about every site."""
        sites = self._survey.left
        sensitive = {site.address for site in sites}
        silent = {site.address for site in sites if not site.traps}
        is_code = self._flow.is_reached if self._guesses else self._proof.is_proven
        patcher = Patcher(self._image, self._flow, room, self._barriers, sensitive.__contains__, silent.__contains__,
                          is_code, self._low, self._mixed)  # fmt: skip
        decisions: list[Decision] = []
        for number, site in enumerate(sites):
            progress("porting", number, len(sites))
            code = self._flow.map_at(site.address)
            assert code, "a site is in code"
            decisions.append(self._decide(site, patcher, code))
        progress("porting", len(sites), len(sites))
        self.was_full = patcher.trampolines.was_full
        patches = tuple(sorted(patcher.patches, key=lambda patch: patch.address))
        laid, places = bytes(patcher.trampolines.code), tuple(patcher.trampolines.places)
        cells = tuple(patcher.trampolines.cells)
        return Ported(self._image, BinaryPort(laid, places, patches, cells), self._survey, decisions, room)

    def _stays(self, site: Site) -> str:
        """Why an instruction that traps is to trap where it stands; '' if it need not."""
        if not site.traps:
            return ""
        asks = site.kind.name == _SYSTEM_CALL
        if self._user:
            return "" if asks else "not allowed in ring 3: the guest's kernel decides"
        if asks and site.address not in self._called:
            return "no call leads here: it may be copied to where programs run, as kernels do with their first one"
        return ""

    def _decide(self, site: Site, patcher: Patcher, code: CodeMap) -> Decision:
        proof, offset, guess = self._proof, site.address - code.base, ""
        proven = proof.is_proven(site.address)
        if not proven:
            guess = f"nothing proves that this is code (found by: {site.evidence.name.lower()})"
        elif proof.rests_on_guess(site.address):
            guess = "only that its address is stored in memory, or stands in a table, says that this is code"
        if patcher.is_covered(site.address):
            choice = Choice("jump", "with the instruction in front of it")
        elif not (proven or self._guesses):
            if not site.traps:
                return Decision(site, "refused", Choice("none", f"{guess}; if it is, it runs silently wrong"))
            return Decision(site, "left", Choice("trap", f"{guess}; if it is, it traps and is emulated"))
        elif why := self._stays(site):
            choice = Choice("trap", why)
        elif not self._user and self._image.is_linked_below(site.address):
            why = "linked below where it is loaded, so it will run from a copy, or in a segment of its own"
            choice = patcher.trap(code, offset, why)
        else:
            choice = patcher.patch(code, offset)
        if guess:
            choice = Choice(choice.tactic, f"{choice.why}; a guess: {guess}" if choice.why else f"a guess: {guess}")
        treatment = {"trap": "left", "none": "refused"}.get(choice.tactic, "ported")
        return Decision(site, treatment, choice)


def check_portable(image: Image) -> None:
    """Raise PortError where the file cannot be a kernel to port."""
    elf, path = image.elf, image.path
    if image.relocatable:
        raise PortError(f"{path}: an object file, which has no addresses yet; name the linked kernel")
    if elf.header["e_type"] != "ET_EXEC" or any(elf.iter_segments("PT_DYNAMIC")):
        raise PortError(f"{path}: position-independent, so nobody knows where it will run; link it with -no-pie")
    if not image.segments:
        raise PortError(f"{path}: has no segment that is loaded; name the linked kernel")
    for segment in image.segments:
        if segment.offset + segment.file_size > len(image.content):
            end = segment.offset + segment.file_size
            raise PortError(f"{path}: truncated: a segment ends at {end:#x}, the file at {len(image.content):#x}; "
                            "build or copy it again")  # fmt: skip
    if find_port(image):
        raise PortError(f"{path}: already ported; port the file that it was made of")
    ranges = sorted((s["p_vaddr"], s["p_vaddr"] + s["p_memsz"]) for s in elf.iter_segments("PT_LOAD") if s["p_memsz"])
    for (_, end), (start, _) in itertools.pairwise(ranges):
        if start < end:
            raise PortError(f"{path}: its segments overlap at {start:#x}; correct the linker script")


def find_port(image: Image) -> BinaryPort | None:
    """What a port has put into the file; None if it was not ported. Raises PortError where that is damaged."""
    for segment in image.elf.iter_segments("PT_NOTE"):
        try:
            port = from_note(image.content[segment["p_offset"] :][: segment["p_filesz"]])
        except PortFormatError as error:
            raise PortError(f"{image.path}: {error}; port it again") from None
        if port:
            return port
    return None
