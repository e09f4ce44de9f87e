"""Names for the places in a guest that asked for something."""

from __future__ import annotations

import zlib
from pathlib import Path

from hypervisor.loaders.symbols import Symbols
from hypervisor.trace.format import Header, TraceError

USER_RING = 3


def symbol_of(symbols: Symbols, cpl: int, eip: int) -> str:
    """The function that holds `eip`; user code, of which nothing is known, is one place."""
    if cpl == USER_RING:
        return "(user code)"
    found = symbols.lookup(eip)
    return found[0] if found else f"{eip:#010x}"


class Callers:
    """Symbols of a trace's kernel: those of the file it was recorded from, or of `symbols`.

    A file that was named must be readable and have symbols (TraceError); the recorded one may be gone or have
    changed since: `notice` then says so.
    """

    def __init__(self, header: Header, symbols: Path | None = None) -> None:
        path = symbols or Path(header.kernel)
        self.notice = ""
        try:
            changed = zlib.crc32(path.read_bytes()) != header.kernel_crc
        except OSError as error:
            if symbols:
                raise TraceError(f"symbols {path} cannot be read ({error.strerror}); name an ELF file") from error
            self.notice = f"kernel {path} is gone; name another file that has its symbols with --symbols"
            changed = False
        self._symbols = Symbols(path)
        if symbols and not len(self._symbols):
            raise TraceError(f"{path} has no symbols; name an ELF file that was not stripped")
        if changed and not symbols:
            self.notice = f"kernel {path} has changed since the recording; names of callers may be wrong"
        self._described: dict[tuple[int, int], str] = {}

    def symbol(self, cpl: int, eip: int) -> str:
        """The function that holds `eip`, as `symbol_of`."""
        return symbol_of(self._symbols, cpl, eip)

    def describe(self, cpl: int, eip: int) -> str:
        """The place as precisely as possible."""
        known = self._described.get((cpl, eip))
        if known is None:
            known = f"user {eip:#010x}" if cpl == USER_RING else self._symbols.describe(eip)
            self._described[cpl, eip] = known
        return known
