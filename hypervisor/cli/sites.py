"""What the porter's reading of a kernel tells those who run it: where its sensitive instructions are."""

from __future__ import annotations

from pathlib import Path

from hypercalls.binary_port import BinaryPort
from hypervisor.coverage.collect import Site
from hypervisor.coverage.format import Place
from hypervisor.loaders.ported import read_port


def traps(kernel: Path) -> tuple[tuple[int, int], ...]:
    """Where the instructions lie that run wrong in ring 3 without a trap, with their first bytes. Raises PortError."""
    from porter.binary import scan

    return tuple(
        (site.physical, site.code[0]) for site in scan(kernel) if not site.traps and site.physical is not None
    )


def binary_port(kernel: Path, guesses: bool) -> tuple[BinaryPort, int]:
    """What makes a ported kernel of a linked one, in memory, and how many places may run wrong. Raises PortError.

    `guesses`: port all that looks like code, not only what is proven to be.
    """
    from porter.binary.image import load
    from porter.elf.port import port

    ported = port(load(kernel), lines=False, guesses=guesses)
    return ported.port, sum(decision.treatment == "refused" for decision in ported.decisions)


class CountedSites:
    """A kernel's sites for coverage: those that are ported, and those that are left to trap. Raises PortError.

    `sites` are the places; `sequences` (guest-physical address, number in sequences.SEQUENCES) of the inline ones that
    are in the kernel itself, not in a binary port's trampolines.
    """

    def __init__(self, kernel: Path, unported: bool, port: BinaryPort | None) -> None:
        """`unported`: those that do not trap by themselves are made to. `port`: what becomes of the kernel in memory.
        """
        from debuginfo.inlines import Inlines
        from debuginfo.lines import Lines
        from debuginfo.units import Units
        from hypercalls.sequences import COUNTED, SEQUENCES
        from porter.binary import survey
        from porter.binary.image import load
        from porter.elf.ported_file import survey_ported, with_port

        # Lines are those of each place by `describe`, with what it was inlined into.
        found = survey_ported(kernel, lines=False)
        if found:
            port = read_port(kernel)
        else:
            found = survey(kernel, lines=False)
            if port:
                found = with_port(found, port)
        halted = {patch.address for patch in port.patches if patch.traps} if port else set()
        self._image = load(kernel)
        units = Units(self._image.elf)
        self._lines, self._inlines = Lines(units), Inlines(units)
        self.sites: list[Site] = []
        self.sequences: list[tuple[int, int]] = []
        for ported in found.replaced:
            one = ported.replacement
            if one.gate is None:
                if ported.physical is None or one.sequence is None or SEQUENCES[one.sequence].action not in COUNTED:
                    continue
                if port is None:
                    self.sequences.append((ported.physical, one.sequence))
            form = "inline" if one.gate is None else "gate"
            self.sites.append(Site(self._place(ported.address, one.name, form), ported.physical))
        for left in found.left:
            if left.traps or unported or left.address in halted:
                self.sites.append(Site(self._place(left.address, left.text, "trap"), left.physical))

    def _place(self, address: int, operation: str, form: str) -> Place:
        place = Place(address, operation, form)
        self.describe(place)
        return place

    def describe(self, place: Place) -> None:
        """Add symbol and source to a place in the kernel, as far as the kernel's file tells them."""
        linked = self._image.resolve(place.address)
        if linked is None:
            return
        symbol, source = self._image.symbol_at(linked), self._lines.find(linked)
        if symbol:
            place.symbol = f"{symbol[0]}+{symbol[1]:#x}" if symbol[1] else symbol[0]
        place.file, place.line = source or ("", 0)
        place.callers = [(one.call_file, one.call_line) for one in self._inlines.find(linked) if one.call_file]
