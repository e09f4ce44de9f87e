"""What pyelftools raises for a file that is not sound: it checks little, and stumbles where damage first matters."""

from __future__ import annotations

import struct

from elftools.common.exceptions import DWARFError, ELFError
from elftools.construct import ConstructError

DAMAGE = (
    ELFError,
    DWARFError,
    NotImplementedError,  # parts of DWARF that pyelftools does not read, such as segmented addresses
    ConstructError,
    struct.error,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    RecursionError,
)
