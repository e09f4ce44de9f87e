"""The machine that sequences are tried on: where its memory is, what its tables hold, what crosses the mailbox.

machine.S is its kernel. The constants that both need are declared here and written out for the assembler.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import IntFlag

# --- Memory: linear is physical, but for the first pages ------------------------------------------------------------

ARENA = 0x40_0000  # what sites work on
PAGE = 4096
LOW = range(ARENA, ARENA + 3 * PAGE)  # three pages that user code may write
ABSENT = ARENA + 3 * PAGE
ALONE = ARENA + 4 * PAGE  # writable, between two pages that are not
READ_ONLY = ARENA + 5 * PAGE
SUPERVISOR = ARENA + 6 * PAGE
ABSENT_TOO = ARENA + 7 * PAGE
LAND = ARENA + 8 * PAGE  # code: `int $DONE` at every even address
ARENA_SIZE = 9 * PAGE
ARENA_PRISTINE, ARENA_EXPECTED = 0x50_0000, 0x60_0000
PAGE_DIRECTORY = 0x70_0000  # and two page tables behind it
TABLES = 0x41_0000  # GDT, LDT, TSS, IDT
INNER_STACK = 0x78_0000  # ring 0's, in the TSS: the same address in every machine, for call gates show it

# --- Segments ------------------------------------------------------------------------------------------------

FLAT = 0xFFFFF | 1 << 23  # limit field of 4 GiB: pages


def descriptor(base: int, limit: int, access: int, big: bool = True) -> int:
    """A segment descriptor; `limit` is in bytes below 1 MiB, or FLAT."""
    granular = limit >> 23 & 1
    limit &= 0xFFFFF
    return (limit & 0xFFFF | (base & 0xFFFFFF) << 16 | access << 40 | (limit >> 16) << 48 | big << 54
            | granular << 55 | (base >> 24) << 56)


def call_gate(selector: int, access: int, parameters: int = 0) -> int:
    """A 32-bit call gate to LAND."""
    return LAND & 0xFFFF | selector << 16 | parameters << 32 | access << 40 | LAND >> 16 << 48


KERNEL_CODE, KERNEL_DATA, USER_CODE, USER_DATA, TSS, LDT = 0x08, 0x10, 0x1B, 0x23, 0x28, 0x30
TSS_LIMIT = 104 + 32
IO_MAP_BITS = bytes(32) + b"\xff"  # ports below 0x100 are everybody's but for those in FORBIDDEN
FORBIDDEN = (0x21, 0x70, 0x72)
SEGMENTS: Mapping[str, int] = {
    "null": 0,
    "kernel_code": descriptor(0, FLAT, 0x9B),
    "kernel_data": descriptor(0, FLAT, 0x93),
    "user_code": descriptor(0, FLAT, 0xFB),
    "user_data": descriptor(0, FLAT, 0xF3),
    "tss": descriptor(TABLES + 0x200, TSS_LIMIT, 0x89, big=False),
    "ldt": descriptor(TABLES + 0x180, 31, 0x82, big=False),
    "kernel_small": descriptor(ARENA, 0x2FFF, 0x93),
    "user_small": descriptor(ARENA, 0x2FFF, 0xF3),
    "user_read_only": descriptor(ARENA, 0x2FFF, 0xF1),
    "user_absent": descriptor(ARENA, 0x2FFF, 0x73),
    "kernel_execute_only": descriptor(0, FLAT, 0x99),
    "conforming": descriptor(0, FLAT, 0x9F),
    "user_execute_only": descriptor(0, FLAT, 0xF9),
    "user_expand_down": descriptor(ARENA, 0x7FF, 0xF7),
    "user_word_stack": descriptor(ARENA, 0x2FFF, 0xF3, big=False),
    "tss_busy": descriptor(TABLES + 0x200, TSS_LIMIT, 0x8B, big=False),
    "tss_other": descriptor(TABLES + 0x200, 0x67, 0x89, big=False),
    "call_gate": call_gate(0x08, 0xEC),
    "ring1_code": descriptor(0, FLAT, 0xBB),
    "ring1_data": descriptor(0, FLAT, 0xB3),
    "ring2_data": descriptor(0, FLAT, 0xD3),
    "system_reserved": descriptor(ARENA, 0xFFF, 0x80),
    "kernel_code_absent": descriptor(0, FLAT, 0x1B),
    "tss_absent": descriptor(TABLES + 0x200, 0x67, 0x09, big=False),
    "ldt_absent": descriptor(TABLES + 0x180, 31, 0x02, big=False),
    "kernel_data_alias": descriptor(0, FLAT, 0x93),
    "kernel_data_absent": descriptor(0, FLAT, 0x13),
    "user_code_absent": descriptor(0, FLAT, 0x7B),
    "task_gate": 0x0000_E500_0028_0000,
    "call_gate_parameters": call_gate(0x08, 0xEC, 3),
    "call_gate_ring1": call_gate(0x98, 0xEC),
    "call_gate_conforming": call_gate(0x60, 0xEC),
    "call_gate_data": call_gate(0x10, 0xEC),
    "call_gate_absent": call_gate(0x08, 0x6C),
    "call_gate_kernel": call_gate(0x08, 0x8C),
}
SELECTOR = {name: index * 8 for index, name in enumerate(SEGMENTS)}
BEYOND = len(SEGMENTS) * 8
GDT_LIMIT = BEYOND - 1
LOCAL_SEGMENTS = (descriptor(0, FLAT, 0xF3), descriptor(ARENA, 0xFFF, 0xF3), descriptor(0, FLAT, 0x93),
                  descriptor(0, FLAT, 0xFB))
LDT_BEYOND = 0x24
LOCAL_USER_DATA, LOCAL_USER_SMALL, LOCAL_KERNEL_DATA, LOCAL_USER_CODE = 0x07, 0x0F, 0x14, 0x1F

# --- Interrupts ----------------------------------------------------------------------------------------------

VECTORS = 0x60
DONE = 0x41  # `int $DONE` ends a site
IRQ0 = 0x20
GATES = {  # vector: selector << 16 | access
    3: 0x0008_EE00,
    4: 0x0008_EE00,
    DONE: 0x0008_EE00,
    0x50: 0x0008_8E00,  # ring 0 only
    0x51: 0x0008_EE00,
    0x52: 0x0008_6E00,  # not present
    0x53: 0x0008_EF00,  # trap gate
    0x54: 0x0008_EC00,  # a call gate, which is none for interrupts
    0x55: 0x0000_EE00,  # null code segment
    0x56: (SELECTOR["conforming"] << 16) | 0xEE00,
    0x57: (SELECTOR["kernel_code_absent"] << 16) | 0xEE00,
    0x58: (SELECTOR["kernel_data"] << 16) | 0xEE00,
}
LAST_VECTOR = 0x5B  # behind it the IDT ends
IDT = TABLES + 0x400
IDT_LIMIT = 8 * (LAST_VECTOR + 1) - 1
TABLES_SIZE = 0x400 + 8 * VECTORS

CR0_BASE = 0x8000_0011
CR0_WP, CR0_EM, CR0_TS = 0x1_0000, 4, 8
CR4_PVI, CR4_TSD, CR4_DE, CR4_PSE, CR4_MCE, CR4_PGE, CR4_PCE, CR4_OSFXSR = 2, 4, 8, 0x10, 0x40, 0x80, 0x100, 0x200
COM1, EXCHANGE_PORT = 0x3F8, 0x5FE0
SCRATCH, SCRATCH_VALUE = 0x3FF, 0xA5  # the serial port's scratch register: reads what was written last
PROBE_OFFSET, PROBE_FAILED = 0x10, 0xBAD0BAD0
SYSENTER_STACK = ARENA + 0x800


def pattern(address: int) -> int:
    """What a word of the arena holds before a case changes it."""
    return (address - ARENA + ARENA_PRISTINE) * 0x9E3779B1 & 0xFFFF_FFFF


def in_arena(address: int) -> bool:
    """Does `address` lie in what sites work on, not in the tables?"""
    return ARENA <= address < ARENA + ARENA_SIZE


class Devices(IntFlag):
    """What is set up before a site begins."""

    NONE = 0
    PENDING = 1  # IRQ 0 waits at the interrupt controller
    LATER = 2  # IRQ 0 comes after some hundred microseconds


# --- The mailbox -------------------------------------------------------------------------------------------------

CASE_FIELDS = ("site", "eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eflags", "cs", "ss", "ds", "es", "fs",
               "gs", "cr0", "cr4", "devices", "sysenter_cs", "patches")
MAX_PATCHES, MAX_CHANGES = 24, 96
RESULT = 512
FRAME = ("entry_eflags", "gs", "fs", "es", "ds", "edi", "esi", "ebp", "unused", "ebx", "edx", "ecx", "eax", "vector",
         "error", "eip", "cs", "eflags", "outer_esp", "outer_ss")
RESULT_FIELDS = ("count", "frame_at", *FRAME, "cr2", "probe_ds", "probe_es", "probe_fs", "probe_gs", "cr0", "cr3",
                 "cr4", "gdtr_low", "gdtr_high", "idtr_low", "idtr_high", "ldtr", "tr", "dr0", "dr1", "dr2", "dr3",
                 "dr6", "dr7", "device")
RESULT_SIZE = 4 * len(RESULT_FIELDS)
MASK = 0xFFFF_FFFF


@dataclass(frozen=True)
class State:
    """What a site finds: registers, some devices, and memory words other than the arena's pattern."""

    eax: int = 0
    ecx: int = 0
    edx: int = 0
    ebx: int = 0
    esp: int = ARENA + 0x1800
    ebp: int = 0
    esi: int = 0
    edi: int = 0
    eflags: int = 2
    cs: int = KERNEL_CODE
    ss: int = KERNEL_DATA
    ds: int = KERNEL_DATA
    es: int = KERNEL_DATA
    fs: int = 0
    gs: int = 0
    cr0: int = CR0_BASE
    cr4: int = 0
    devices: Devices = Devices.NONE
    sysenter_cs: int = KERNEL_CODE
    memory: tuple[tuple[int, int], ...] = ()

    @property
    def cpl(self) -> int:
        """The ring that the site runs in."""
        return self.cs & 3

    @property
    def stack_base(self) -> int:
        """Linear address of offset 0 in the stack segment."""
        if self.ss & 4:
            return (LOCAL_SEGMENTS[self.ss >> 3] >> 16 & 0xFFFFFF)
        return list(SEGMENTS.values())[self.ss >> 3] >> 16 & 0xFFFFFF

    def pack(self, site: int) -> bytes:
        """The state as the mailbox has it, for site number `site`."""
        values = [getattr(self, name) & MASK for name in CASE_FIELDS[1:-1]]
        words = [site, *values, len(self.memory)]
        assert len(self.memory) <= MAX_PATCHES
        for address, value in self.memory:
            assert any(address in area for area in (LOW, range(ALONE, ALONE + PAGE))), hex(address)
            words += [address, value & MASK]
        return struct.pack(f"<{len(words)}I", *words)

    def __repr__(self) -> str:
        """Only what is not the default, in hexadecimal."""
        parts = []
        for item in fields(self):
            value = getattr(self, item.name)
            if value != item.default:
                text = ", ".join(f"({a:#x}, {v:#x})" for a, v in value) if item.name == "memory" else f"{value:#x}"
                parts.append(f"{item.name}=({text},)" if item.name == "memory" else f"{item.name}={text}")
        return f"State({', '.join(parts)})"


@dataclass(frozen=True)
class Raw:
    """What a site left, as the mailbox has it."""

    values: Mapping[str, int]
    changes: tuple[tuple[int, int], ...] = field(default=())

    @classmethod
    def unpack(cls, data: bytes) -> Raw:
        """From the result part of the mailbox."""
        words = struct.unpack_from(f"<{len(RESULT_FIELDS)}I", data)
        values = dict(zip(RESULT_FIELDS, words, strict=True))
        count = min(values["count"], MAX_CHANGES)
        pairs = struct.unpack_from(f"<{2 * count}I", data, RESULT_SIZE)
        return cls(values, tuple(zip(pairs[::2], pairs[1::2], strict=True)))


def constants() -> str:
    """machine.inc: the constants that machine.S uses."""
    values: dict[str, int] = {
        "KERNEL_CODE": KERNEL_CODE, "KERNEL_DATA": KERNEL_DATA, "TSS": TSS, "LDT": LDT, "GDT_LIMIT": GDT_LIMIT,
        "IDT": IDT, "IDT_LIMIT": IDT_LIMIT, "TABLES": TABLES, "TABLES_SIZE": TABLES_SIZE, "ARENA": ARENA,
        "ARENA_SIZE": ARENA_SIZE, "ARENA_PRISTINE": ARENA_PRISTINE, "ARENA_EXPECTED": ARENA_EXPECTED,
        "ARENA_LOW_WORDS": 3 * PAGE // 4, "ARENA_HIGH": 4 * PAGE, "ARENA_HIGH_WORDS": 3 * PAGE // 4, "LAND": LAND,
        "VECTORS": VECTORS, "CR0_BASE": CR0_BASE, "PAGE_DIRECTORY": PAGE_DIRECTORY,
        "SCRATCH": SCRATCH, "SCRATCH_VALUE": SCRATCH_VALUE, "CR4_BASE": 0, "COM1": COM1, "EXCHANGE_PORT": EXCHANGE_PORT,
        "PROBE_OFFSET": PROBE_OFFSET, "PROBE_FAILED": PROBE_FAILED, "SYSENTER_CS": 0x174,
        "SYSENTER_STACK": SYSENTER_STACK, "PENDING": int(Devices.PENDING), "LATER": int(Devices.LATER),
        "SOON": 2, "LATE": 0, "LATE_HIGH": 1, "MAX_CHANGES": MAX_CHANGES, "CASE_PATCH": 4 * len(CASE_FIELDS),
        "RESULT": RESULT, "RESULT_CHANGE": RESULT + RESULT_SIZE, "RESULT_FRAME_WORDS": len(FRAME),
    }  # fmt: skip
    values |= {f"CASE_{name.upper()}": 4 * at for at, name in enumerate(CASE_FIELDS)}
    place = {name: RESULT + 4 * at for at, name in enumerate(RESULT_FIELDS)}
    values |= {"RESULT_COUNT": place["count"], "RESULT_FRAME_AT": place["frame_at"],
               "RESULT_FRAME": place["entry_eflags"], "RESULT_CR2": place["cr2"], "RESULT_PROBES": place["probe_ds"],
               "RESULT_CR0": place["cr0"], "RESULT_CR3": place["cr3"], "RESULT_CR4": place["cr4"],
               "RESULT_GDTR": place["gdtr_low"], "RESULT_IDTR": place["idtr_low"], "RESULT_LDTR": place["ldtr"],
               "RESULT_TR": place["tr"], "RESULT_DR": place["dr0"], "RESULT_DEVICE": place["device"]}
    return "".join(f".set {name},{value:#x}\n" for name, value in values.items())


def tables() -> str:
    """tables.inc: GDT, LDT, TSS and room for the IDT, then what machine.S walks through."""
    io_map = bytearray(IO_MAP_BITS)
    for port in FORBIDDEN:
        io_map[port // 8] |= 1 << port % 8
    # Offsets of small segments are tried in flat ones, too: there, also, must be memory that we know.
    special = {0: ALONE | 7, 1: LOW[0] | 7, 2: LOW[PAGE] | 7, 3: LOW[2 * PAGE] | 7,
               ABSENT // PAGE: 0, READ_ONLY // PAGE: READ_ONLY | 5, SUPERVISOR // PAGE: SUPERVISOR | 3,
               ABSENT_TOO // PAGE: 0}
    regions = [(ARENA, ARENA_EXPECTED, 3 * PAGE // 4),
               (ALONE, ALONE - ARENA + ARENA_EXPECTED, 3 * PAGE // 4)]
    lines = [f".quad {value:#x}" for value in SEGMENTS.values()]
    assert len(lines) * 8 <= 0x180
    lines += [".org tables_pristine+0x180", *(f".quad {value:#x}" for value in LOCAL_SEGMENTS),
              ".org tables_pristine+0x200", f".long 0, {INNER_STACK}, {KERNEL_DATA}", ".fill 22,4,0", ".word 0, 104",
              f".byte {', '.join(map(hex, io_map))}", ".org tables_pristine+0x400", f".fill {2 * VECTORS},4,0",
              "special_pages:", *(f".long {page:#x}, {entry:#x}" for page, entry in special.items()),
              "special_pages_end:",
              "gate_table:", *(f".long {vector:#x}, {gate:#x}" for vector, gate in GATES.items()), "gate_table_end:",
              "region_table:", *(f".long {now:#x}, {then:#x}, {words}" for now, then, words in regions),
              f".long {TABLES:#x}, tables_pristine, {TABLES_SIZE // 4}", ".long 0,0,0"]
    return "\n".join(lines) + "\n"
