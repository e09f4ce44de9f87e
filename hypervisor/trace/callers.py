"""Names for the places in a guest that asked for something."""

from __future__ import annotations

import io
import zlib
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from elftools.elf.elffile import ELFFile

from debuginfo.damage import DAMAGE
from debuginfo.inlines import Inlines
from debuginfo.lines import Lines
from debuginfo.units import Units
from hypervisor.loaders.symbols import Symbols
from hypervisor.trace.format import Header, TraceError

if TYPE_CHECKING:
    from debuginfo.unwind import Unwinder

USER_RING = 3
USER_CODE = "(user code)"


def symbol_of(symbols: Symbols, cpl: int, eip: int) -> str:
    """The function that holds `eip`; user code, of which nothing is known, is one place."""
    if cpl == USER_RING:
        return USER_CODE
    found = symbols.lookup(eip)
    return found[0] if found else f"{eip:#010x}"


class Callers:
    """Symbols of a trace's kernel: those of the file it was recorded from, or of `symbols`.

    A file that was named must be readable and have symbols (TraceError); the recorded one may be gone or have
    changed since: `notice` then says so.
    """

    def __init__(self, header: Header, symbols: Path | None = None) -> None:
        self._path = symbols or Path(header.kernel)
        self.notice = ""
        self._image = b""
        try:
            self._image = self._path.read_bytes()
        except OSError as error:
            if symbols:
                raise TraceError(f"symbols {self._path} cannot be read ({error.strerror}); name an ELF file") from error
            self.notice = f"kernel {self._path} is gone; name another file that has its symbols with --symbols"
        self._symbols = Symbols(self._path)
        if symbols and not len(self._symbols):
            raise TraceError(f"{self._path} has no symbols; name an ELF file that was not stripped")
        if self._image and not symbols and zlib.crc32(self._image) != header.kernel_crc:
            self.notice = f"kernel {self._path} has changed since the recording; names of callers may be wrong"
        self._described: dict[tuple[int, int], str] = {}
        self._named: dict[tuple[int, bool], tuple[str, ...]] = {}

    @cached_property
    def _elf(self) -> ELFFile | None:
        try:
            return ELFFile(io.BytesIO(self._image))
        except DAMAGE:
            return None

    @cached_property
    def _units(self) -> Units | None:
        return Units(self._elf) if self._elf else None

    @cached_property
    def _lines(self) -> Lines | None:
        return Lines(self._units) if self._units else None

    @cached_property
    def _inlines(self) -> Inlines | None:
        return Inlines(self._units) if self._units else None

    @cached_property
    def unwinder(self) -> Unwinder:
        """Backtraces for the kernel."""
        from debuginfo.unwind import Unwinder

        return Unwinder(self._path)

    def symbol(self, cpl: int, eip: int) -> str:
        """The function that holds `eip`, as `symbol_of`."""
        return symbol_of(self._symbols, cpl, eip)

    def line(self, eip: int) -> tuple[str, int] | None:
        """Source file and line of kernel address `eip`; None where debug information says nothing."""
        return self._lines.find(self._symbols.linked(eip)) if self._lines else None

    def functions(self, eip: int, returns: bool = False) -> tuple[str, ...]:
        """The functions at kernel address `eip`, which was inlined into which: the innermost first. Of a return
        address (`returns`), those that its call is in."""
        key = eip, returns
        known = self._named.get(key)
        if known is None:
            at = eip - returns
            inlined = self._inlines.find(self._symbols.linked(at)) if self._inlines else []
            known = self._named[key] = (*(one.name for one in inlined), self.symbol(0, at))
        return known

    def describe(self, cpl: int, eip: int) -> str:
        """The place as precisely as possible: `idestart+0x87 (outb) x86.h:29`, where `outb` was inlined."""
        known = self._described.get((cpl, eip))
        if known is None:
            known = self._described[cpl, eip] = self._describe(cpl, eip)
        return known

    def _describe(self, cpl: int, eip: int) -> str:
        if cpl == USER_RING:
            return f"user {eip:#010x}"
        inlined, line = self.functions(eip)[:-1], self.line(eip)
        words = [self._symbols.describe(eip)]
        words += [f"({' in '.join(inlined)})"] if inlined else []
        words += [f"{Path(line[0]).name}:{line[1]}"] if line else []
        return " ".join(words)
