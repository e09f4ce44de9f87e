"""Port a linked kernel: decide about every sensitive instruction of it, and put the trampolines together."""

from __future__ import annotations

import itertools
from collections.abc import Callable
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
from porter.errors import PortError

# Classes of what tables of exceptions name because it may fault, and no kernel patches: where it faults, the kernel is
# told where it was.
_MAY_FAULT = frozenset(BY_KEY[row].group for row in ("pop-sreg", "iret", "rdmsr"))

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
    """The result: what is told to the monitor, what was found and what was decided."""

    image: Image
    port: BinaryPort
    survey: Survey
    decisions: list[Decision]


def _nothing(_what: str, _done: int, _all: int) -> None:
    pass


def port(image: Image, lines: bool = True, progress: Progress = _nothing, guesses: bool = False) -> Ported:
    """Port the kernel in `image`. Raises PortError where that is no kernel that can be ported.

    `guesses`: port all that was found to look like code, not only what is proven to be code.
    """
    check_portable(image)
    surveyor = Surveyor(image, Lines(Units(image.elf)) if lines else None,
                        lambda done, whole: progress("finding the code", done, whole))  # fmt: skip
    survey = surveyor.run()
    if survey.replaced:
        raise PortError(f"{image.path}: already ported, from its source ({len(survey.replaced)} "
                        "replacements); run it as it is")
    flow = surveyor.discovery.flow
    words = pointers(flow)
    entered = entries(flow, words)
    proof = Proof(flow, entered, words)
    low = LowCode(flow, proof)
    sensitive = {site.address for site in survey.left}
    silent = {site.address for site in survey.left if not site.traps}
    is_code = flow.is_reached if guesses else proof.is_proven
    kept = relative_pointers(flow) - {site.address for site in survey.left if site.kind.name in _MAY_FAULT}
    patcher = Patcher(surveyor.image, flow, barriers(flow, entered, kept), sensitive.__contains__,
                      silent.__contains__, is_code, low.only, low.mixed)
    decisions: list[Decision] = []
    for number, site in enumerate(survey.left):
        progress("porting", number, len(survey.left))
        code = flow.map_at(site.address)
        assert code, "a site is in code"
        decisions.append(_decide(site, surveyor.image, patcher, code, proof, guesses))
    progress("porting", len(survey.left), len(survey.left))
    patches = tuple(sorted(patcher.patches, key=lambda patch: patch.address))
    laid, places = bytes(patcher.trampolines.code), tuple(patcher.trampolines.places)
    return Ported(surveyor.image, BinaryPort(laid, places, patches), survey, decisions)


def _decide(site: Site, image: Image, patcher: Patcher, code: CodeMap, proof: Proof, guesses: bool) -> Decision:
    proven, guess = proof.is_proven(site.address), ""
    if not proven:
        guess = f"nothing proves that this is code (found by: {site.evidence.name.lower()})"
    elif proof.rests_on_guess(site.address):
        guess = "only that its address is stored in memory, or stands in a table, says that this is code"
    if patcher.is_covered(site.address):
        choice = Choice("jump", "with the instruction in front of it")
    elif not (proven or guesses):
        if not site.traps:
            return Decision(site, "refused", Choice("none", f"{guess}; if it is, it runs silently wrong"))
        return Decision(site, "left", Choice("trap", f"{guess}; if it is, it traps and is emulated"))
    elif image.is_linked_below(site.address):
        why = "linked below where it is loaded, so it will run from a copy, or in a segment of its own"
        choice = patcher.trap(code, site.address - code.base, why)
    else:
        choice = patcher.patch(code, site.address - code.base)
    if guess:
        choice = Choice(choice.tactic, f"{choice.why}; a guess: {guess}" if choice.why else f"a guess: {guess}")
    return Decision(site, "left" if choice.tactic == "trap" else "ported", choice)


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
