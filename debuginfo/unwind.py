"""From the top of a stack to the functions that called each other, as a debugger's backtrace.

Each frame is left by the function's call-frame information or, where it has none, by what its instructions do. What
does not lead behind a call in the file's code is no return address: there the backtrace ends, rather than to guess.
"""

from __future__ import annotations

import bisect
import struct
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import NamedTuple

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from debuginfo.cfi import EBP, ESP, RETURN, CallFrames, Row
from debuginfo.damage import DAMAGE
from debuginfo.prologue import analyse

_CALLER = 1 << 32
_MOST_FRAMES = 256
_EXECUTABLE = 1  # program header flag PF_X
_LONGEST_CALL = 7  # bytes of a call instruction
_LONGEST_FUNCTION = 1 << 20  # bytes that are looked at for a prologue


class End(StrEnum):
    """Why a backtrace ends."""

    OUTERMOST = "outermost"  # what stands there is no return address: assembly, or the first function
    TRUNCATED = "truncated"  # the copy of the stack ends
    NO_CODE = "no code"  # the address is not in the file


@dataclass(frozen=True)
class Backtrace:
    """`addresses`: the instruction, then the return addresses, the innermost first."""

    addresses: tuple[int, ...]
    end: End


@dataclass(frozen=True)
class State:
    """Registers, and a copy of the stack from `esp` on."""

    eip: int
    esp: int
    ebp: int
    stack: bytes


class _Step(NamedTuple):
    """How a frame is left: from ESP, or from EBP (`by_frame`), offsets to the return address and, where it was saved,
    to the caller's EBP; `base`: to the caller's ESP."""

    by_frame: bool
    back: int
    saved: int | None
    base: int


class Unwinder:
    """Backtraces for one ELF file, which was loaded `distance` above its addresses.

    A file that cannot be read, or is none, has no code: each backtrace is its first address. Code that runs where it
    was loaded rather than where it is linked, as kernels do before they turn paging on, is found, too. What is known of
    an address is kept, so that a hundred thousand backtraces take a second.
    """

    def __init__(self, path: Path, distance: int = 0) -> None:
        self._distance = distance
        self._segments: list[tuple[int, int, bytes]] = []  # linked address, loaded minus linked, bytes
        self._starts: list[int] = []
        self._frames: CallFrames | None = None
        self._steps: dict[int, _Step | None] = {}  # by address, that of a caller with bit 32 set
        self._calls: dict[int, bool] = {}
        try:
            with path.open("rb") as file:
                elf = ELFFile(file)
                for segment in elf.iter_segments("PT_LOAD"):
                    if segment["p_flags"] & _EXECUTABLE:
                        start = segment["p_vaddr"]
                        self._segments.append((start, segment["p_paddr"] - start, segment.data()))
                self._starts = sorted(_functions(elf))
                self._frames = CallFrames(elf)
        except (OSError, *DAMAGE):
            self._segments = []

    def backtrace(self, state: State) -> Backtrace:
        """Who called whom."""
        count = len(state.stack) // 4
        words = struct.unpack_from(f"<{count}I", state.stack)
        bottom, esp, ebp, key = state.esp, state.esp, state.ebp, state.eip
        found = [state.eip]
        steps = self._steps
        while len(found) < _MOST_FRAMES:
            step = steps[key] if key in steps else self._learn(key)
            if step is None:
                outside = len(found) == 1 and self._linked(state.eip) is None
                return Backtrace(tuple(found), End.NO_CODE if outside else End.OUTERMOST)
            base = ebp if step.by_frame else esp
            at = (base + step.back - bottom) >> 2
            if base < esp or (base & 3) != (bottom & 3):
                return Backtrace(tuple(found), End.OUTERMOST)  # a caller's frame lies above
            if step.saved is not None:
                saved = (base + step.saved - bottom) >> 2
                if not 0 <= saved < count:
                    return Backtrace(tuple(found), End.TRUNCATED)
                ebp = words[saved]
            if not 0 <= at < count:
                return Backtrace(tuple(found), End.TRUNCATED)
            caller = words[at]
            if not self._follows_a_call(caller):
                return Backtrace(tuple(found), End.OUTERMOST)
            found.append(caller)
            esp, key = base + step.base, caller | _CALLER
        return Backtrace(tuple(found), End.TRUNCATED)

    # --- one frame ------------------------------------------------------------------------------------

    def _learn(self, key: int) -> _Step | None:
        linked = self._linked(key & 0xFFFF_FFFF)
        step = None
        if linked is not None:
            # A return address may be the first of the next function: its call tells where it belongs.
            row = self._frames.find(linked - 1 if key & _CALLER else linked) if self._frames else None
            step = self._by_row(row) if row else self._by_instructions(linked)
        self._steps[key] = step
        return step

    @staticmethod
    def _by_row(row: Row) -> _Step | None:
        if row.register not in (ESP, EBP) or RETURN not in row.saved:
            return None
        saved = row.saved.get(EBP)
        return _Step(row.register == EBP, row.offset + row.saved[RETURN],
                     None if saved is None else row.offset + saved, row.offset)  # fmt: skip

    def _by_instructions(self, linked: int) -> _Step | None:
        index = bisect.bisect_right(self._starts, linked) - 1
        if index < 0 or linked - self._starts[index] > _LONGEST_FUNCTION:
            return None
        start = self._starts[index]
        code = self._bytes(start, linked - start + 16)
        place = analyse(code, start, linked) if code else None
        return _Step(place.by_frame, place.offset, place.saved_ebp, place.offset + 4) if place else None

    # --- the file's code ------------------------------------------------------------------------------

    def _linked(self, address: int) -> int | None:
        """The address that the file has for `address`, where that is code."""
        address -= self._distance
        for start, _, data in self._segments:
            if start <= address < start + len(data):
                return address
        for start, loaded, data in self._segments:
            if start <= address - loaded < start + len(data):
                return address - loaded
        return None

    def _bytes(self, linked: int, size: int) -> bytes:
        for start, _, data in self._segments:
            if start <= linked < start + len(data):
                return data[linked - start : linked - start + size]
        return b""

    def _follows_a_call(self, address: int) -> bool:
        known = self._calls.get(address)
        if known is None:
            linked = self._linked(address)
            before = b"" if linked is None else self._bytes(linked - _LONGEST_CALL, _LONGEST_CALL)
            known = self._calls[address] = _is_call(before)
        return known


def _is_call(before: bytes) -> bool:
    """Whether the seven bytes end with a call: E8 with 4 bytes, or FF /2 with its operand (SDM vol. 2, CALL)."""
    if len(before) < _LONGEST_CALL:
        return False
    if before[-5] == 0xE8:
        return True
    for size in range(2, _LONGEST_CALL + 1):
        opcode, modrm = before[-size], before[-size + 1]
        if opcode == 0xFF and modrm >> 3 & 7 == 2 and size == 2 + _operand_bytes(modrm, before[-size + 2 :]):
            return True
    return False


def _operand_bytes(modrm: int, rest: bytes) -> int:
    """Bytes behind a ModRM byte, by SDM vol. 2, table 2-2."""
    mode, base = modrm >> 6, modrm & 7
    if mode == 3:
        return 0
    sib = base == 4
    inner = rest[0] & 7 if sib and rest else base
    displacement = {0: 4 if inner == 5 else 0, 1: 1, 2: 4}[mode]
    return displacement + sib


def _functions(elf: ELFFile) -> set[int]:
    return {
        symbol["st_value"]
        for section in elf.iter_sections() if isinstance(section, SymbolTableSection)
        for symbol in section.iter_symbols()
        if symbol["st_info"]["type"] == "STT_FUNC" or (symbol["st_info"]["type"] == "STT_NOTYPE" and symbol.name)
    }  # fmt: skip
