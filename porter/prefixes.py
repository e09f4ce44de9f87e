"""Instruction prefixes as GAS writes them (binutils, opcodes/i386-opc.tbl), and what each means."""

from __future__ import annotations

# The last three are the same bytes under the names that they have on other instructions.
REPEAT = frozenset({"rep", "repe", "repz", "repne", "repnz", "bnd", "xacquire", "xrelease"})
# In 32-bit code the 32-bit names are taken where they stand alone, and are the same bytes.
OPERAND_16 = frozenset({"data16", "data32", "word", "dword"})
ADDRESS_16 = frozenset({"addr16", "addr32", "aword", "adword"})
LOCK = "lock"
WAIT = "wait"  # FWAIT, an instruction of its own
# The hints of branches are the bytes of two segment overrides.
SEGMENT = {**{name: name for name in ("cs", "ds", "es", "fs", "gs", "ss")}, "ht": "ds", "hnt": "cs", "notrack": "ds"}

# The same as data: hexadecimal bytes.
BYTES = tuple(f"0x{byte}" for byte in ("26", "2e", "36", "3e", "64", "65", "66", "67", "f0", "f2", "f3"))
ALL = tuple(sorted((*REPEAT, *OPERAND_16, *ADDRESS_16, LOCK, WAIT, *SEGMENT)))
# The longest first: a regular expression takes the first that fits.
NAMES = "|".join(sorted(ALL, key=len, reverse=True))
PREFIX = rf"(?:{NAMES})(?:[ \t]+|/)"  # a slash separates, too
