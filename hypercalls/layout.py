"""Addresses and offsets of the contract.

Two maps are declared here: the *hole* (the part of the guest's virtual address space that belongs to
ring3) and the *state file* (the memory file that the monitor and the VMM share). The first pages of
the state file are what the guest sees through the hole, at the same offsets.
"""

PAGE_SIZE = 4096

# --- The hole, in guest-virtual addresses ------------------------------------------------------
# 1 MiB directly behind the local APIC's page: PC firmware and chipsets decode nothing there, and
# kernels that map the top of memory for devices do not reach for it.
HOLE = 0xFEF0_0000
HOLE_SIZE = 0x10_0000

SHARED_OFFSET = 0x0_0000  # the shared page: virtual IF, control registers, flag tables
GATES_OFFSET = 0x0_1000  # table of 256 pointers to the slots below
SLOTS_OFFSET = 0x0_1400  # one far jump to the landing page per hypercall
SLOT_SIZE = 8
SELMAP_OFFSET = 0x2_0000  # guest selector -> host selector, 65536 * u16
REVMAP_OFFSET = 0x4_0000  # host selector -> guest selector, 65536 * u16
GUEST_VISIBLE_SIZE = 0x6_0000
TRAMPOLINES_OFFSET = 0x6_0000  # code that a binary port puts in place of instructions of the kernel
TRAMPOLINES_SIZE = 0x7_0000  # up to the landing stubs, also where the slide moves it

# The landing stubs are 64-bit code; a far jump names them by linear address, so that segment bases
# and the mmap_min_addr slide do not matter. They lie at the end of the hole, behind all that the
# slide (64 KiB) can move.
LANDING = 0xFEFE_0000
LANDING_STUB_SIZE = 32
LANDING_COUNT = 256
HOST_CS64 = 0x33  # Linux: __USER_CS, 64-bit (arch/x86/include/asm/segment.h)
HOST_DS = 0x2B  # Linux: __USER_DS

SLIDE = 0x1_0000  # base of all guest segments where address 0 cannot be mapped

# --- The shared page ----------------------------------------------------------------------------
FLAGS_OUT_OFFSET = 0x200  # pushf: [mask << 8 | byte 1 of EFLAGS] -> byte 1 as the guest sees it
# popf: [byte 1 of EFLAGS] -> virtual interrupt mask; where IOPL changes, 0x80 | IOPL << 1 | mask, which the
# call that then follows settles.
FLAGS_IN_OFFSET = 0x400

# --- The state file -----------------------------------------------------------------------------
LANDING_OFFSET = 0x6_0000
CONTROL_OFFSET = 0x7_0000
IN_MAP_OFFSET = 0x8_0000  # port -> PortClass << 12 | index, u16 each
OUT_MAP_OFFSET = 0xA_0000
EXIT_DATA_OFFSET = 0xC_0000
EXIT_DATA_SIZE = 0x1_0000
CONSOLE_OUT_OFFSET = 0xD_0000
CONSOLE_OUT_SIZE = 0x1_0000
CONSOLE_IN_OFFSET = 0xE_0000
CONSOLE_IN_SIZE = 0x1000
POSTED_OFFSET = 0xE_1000
POSTED_COUNT = 256
SERIAL_COUNT = 4  # ports; the first is the console
SERIAL_OUT_OFFSET = 0xE_4000  # rings of the other ports, one behind the other
SERIAL_OUT_SIZE = 0x4000
SERIAL_IN_OFFSET = 0xF_0000
SERIAL_IN_SIZE = 0x1000
LAPIC_PAGE_OFFSET = 0xE_3000  # register image of the local APIC, mapped read-only for the guest
FIFO_OFFSET = 0x10_0000  # data windows of string I/O ports
FIFO_SIZE = 0x2_0000
FIFO_COUNT = 8
VCPU_OFFSET = 0x20_0000
VGA_OFFSET = 0x24_0000  # the planes of the VGA's memory
VGA_PLANE_SIZE = 0x1_0000
VGA_PLANES = 4
TRACE_PORTS_OFFSET = 0x28_0000  # bitmap of the ports that a trace filter names
TRACE_PORTS_SIZE = 0x2000
TRACE_STACK_OFFSET = 0x28_2000  # stack of the operation that is in progress: trace_stack's words
TRACE_STACK_MOST = 4096  # bytes of stack recorded at most
DEBUG_OFFSET = 0x29_0000  # what a debugger of the guest asks for and is told (debug_block)
# Side table of instructions that were replaced in memory: by HLT in unported kernels, by a gate for coverage.
# Pairs of u32 by rising guest-physical address: that address, and the first byte; in the bits above it 1 + the number
# of the sequence that began there (0: none).
TRAPS_OFFSET = 0x30_0000
TRAPS_SIZE = 0x10_0000
COVERAGE_OFFSET = 0x40_0000  # table of coverage_counter, hashed by place
COVERAGE_SIZE = 0x10_0000
PLACES_OFFSET = 0x50_0000  # of the trampolines' instructions: pairs of u32 by rising offset, and the original address
PLACES_SIZE = 0x10_0000
INSIDE_OFFSET = 0x60_0000  # those whose original bytes are no more, by rising original address, and the offset
INSIDE_SIZE = 0x10_0000
TRAMPOLINES_FILE_OFFSET = 0x70_0000  # what is mapped at TRAMPOLINES_OFFSET
CELLS_OFFSET = 0x78_0000  # offsets of the trampolines' cells (binary_port), u32 each
CELLS_SIZE = 0x4_0000
CELL_SIZE = 12  # bytes: a pointer, and its values for code that is where it was loaded, and where it is linked
# Patches of a binary port, one behind the other, each from a multiple of 4 on: u32 physical address, u32 bytes, and
# twice as many bytes: what is there for code segments with a base, where jumps to the hole miss, and what is else.
PATCHES_OFFSET = 0x80_0000
PATCHES_SIZE = 0x20_0000
TRACE_OFFSET = 0xA0_0000
TRACE_RECORD_SIZE = 64

# --- Guest-physical: where a VGA's memory can be seen ---------------------------------------------
VGA_MEMORY = 0xA_0000
VGA_MEMORY_SIZE = 0x2_0000

# --- Where the monitor maps things (host-linear) --------------------------------------------------
MONITOR_BASE = 0x1_0000_0000
STATE_BASE = 0x1_1000_0000
RAM_BASE = 0x2_0000_0000
DISK_BASE = 0x1000_0000_0000  # disk images
DISK_STRIDE = 0x400_0000_0000  # 4 TiB

# --- Descriptors by which the VMM hands over what the monitor needs --------------------------------
RAM_FD = 3
STATE_FD = 4
EXIT_FD = 5  # eventfd: the monitor has news for the VMM
RESUME_FD = 6  # eventfd: the VMM has answered an exit
WAKE_FD = 7  # eventfd: the VMM has an event for a halted guest
DISK_FD = 8  # of the first of DISK_COUNT disk images; closed as soon as they are mapped
DISK_COUNT = 4

# --- The mirror of the guest's descriptor tables in the host LDT -----------------------------------
# Small tables stay small, because Linux copies the whole LDT on each modify_ldt call.
GDT_LOW = 256  # GDT entries below this are host LDT entries of the same index
LDT_LOW = 240  # LDT entries below this are at 256 + index
GHOST_FIRST = 496  # six entries for segment registers whose descriptor changed under them
GHOST_COUNT = 8
NULL_ENTRY = 504  # an empty segment: null selectors with an RPL, which the host would not keep
WHOLE_FIRST = 505  # cut user data segments as the guest has them, for ring 0
WHOLE_COUNT = 7
LOW_END = 512
GDT_LIMIT = 4096  # GDT entries mirrored at most; from 256 on at 256 + index
LDT_LIMIT = 3840  # LDT entries mirrored at most; from 240 on at 4096 + index
HOST_LDT_ENTRIES = 8192
FAULTING_SELECTOR = (HOST_LDT_ENTRIES - 1) << 3 | 4  # its entry is never used


def host_ldt_index(ldt: bool, index: int) -> int | None:
    """Host LDT entry that mirrors entry `index` of the guest's GDT or LDT; None if none does."""
    if not ldt:
        if index < GDT_LOW:
            return index
        return LOW_END - GDT_LOW + index if index < GDT_LIMIT - (LOW_END - GDT_LOW) else None
    if index < LDT_LOW:
        return GDT_LOW + index
    return GDT_LIMIT + index if index < LDT_LIMIT else None


def host_selector(selector: int) -> int:
    """What must be loaded on the host for guest `selector` (16 bits); RPL is kept.

    A null selector without RPL stays 0; one with an RPL names an empty segment, because the host would forget the
    RPL; a selector that no entry mirrors gives one that faults.
    """
    if selector & 0xFFFC == 0:
        return NULL_ENTRY << 3 | 4 | selector if selector else 0
    index = host_ldt_index(bool(selector & 4), selector >> 3)
    if index is None:
        index = HOST_LDT_ENTRIES - 1
    return index << 3 | 4 | selector & 3


def guest_selector(selector: int) -> int:
    """Inverse of `host_selector`: what the guest must see for host `selector`.

    The monitor overwrites those of ghosts, and of segments it has whole, while it uses them.
    """
    if not selector & 4:
        return selector
    index, rpl = selector >> 3, selector & 3
    if index < GDT_LOW:
        return index << 3 | rpl
    if index < GHOST_FIRST:
        return (index - GDT_LOW) << 3 | 4 | rpl
    if index < LOW_END:
        return rpl
    if index < GDT_LIMIT:
        return (index - (LOW_END - GDT_LOW)) << 3 | rpl
    return (index - GDT_LIMIT) << 3 | 4 | rpl
