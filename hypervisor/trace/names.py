"""Names of what appears in records, for people: tables of the SDM's and the contract's terms."""

from __future__ import annotations

from collections.abc import Mapping

from hypercalls.structs import DeviceAccess, ExitReason

EXCEPTIONS: Mapping[int, str] = {  # SDM vol. 3, table 6-1
    0: "#DE divide error",
    1: "#DB debug",
    2: "NMI",
    3: "#BP breakpoint",
    4: "#OF overflow",
    5: "#BR bound range",
    6: "#UD invalid opcode",
    7: "#NM device not available",
    8: "#DF double fault",
    10: "#TS invalid TSS",
    11: "#NP segment not present",
    12: "#SS stack fault",
    13: "#GP general protection",
    14: "#PF page fault",
    16: "#MF x87 error",
    17: "#AC alignment check",
    18: "#MC machine check",
    19: "#XM SIMD error",
}
EXCEPTION_MNEMONICS: Mapping[str, int] = {
    name.split()[0].lstrip("#").lower(): number for number, name in EXCEPTIONS.items()
}
PAGE_FAULT = 14
SELECTOR_ERRORS = frozenset({10, 11, 12, 13})  # exceptions whose error code names a selector
NO_ERROR_CODE = frozenset({0, 1, 2, 3, 4, 5, 6, 7, 16, 18, 19})

EXITS: Mapping[int, str] = {reason.value: reason.name.lower() for reason in ExitReason}
DEVICE_ACCESSES: Mapping[int, str] = {access.value: access.name.lower() for access in DeviceAccess}

# Bits of control registers and of EFLAGS-like words (SDM vol. 3, 2.5; vol. 3, 4.7 for page faults)
CR0_BITS: Mapping[int, str] = {
    0: "PE", 1: "MP", 2: "EM", 3: "TS", 4: "ET", 5: "NE", 16: "WP", 18: "AM", 29: "NW", 30: "CD", 31: "PG",
}  # fmt: skip
CR4_BITS: Mapping[int, str] = {
    0: "VME", 1: "PVI", 2: "TSD", 3: "DE", 4: "PSE", 5: "PAE", 6: "MCE", 7: "PGE", 8: "PCE", 9: "OSFXSR",
    10: "OSXMMEXCPT", 20: "SMEP", 21: "SMAP",
}  # fmt: skip
PAGE_BITS: Mapping[int, str] = {  # SDM vol. 3, tables 4-5 and 4-6
    0: "P", 1: "W", 2: "U", 3: "PWT", 4: "PCD", 5: "A", 6: "D", 7: "PS", 8: "G",
}  # fmt: skip
CONTROL_REGISTERS: Mapping[str, Mapping[int, str]] = {"write_cr0": CR0_BITS, "lmsw": CR0_BITS, "write_cr4": CR4_BITS}

# MSRs of the virtual CPU and those that kernels ask for most (SDM vol. 4, table 2-2)
MSRS: Mapping[int, str] = {
    0x10: "IA32_TIME_STAMP_COUNTER",
    0x1B: "IA32_APIC_BASE",
    0x8B: "IA32_BIOS_SIGN_ID",
    0xFE: "IA32_MTRRCAP",
    0x174: "IA32_SYSENTER_CS",
    0x175: "IA32_SYSENTER_ESP",
    0x176: "IA32_SYSENTER_EIP",
    0x1A0: "IA32_MISC_ENABLE",
    0x277: "IA32_PAT",
    0x2FF: "IA32_MTRR_DEF_TYPE",
    0xC000_0080: "IA32_EFER",
}


def bits(value: int, names: Mapping[int, str]) -> str:
    """The names of the bits set in `value`, as the SDM abbreviates them."""
    return " ".join(name for bit, name in names.items() if value >> bit & 1)
