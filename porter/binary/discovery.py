"""Find the code of an image: certain flow first, then labels, then pointers.

Order matters: what flow proves restricts what labels may claim, and so on down. Every step ends with
`Flow.follow`, so that each start brings in all that it leads to.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
from capstone import x86

from porter.binary.boot_header import find_boot_headers
from porter.binary.code import CodeMap, Evidence
from porter.binary.flow import Flow, Progress, no_progress
from porter.binary.image import Image, Region, SymbolKind
from porter.binary.plausible import Trial, looks_like_data
from porter.binary.real_mode import RealModeCode, find_real_mode

# What GAS aligns code with besides NOPs (binutils, gas/config/tc-i386.c): lea 0(%esi),%esi and 0(%edi),%edi
# with displacements of 8 and 32 bits, with and without index byte; mov and xchg %esi,%esi.
_FILL_PREFIXES = b"\x2e\x3e\x66"
_FILL = (
    b"\x8d\x76\x00",
    b"\x8d\x7f\x00",
    b"\x8d\xb6\x00\x00\x00\x00",
    b"\x8d\xbf\x00\x00\x00\x00",
    b"\x8d\x74\x26\x00",
    b"\x8d\xb4\x26\x00\x00\x00\x00",
    b"\x8d\xbc\x27\x00\x00\x00\x00",
    b"\x89\xf6",
    b"\x87\xf6",
)


class Discovery:
    """The result: `flow` with its code maps, and the code that cannot run in a guest.

    That is the 16-bit code that was recognised, and the 32-bit code that only it leads to (addresses of
    start and end): a guest, which has no real mode, reaches neither.

    `image` is the one given, with those sections marked as code that flow leads into: a processor without
    paging, or without NX, runs what is there, and kernels have start-up code in sections without SHF_EXECINSTR.
    """

    def __init__(self, image: Image, progress: Progress = no_progress, ran: Collection[int] = ()) -> None:
        """`ran`: addresses of instructions that have run."""
        self._progress, self._ran = progress, ran
        self._padding: dict[bytes, bool] = {}  # instructions: whether gaps are filled with them
        self._discover(image)
        while entered := self._entered_data():
            self._discover(self.image.with_code(entered))

    def _entered_data(self) -> set[int]:
        """Where the regions begin that flow leads into although their flags say that they are no code."""
        image = self.image
        regions = (image.region_at(at) for at in self.flow.strays if not looks_like_data(image, at))
        return {region.base for region in regions if region}

    def _discover(self, image: Image) -> None:
        self.image = image
        self.flow = Flow(image, self._progress)
        self.real_mode: list[RealModeCode] = find_real_mode(image)
        for block in self.real_mode:
            self.flow.exclude(block.start, block.end, Evidence.REAL_MODE)
        for start, end in find_boot_headers(image):
            self.flow.exclude(start, end, Evidence.DATA)
        self._trial = Trial(self.flow, frozenset(symbol.address for symbol in image.symbols))
        self._follow_certain()
        self._entered = self._behind_real_mode()
        self._follow_labels()
        self._follow_function_gaps()
        self._follow_references()
        if not (image.functions or image.labels):
            self._follow_rest()
        self.after_real_mode = list(self._only_after_real_mode())
        for start, end in self.after_real_mode:
            self.flow.exclude(start, end, Evidence.AFTER_REAL_MODE)

    def _follow_certain(self) -> None:
        starts = [symbol.address for symbol in self.image.symbols if symbol.kind is SymbolKind.FUNCTION]
        starts += self._ran
        if self.image.entry is not None:
            starts.append(self.image.entry)
        self.flow.follow(starts, Evidence.FLOW)

    def _behind_real_mode(self) -> Flow | None:
        """A walk of its own through what 16-bit code leads to and certain flow does not."""
        targets = [block.target for block in self.real_mode if block.target is not None]
        if not targets:
            return None
        walk = Flow(self.image)
        for known, code in zip(self.flow.maps, walk.maps, strict=True):
            code.evidence[:] = known.evidence
        walk.follow(targets, Evidence.FLOW)
        return walk

    def _only_after_real_mode(self) -> Iterator[tuple[int, int]]:
        """Ranges of that walk that nothing else has led to."""
        for known, code in zip(self.flow.maps, self._entered.maps if self._entered else [], strict=False):
            start = end = 0
            for offset, (mark, other) in enumerate(zip(known.evidence, code.evidence, strict=True)):
                if mark or not 0 < other < Evidence.DATA:
                    continue
                if offset != end:
                    if start < end:
                        yield code.region.base + start, code.region.base + end
                    start = offset
                end = offset + code.length[offset]
            if start < end:
                yield code.region.base + start, code.region.base + end

    def _follow_labels(self) -> None:
        for symbol in self.image.labels:
            # A label in what 16-bit code leads to is a way in only if other files may know it.
            if symbol.exported or not self._is_entered(symbol.address):
                self._follow_if_code(symbol.address, Evidence.SYMBOL)

    def _is_entered(self, address: int) -> bool:
        return self._entered is not None and self._entered.is_reached(address)

    def _follow_if_code(self, address: int, evidence: Evidence) -> None:
        if self._unknown(address) and not self._read_as_data(address) and self._trial.is_code(address):
            self.flow.follow([address], evidence)

    def _unknown(self, address: int) -> bool:
        code = self.flow.map_at(address)
        if code is None:
            return False
        offset = address - code.region.base
        return not code.evidence[offset] and code.covering(offset) is None

    def _read_as_data(self, address: int) -> bool:
        """True if known code has the address as the displacement of a memory operand."""
        for code, offset in self.flow.references.get(address, ()):
            insn = code.instruction(offset)
            if insn and insn.disp & 0xFFFF_FFFF == address and insn.id != x86.X86_INS_LEA:
                return True
        return False

    def _follow_function_gaps(self) -> None:
        """Places inside a sized function that no flow reaches: indirect jumps, or data among the code."""
        for symbol in self.image.functions:
            code = self.flow.map_at(symbol.address)
            if code is None or not symbol.size:
                continue
            start = symbol.address - code.region.base
            self._fill_gaps(code, start, min(start + symbol.size, code.size), Evidence.SYMBOL)

    def _follow_rest(self) -> None:
        """Without symbols, functions that are reached only through computed pointers lie between others."""
        for code in self.flow.maps:
            self._fill_gaps(code, 0, code.size, Evidence.ADJACENT)

    def _fill_gaps(self, code: CodeMap, start: int, end: int, evidence: Evidence) -> None:
        for at, stop in code.gaps(start, end):
            while (gap := code.next_gap(at, stop)) is not None:  # what was found meanwhile may have filled it
                at = self._try_gap(code, *gap, evidence)

    def _try_gap(self, code: CodeMap, start: int, end: int, evidence: Evidence) -> int:
        """Follow the gap if it is code; returns the offset at which to look for the next one."""
        at = start
        while at < end:
            size = code.decode(at)
            if not size or not self._fills_up(code, at, size):
                break
            at += size
        if at >= end:
            return end
        if self._is_entered(code.region.base + at):
            return at + code.decode(at)
        if self._trial.is_code(code.region.base + at):
            self.flow.follow([code.region.base + at], evidence)
            return at
        return end

    def _fills_up(self, code: CodeMap, at: int, size: int) -> bool:
        instruction = code.data[at : at + size]
        known = self._padding.get(instruction)
        if known is None:
            insn = code.instruction(at)
            known = self._padding[instruction] = insn is not None and is_padding(instruction, insn.insn_name())
        return known

    def _follow_references(self) -> None:
        """Pointers in data (descriptor and handler tables) and in code, where no symbol says more; then those in what
        is left of the code's regions, which may be tables, too."""
        pointers = set(self.flow.references)
        for region in self.image.regions:
            if not region.executable:
                pointers |= self._pointers(region)
        for address in sorted(pointers):
            self._follow_if_code(address, Evidence.REFERENCE)
        while found := {pointer for code in self.flow.maps for pointer in self._pointers(code.region, code)} - pointers:
            pointers |= found
            for address in sorted(found):
                self._follow_if_code(address, Evidence.REFERENCE)

    def _pointers(self, region: Region, code: CodeMap | None = None) -> set[int]:
        """Aligned words that may be addresses of code; in a region of `code` of those that are not known to be code, be
        it 16-bit code."""
        low = min(region.base for region in self.image.code)
        high = max(region.end for region in self.image.code)
        first = region.first_aligned
        words = region.words(first)
        near = (low <= words) & (words < high)
        if code is not None:
            marks = np.frombuffer(code.evidence, np.uint8)
            known = code.covered(0, code.size) | (marks == Evidence.REAL_MODE) | (marks == Evidence.AFTER_REAL_MODE)
            near &= ~known[first : first + 4 * len(words) : 4]
        return set(words[near].tolist())


def is_padding(code: bytes, name: str) -> bool:
    """True for what gaps are filled with: zeros, INT3, NOPs, and LEA or MOV that change nothing."""
    if name in ("nop", "int3") or not any(code):
        return True
    return code.lstrip(_FILL_PREFIXES).startswith(_FILL)
