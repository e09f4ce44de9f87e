"""Everything that `ring3 check` reports about a file, as data."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from debuginfo.lines import Lines
from debuginfo.units import Units
from porter.binary.archive import is_archive, members
from porter.binary.code import CodeMap, Evidence, disassembler
from porter.binary.discovery import Discovery
from porter.binary.flow import Progress, no_progress
from porter.binary.image import Image, NoCode, load, read
from porter.binary.opcodes import may_be_sensitive
from porter.binary.ported import Replacement, is_ported, replacements
from porter.binary.sensitive import Effect, Kind, classify


@dataclass(frozen=True)
class Site:
    """One sensitive instruction.

    `address` is the link address (in a relocatable file the offset in `section`), `physical` the load
    address by p_paddr, `file_offset` where its bytes lie in the file, `evidence` why it counts as code.
    """

    address: int
    section: str
    code: bytes
    text: str
    kind: Kind
    evidence: Evidence
    file_offset: int
    physical: int | None
    symbol: tuple[str, int] | None
    source: tuple[str, int] | None = None

    @property
    def length(self) -> int:
        return len(self.code)

    @property
    def traps(self) -> bool:
        """True if the CPU itself hands the unported instruction to the hypervisor."""
        return self.kind.effect is not Effect.SILENT


@dataclass(frozen=True)
class PortedSite:
    """What stands for one sensitive instruction; addresses as those of `Site`."""

    address: int
    physical: int | None
    replacement: Replacement


@dataclass
class Survey:
    """What a file contains. Sites are in address order; in a relocatable file in file order."""

    path: Path  # of a member of an archive: ``archive(member)``
    left: list[Site] = field(default_factory=list)
    native: list[Site] = field(default_factory=list)  # sensitive, but rightly not ported
    unreached: list[Site] = field(default_factory=list)  # in bytes that nothing shows to be code
    replaced: list[PortedSite] = field(default_factory=list)
    real_mode: list[tuple[str, int, int]] = field(default_factory=list)  # section, start, end
    after_real_mode: list[tuple[str, int, int]] = field(default_factory=list)  # 32-bit code, same form
    undecodable: list[tuple[str, int]] = field(default_factory=list)  # section, address
    has_code: bool = True

    @property
    def ported(self) -> Counter[str]:
        """How many replacements there are of each hypercall and inline form."""
        return Counter(site.replacement.name for site in self.replaced)


def survey(path: Path | str, lines: bool = True, content: bytes | None = None) -> Survey:
    """Survey an i386 ELF file, executable or relocatable. PortError names what is wrong with the input.

    `lines`: look up source lines in DWARF. `content`: what the file holds, where it is no file of its own.
    """
    image = load(path, content)
    return Surveyor(image, Lines(Units(image.elf)) if lines else None).run()


def survey_all(path: Path | str, lines: bool = True) -> Iterator[Survey]:
    """Survey an i386 ELF file, or each member of an archive of such; those without code are empty surveys.

    Raises PortError, which for an archive names the member; NoCode for a file that is no archive.
    """
    path = Path(path)
    content = read(path)
    if not is_archive(content):
        yield survey(path, lines, content)
        return
    for member in members(path, content):
        name = Path(f"{path}({member.name})")
        try:
            yield survey(name, lines, member.content)
        except NoCode:
            yield Survey(name, has_code=False)


def scan(path: Path | str) -> list[Site]:
    """The sensitive instructions of an unported kernel that are code with certainty, in address order.

    For running it unported: sites with `traps` unset run silently wrong, so the hypervisor must replace
    their first byte. Instructions that stay native are not listed.
    """
    return survey(path, lines=False).left


class Surveyor:
    """Surveys one image; `discovery` is the code that was found. `ran`: addresses of instructions that have run."""

    def __init__(self, image: Image, lines: Lines | None, progress: Progress = no_progress,
                 ran: Collection[int] = ()) -> None:  # fmt: skip
        self.discovery = Discovery(image, progress, ran)
        self.image, self.lines = self.discovery.image, lines
        self._decoder = disassembler()

    def run(self) -> Survey:
        discovery = self.discovery
        out = Survey(self.image.path)
        for code, offset in discovery.flow.candidates:
            site = self._site(code, offset)
            if site:
                (out.native if site.kind.effect is Effect.NATIVE else out.left).append(site)
        for code in discovery.flow.maps:
            out.replaced += (self._ported(code, replacement) for replacement in replacements(code))
            out.unreached += self._unreached(code)
        for sites in (out.left, out.native, out.unreached):
            sites.sort(key=lambda site: site.file_offset if self.image.relocatable else site.address)
        out.real_mode = [self._range(block.start, block.end) for block in discovery.real_mode]
        out.after_real_mode = [self._range(start, end) for start, end in discovery.after_real_mode]
        out.undecodable = [self.image.where(address) for address in sorted(discovery.flow.undecodable)]
        return out

    def _ported(self, code: CodeMap, replacement: Replacement) -> PortedSite:
        linked = code.region.base + replacement.offset
        return PortedSite(self.image.where(linked)[1], self.image.physical(linked), replacement)

    def _range(self, first: int, last: int) -> tuple[str, int, int]:
        section, start = self.image.where(first)
        return section, start, start + last - first

    def _site(self, code: CodeMap, offset: int) -> Site | None:
        """The instruction at `offset`, if it is sensitive and no part of a replacement."""
        insn = code.instruction(offset)
        kind = classify(insn) if insn else None
        if insn is None or kind is None or is_ported(code, offset, insn):
            return None
        linked = code.region.base + offset
        section, address = self.image.where(linked)
        file_offset = code.region.file_offset + offset
        # An object file shows its own bytes, without the addresses that only this reading of it has.
        content = self.image.content[file_offset : file_offset + insn.size]
        insn = next(self._decoder.disasm(content, address, 1), insn)
        return Site(
            address=address,
            section=section,
            code=content,
            text=f"{insn.mnemonic} {insn.op_str}".strip(),
            kind=kind,
            evidence=Evidence(code.evidence[offset]),
            file_offset=file_offset,
            physical=self.image.physical(linked),
            symbol=self.image.symbol_at(linked),
            source=self.lines.find(linked) if self.lines else None,
        )

    def _unreached(self, code: CodeMap) -> list[Site]:
        """Sensitive instructions in a linear reading of what was not reached; restarts at every symbol."""
        base = code.region.base
        starts = sorted({s.address - base for s in self.image.symbols if s.address in code.region})
        out = []
        for start, end in code.gaps(0, code.size):
            cuts = [start, *starts[bisect_right(starts, start) : bisect_left(starts, end)], end]
            for begin, stop in pairwise(cuts):
                out += self._sweep(code, begin, stop)
        return out

    def _sweep(self, code: CodeMap, at: int, stop: int) -> list[Site]:
        out = []
        while at < stop:
            size = code.decode(at)
            if not size or at + size > stop:
                at += 1
                continue
            site = self._site(code, at) if may_be_sensitive(code.data, at, size) else None
            if site and site.kind.effect is not Effect.NATIVE:
                out.append(site)
            at += size
        return out
