"""Which bytes of the executable regions are instructions, as far as is known.

One `CodeMap` per region holds two byte arrays: the instruction length at every offset decoded so far
(a cache: it depends on the bytes alone), and the evidence by which an offset is a reached instruction.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Any

import numpy as np
from capstone import CS_ARCH_X86, CS_MODE_16, CS_MODE_32, Cs, CsInsn
from numpy.typing import NDArray

from porter.binary.image import Region

MAX_INSTRUCTION = 15  # bytes; SDM volume 2, 2.3.11
_CHUNK = 1024
_UNDECODED, _BAD = 0, 0xFF
_MARKED = re.compile(rb"[^\x00]")


class Evidence(IntEnum):
    """Why an offset is taken for an instruction. From DATA on: why it is not."""

    NONE = 0
    FLOW = 1  # control flow from the entry point, a function symbol or what has run leads there
    SYMBOL = 2  # a label, or a place inside a function, that decodes as code to its end
    REFERENCE = 3  # a pointer in code or data leads there, and it decodes as code to its end
    ADJACENT = 4  # in a file without symbols: between known code, and it decodes as code to its end
    DATA = 0x80  # an object symbol, a jump table or a boot header covers it
    REAL_MODE = 0x81
    AFTER_REAL_MODE = 0x82  # 32-bit code that only 16-bit code leads to


def disassembler(mode: int = CS_MODE_32) -> Cs:
    """A capstone handle with operand details, Intel syntax."""
    handle = Cs(CS_ARCH_X86, mode)
    handle.detail = True
    return handle


# 1 for marks of reached instructions: what is asked of some bytes' marks, bytes.translate and find answer fastest.
_IS_REACHED = bytes(0 < mark < Evidence.DATA for mark in range(256))


class CodeMap:
    """Lengths and evidence for one region, by offset."""

    def __init__(self, region: Region) -> None:
        self.region, self.data, self.size = region, region.data, len(region.data)
        self.base = region.base
        self.length = bytearray(self.size)
        self.evidence = bytearray(self.size)
        self._lengths = Cs(CS_ARCH_X86, CS_MODE_32)
        self._details = disassembler()

    def decode(self, offset: int) -> int:
        """Length of the instruction at `offset`; 0 where the bytes are none."""
        known = self.length[offset]
        if known == _UNDECODED:
            self._fill(offset)
            known = self.length[offset]
        return 0 if known == _BAD else known

    def _fill(self, offset: int) -> None:
        chunk = self.data[offset : offset + _CHUNK]
        at, length = offset, self.length
        for _, size, _, _ in self._lengths.disasm_lite(chunk, offset):
            if length[at]:
                return  # from here on it was read before
            length[at] = size
            at += size
        # An instruction cut off by the end of the chunk is not bad; it is decoded when asked for.
        if at < self.size and (at == offset or at + MAX_INSTRUCTION <= offset + len(chunk)):
            length[at] = _BAD

    def instruction(self, offset: int) -> CsInsn | None:
        """The instruction at `offset` with operand details."""
        code = self.data[offset : offset + MAX_INSTRUCTION]
        return next(self._details.disasm(code, self.region.base + offset, 1), None)

    def is_reached(self, offset: int) -> bool:
        return _IS_REACHED[self.evidence[offset]] != 0

    def covering(self, offset: int) -> int | None:
        """Offset of the reached instruction that covers a byte; None where none does."""
        low = max(offset - MAX_INSTRUCTION + 1, 0)
        start = low + self.evidence[low : offset + 1].translate(_IS_REACHED).rfind(1)
        return start if start >= low and start + self.length[start] > offset else None

    def previous(self, offset: int) -> int | None:
        """Offset of the reached instruction that ends where `offset` begins."""
        return self.covering(offset - 1) if offset else None

    def is_ambiguous(self, offset: int) -> bool:
        """Whether bytes of the reached instruction at `offset` were reached as another instruction's, too."""
        end = offset + self.length[offset]
        if 1 in self.evidence[offset + 1 : end].translate(_IS_REACHED):
            return True
        low = max(offset - MAX_INSTRUCTION, 0)
        marks = self.evidence[low:offset].translate(_IS_REACHED)
        sizes = zip(marks, self.length[low:offset], strict=True)
        return any(mark and at + size > offset for at, (mark, size) in enumerate(sizes, low))

    def ending_at(self, offset: int) -> list[int]:
        """Offsets of the reached instructions that end there; several, where bytes were read in several ways."""
        low = max(offset - MAX_INSTRUCTION, 0)
        length, found = self.length, []
        marks = self.evidence[low:offset].translate(_IS_REACHED)
        at = marks.find(1)
        while at >= 0:
            start = low + at
            if start + length[start] == offset:
                found.append(start)
            at = marks.find(1, at + 1)
        return found

    def exclude(self, start: int, end: int, why: Evidence) -> None:
        """Mark bytes as no 32-bit code, except where instructions were reached."""
        start, end = max(start, 0), min(end, self.size)
        if start < end:
            self.evidence[start:end] = self.evidence[start:end].replace(b"\0", bytes([why]))

    def include(self, offset: int) -> None:
        """Drop the DATA mark around `offset`: flow leads there after all."""
        for step in (1, -1):
            at = offset if step == 1 else offset - 1
            while 0 <= at < self.size and self.evidence[at] == Evidence.DATA:
                self.evidence[at] = Evidence.NONE
                at += step

    def next_mark(self, offset: int) -> int:
        """Where the next byte is, from `offset` on, that has a mark; a place before it where that is far away."""
        far = min(offset + _CHUNK, self.size)
        found = _MARKED.search(self.evidence, offset, far)
        return found.start() if found else far

    def covered(self, start: int, end: int) -> NDArray[np.bool_]:
        """Of each byte of [start, end) whether a reached instruction covers it."""
        low = max(start - MAX_INSTRUCTION + 1, 0)
        reached = np.flatnonzero(self.reached(slice(low, end)))
        sizes = np.frombuffer(self.length, np.uint8)[low:end][reached]
        found = np.zeros(end - low + MAX_INSTRUCTION, bool)
        for inside in range(MAX_INSTRUCTION):
            found[reached[sizes > inside] + inside] = True
        return found[start - low : end - low]

    def reached(self, offsets: NDArray[Any] | slice) -> NDArray[np.bool_]:
        """Of each offset whether a reached instruction begins there."""
        marks = np.frombuffer(self.evidence, np.uint8)[offsets]
        found: NDArray[np.bool_] = (marks != Evidence.NONE) & (marks < Evidence.DATA)
        return found

    def gaps(self, start: int, end: int) -> list[tuple[int, int]]:
        """Byte ranges of [start, end) that no reached instruction and no exclusion covers."""
        taken = self.covered(start, end) | (np.frombuffer(self.evidence, np.uint8)[start:end] != 0)
        edges = np.flatnonzero(np.diff(taken, prepend=True, append=True)) + start
        return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))

    def next_gap(self, start: int, end: int) -> tuple[int, int] | None:
        """The first of `gaps`, found without looking at all of them."""
        at = start
        covering = self.covering(start) if start < self.size else None
        if covering is not None:
            at = covering + self.length[covering]
        while at < end:
            mark = self.evidence[at]
            if not mark:
                found = _MARKED.search(self.evidence, at, end)
                return at, found.start() if found else end
            at += 1 if mark >= Evidence.DATA else self.length[at]
        return None


def real_mode_disassembler() -> Cs:
    return disassembler(CS_MODE_16)
