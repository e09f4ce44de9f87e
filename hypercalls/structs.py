"""Records that cross a boundary, as tables of fields.

From each table come a C struct (``cheader``) and a ``ctypes.Structure`` (`Struct.ctype`), so that both
sides agree by construction. Fields are naturally aligned; `Struct` refuses tables that need padding.
"""

from __future__ import annotations

import ctypes
import struct
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Any

_CTYPES: dict[str, Any] = {
    "u8": ctypes.c_uint8,
    "u16": ctypes.c_uint16,
    "u32": ctypes.c_uint32,
    "u64": ctypes.c_uint64,
    "i32": ctypes.c_int32,
}


_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "i32": "i"}


@dataclass(frozen=True)
class Field:
    """One field: `count` > 1 makes an array; `type` is u8..u64, i32 or the name of another struct."""

    name: str
    type: str
    doc: str
    count: int = 1


class Struct:
    """A record of the contract; `ctype` is its ctypes image, `size` its length in bytes."""

    ctype: Any

    def __init__(self, name: str, doc: str, *fields: Field) -> None:
        self.name, self.doc, self.fields = name, doc, fields
        members = []
        for field in fields:
            base = _CTYPES.get(field.type) or STRUCTS[field.type].ctype
            members.append((field.name, base * field.count if field.count > 1 else base))
        self.ctype = type(name, (ctypes.Structure,), {"_fields_": members})
        packed = sum(ctypes.sizeof(kind) for _, kind in members)
        self.size = ctypes.sizeof(self.ctype)
        if packed != self.size:
            raise ValueError(f"struct {name} has hidden padding: {packed} bytes of fields, {self.size} in memory")
        STRUCTS[name] = self

    @property
    def packer(self) -> struct.Struct:
        """Reads a whole record at once, faster than its fields by `ctype`; records of plain fields only."""
        return struct.Struct("<" + "".join(f"{field.count}{_CODES[field.type]}" for field in self.fields))

    def offset(self, field: str) -> int:
        """Offset of a field in bytes."""
        return int(getattr(self.ctype, field).offset)


STRUCTS: dict[str, Struct] = {}


class PortClass(IntEnum):
    """What an access to an I/O port does (top four bits of a port map entry)."""

    EXIT = 0  # ask the VMM
    MONITOR = 1  # a device in the monitor; index = MonitorDevice
    LATCH = 2  # reads give latch[index]
    POSTED = 3  # writes are queued and seen by the VMM before its next exit
    FIFO = 4  # string data from or to window `index`
    TASK_FILE = 5  # writes go to an IDE register: index = channel * 8 + register, 0 for device control (`ide_channel`)
    IDE_STATUS = 6  # status of IDE channel `index` & 1; `index` & 2: the alternate, which leaves the interrupt alone
    BUS_MASTER = 7  # a register of an IDE channel's bus master: index = channel * 8 + register


class MonitorDevice(IntEnum):
    """Devices that live in the monitor, by the index of a MONITOR port map entry."""

    PIC = 0
    PIT = 1
    UART = 2
    ELCR = 3
    PM = 4  # ACPI's PM1 events and timer: accesses are not split into bytes
    RTC = 5
    VGA = 6


class VgaPlain(IntEnum):
    """Why video memory may be plain memory: reads and writes reach the planes without change or choice."""

    NONE = 0  # they must be worked out byte by byte
    ODD_EVEN = 1  # text: even addresses in plane 0, odd ones in plane 1
    CHAIN4 = 2  # 256 colours: the lower two bits of the address are the plane


class LostTicks(IntEnum):
    """What becomes of a timer's interrupts that came too late for the one before to have been taken."""

    DISCARD = 0  # they are forgotten; the phase is kept
    SLEW = 1  # they come later, one by one, at a higher rate, until the guest has had them all


class ExitReason(IntEnum):
    """Why the monitor stopped and asks the VMM."""

    NONE = 0
    PORT_IN = 1
    PORT_OUT = 2
    STRING_IN = 3
    STRING_OUT = 4
    FIFO_DONE = 5
    MMIO_READ = 6
    MMIO_WRITE = 7
    SERIAL_FULL = 8
    SHUTDOWN = 9
    TRIPLE_FAULT = 10
    DEAD_HALT = 11
    MEMBER_DIED = 12
    FATAL = 13
    NEW_MEMBER = 16
    DEBUG = 17  # the guest stands still for a debugger; the answer is a DebugAction, `code` a DebugStop


TRACE_COVERAGE = 31  # bit of trace_mask: count each place (coverage_counter)
TRACE_DEBUGGER = 0  # bit of trace_mask: a debugger wants hypercalls, exceptions or interrupts

TRACE_KEPT = 1 << TRACE_COVERAGE | 1 << TRACE_DEBUGGER  # of trace_mask, what recording leaves alone


class CoverageForm(IntEnum):
    """How a place asked."""

    GATE = 0
    INLINE = 1  # a sequence of the guest's own code
    TRAP = 2  # an instruction that was not ported, or an access to device memory


class DebugStop(IntEnum):
    """Why the guest stands still for a debugger."""

    REQUEST = 0  # the VMM asked for it
    STEP = 1
    BREAKPOINT = 2
    WATCH = 3  # address: what was touched; port: type of the debug_point
    HYPERCALL = 4  # in front of it; address: its number
    EXCEPTION = 5  # in front of its delivery; address: its vector
    INTERRUPT = 6
    PORT = 7  # behind the access; address: the port


class DebugAction(IntEnum):
    """What a guest that stands still for a debugger is to do."""

    CONTINUE = 0
    STEP = 1


class DebugPoint(IntEnum):
    """Types of break points: numbers as in gdb's Z packets."""

    SOFTWARE = 0  # the VMM has put an INT3 there
    EXECUTE = 1
    WRITE = 2
    READ = 3
    ACCESS = 4


class Shutdown(IntEnum):
    """sched_op shutdown reasons (xen/include/public/sched.h)."""

    POWEROFF = 0
    REBOOT = 1
    SUSPEND = 2
    CRASH = 3


class TraceKind(IntEnum):
    """What a trace record tells, and what `args` holds."""

    HYPERCALL = 1  # registers at entry
    EXIT = 2  # port, guest-physical address, bytes per item, items, value written
    INTERRUPT = 3  # nothing; eip is the instruction interrupted
    EXCEPTION = 4  # error code, address of a page fault, CS
    EMULATED = 5  # first 12 bytes of the instruction, exception by which it trapped, its error code
    DEVICE = 6  # port or guest-physical address, value written, bytes
    TLB_FILL = 7  # guest-linear address, guest-physical address, pages mapped, low words of PTE and PDE
    SWITCH = 8  # from this process of the pool, to that one, guest CR3, 1 = a new process
    IDLE = 9  # nothing
    MARK = 10  # the guest's text, up to 28 bytes of it in `args` and `operand`; `result` is its number
    STACK = 11  # a piece of the guest's stack: see trace_stack


class TraceFlag(IntFlag):
    """Bits of a trace record's `flags`. The upper half tells how many other operations it happened in."""

    IN_MEMORY = 1  # hypercalls: operand[0] is the address of the operand, not its value
    NESTING = 0xF0



class DeviceAccess(IntEnum):
    """`number` of DEVICE records."""

    MMIO_READ = 0
    MMIO_WRITE = 1
    PORT_IN = 2
    PORT_OUT = 3


class ConfigFlag(IntFlag):
    """Bits of control.flags, set by the VMM before the start."""

    FORCE_SLIDE = 1  # use the mmap_min_addr slide even where address 0 could be mapped
    EXACT_DIRTY = 2  # page table entries: accessed and dirty bits when the guest accesses and writes, not before


class IdeInterrupt(IntEnum):
    """An IDE channel's interrupt on its way. A drive takes time, which drivers count on: they give a command and only
    then get ready to be interrupted. So the line rises a little after what it tells of is done."""

    NONE = 0  # or the line is up
    DUE = 1  # the drive still looks busy
    SEEN = 2  # the guest has looked at the status, or some time has passed


class MonitorError(IntEnum):
    """Why the monitor gave up (exit FATAL); each is a sentence of its own to the user."""

    NONE = 0
    MAP = 1
    LDT = 2
    SIGNALS = 3
    SECCOMP = 4
    FORK = 5
    MEMORY = 6
    BUG = 7
    TIMER = 8
    XSAVE = 9


SHARED = Struct(
    "shared_page",
    "What a ported guest reads and writes without a call (first page of the hole).",
    Field("upcall_mask", "u8", "1 = virtual IF clear (Xen: evtchn_upcall_mask)"),
    Field("not_pending", "u8", "0 = an interrupt waits for delivery"),
    Field("reserved0", "u16", "zero"),
    Field("cr0", "u32", "CR0 as the guest wrote it"),
    Field("cr2", "u32", "address of the last page fault"),
    Field("cr3", "u32", "CR3"),
    Field("cr4", "u32", "CR4"),
    Field("cs", "u32", "guest selector in CS"),
    Field("ss", "u32", "guest selector in SS"),
)

SEGMENT = Struct(
    "segment",
    "A segment register with its hidden part (SDM vol. 3, 3.4.3).",
    Field("selector", "u32", "guest selector"),
    Field("base", "u32", "base, guest-linear"),
    Field("limit", "u32", "limit in bytes, granularity applied"),
    Field("access", "u32", "descriptor bits 40-55: type, S, DPL, P, limit 16-19, AVL, L, D/B, G"),
)

VCPU = Struct(
    "vcpu",
    "The virtual CPU while its guest code does not run.",
    Field("eax", "u32", ""), Field("ecx", "u32", ""), Field("edx", "u32", ""), Field("ebx", "u32", ""),
    Field("esp", "u32", ""), Field("ebp", "u32", ""), Field("esi", "u32", ""), Field("edi", "u32", ""),
    Field("eip", "u32", "next instruction, offset in CS"),
    Field("host_cs", "u32", "host selector for CS; with eip the far pointer of the resume path"),
    Field("eflags", "u32", "flags as the CPU holds them (IF and IOPL are the host's)"),
    Field("host_ss", "u32", "host selector for SS"),
    Field("host_ds", "u32", ""), Field("host_es", "u32", ""),
    Field("host_fs", "u32", ""), Field("host_gs", "u32", "live in the CPU while the guest's process runs"),
    Field("cpl", "u32", "guest privilege level"),
    Field("iopl", "u32", "guest IOPL"),
    Field("cs", "segment", ""), Field("ss", "segment", ""), Field("ldtr", "segment", ""), Field("tr", "segment", ""),
    Field("gdt_base", "u32", "guest-linear"), Field("gdt_limit", "u32", "bytes - 1"),
    Field("idt_base", "u32", "guest-linear"), Field("idt_limit", "u32", "bytes - 1"),
    Field("dr", "u32", "debug registers", 8),
    Field("a20", "u32", "1 = address line 20 open"),
    Field("sysenter_cs", "u32", ""), Field("sysenter_esp", "u32", ""), Field("sysenter_eip", "u32", ""),
    Field("apic_base", "u64", "IA32_APIC_BASE"),
    Field("pat", "u64", "IA32_PAT"),
    Field("misc_enable", "u64", "IA32_MISC_ENABLE"),
    Field("tsc_offset", "u64", "added to the host's TSC by rdmsr(IA32_TSC)"),
    Field("efer", "u64", "IA32_EFER"),
    Field("pdpte", "u64", "PAE paging: the page-directory-pointer-table entries that CR3 loaded", 4),
)

EXIT = Struct(
    "exit_record",
    "One question of the monitor to the VMM; the answer goes into `value` and the exit data window.",
    Field("reason", "u32", "ExitReason"),
    Field("port", "u32", "I/O port, or FIFO window, or serial port (SERIAL_FULL)"),
    Field("address", "u64", "guest-physical address (MMIO), pid (NEW_MEMBER, MEMBER_DIED)"),
    Field("size", "u32", "bytes per item: 1, 2 or 4"),
    Field("count", "u32", "items in the exit data window (string I/O)"),
    Field("value", "u32", "in: value written; out: value read"),
    Field("code", "u32", "MonitorError, Shutdown, exception vector or signal"),
    Field("eip", "u32", "guest instruction that asked"),
    Field("cr3", "u32", "its address space"),
    Field("detail", "u64", "errno or another figure for the message"),
)

FIFO = Struct(
    "fifo_window",
    "A string I/O port's data: filled or emptied by the monitor, one exit per transfer instead of per item.",
    Field("position", "u32", "next byte"),
    Field("end", "u32", "bytes in the transfer; position == end: idle, accesses go to the VMM"),
    Field("block", "u32", "bytes between two interrupts, the first of which is at the transfer's beginning"),
    Field("latch", "u32", "latch set to `done_value` when the transfer ends"),
    Field("done_value", "u32", ""),
    Field("exit_when_done", "u32", "1 = FIFO_DONE exit at the end"),
    Field("writing", "u32", "1 = guest to device"),
    Field("reserved", "u32", ""),
)

IDE = Struct(
    "ide_channel",
    "An IDE channel as far as the monitor knows it: it keeps the task file and the bus master's registers, and carries "
    "out the commands that move sectors where nothing can be wrong with them. While the guest runs the record is the "
    "monitor's, during an exit the VMM's.",
    Field("sectors", "u64", "LBA sectors of each drive; 0: its commands are the VMM's", 2),
    Field("first", "u64", "PIO write: the data window's first sector; other transfers: the first that has not moved"),
    Field("left", "u32", "sectors of the transfer from `first` on, those in the data window left out"),
    Field("table", "u32", "bus master: guest-physical address of the descriptors"),
    Field("task", "u8", "last value written to each register; 0: to device control", 8),
    Field("previous", "u8", "the value before that, which 48-bit commands take as the high half", 8),
    Field("read_only", "u8", "1 = writes to the drive are the VMM's, which refuses them", 2),
    Field("multiple", "u8", "sectors in a block of READ and WRITE MULTIPLE; 0: not set", 2),
    Field("disk", "u8", "place in `disks` of each drive", 2),
    Field("idle", "u8", "status of each drive when it has nothing to do", 2),
    Field("fifo", "u8", "data window"),
    Field("latch", "u8", "status latch"),
    Field("irq", "u8", "line"),
    Field("requesting", "u8", "status while the drive offers or wants data"),
    Field("busy", "u8", "status from a data window's last byte on, until its sectors have moved"),
    Field("moving", "u8", "1 + the drive whose sectors move through the data window; 0: none do"),
    Field("dma", "u8", "1 + the drive whose sectors wait for the bus master; 255: data of the VMM does; 0: none"),
    Field("writing", "u8", "1 = that transfer is from guest to disk"),
    Field("served", "u8", "bit of each drive that took a command, and cleared its error, since the VMM last looked"),
    Field("master_command", "u8", "bus master: bit 0 start, bit 3 direction"),
    Field("master_status", "u8", "bus master: bit 0 active, bit 1 error, bit 2 interrupt"),
    Field("master_enabled", "u8", "1 = the PCI function may reach memory"),
    Field("interrupting", "u8", "IdeInterrupt"),
    Field("chances", "u8", "times that the guest could have been interrupted since"),
    Field("reserved", "u8", "", 2),
)

DISK = Struct(
    "disk_window",
    "A disk image that the monitor maps, shared, at DISK_BASE + DISK_STRIDE * its place.",
    Field("bytes", "u64", "length of the image; 0: there is none, or it cannot be mapped"),
    Field("writable", "u32", "1 = mapped for writing, too"),
    Field("reserved", "u32", ""),
)

VGA = Struct(
    "vga_state",
    "The registers of the VGA, which the monitor keeps (IBM VGA/XGA Technical Reference, chapter 2). The VMM sets them "
    "as firmware does before the start, and reads them to show the screen.",
    Field("sequencer", "u8", "by index", 8),
    Field("graphics", "u8", "by index", 16),
    Field("crtc", "u8", "by index", 32),
    Field("attributes", "u8", "by index: palette, then control registers", 32),
    Field("dac", "u8", "red, green, blue of each colour, 6 bits", 768),
    Field("sequencer_index", "u8", ""), Field("graphics_index", "u8", ""),
    Field("crtc_index", "u8", ""), Field("attribute_index", "u8", "bit 5: the palette is in use"),
    Field("attribute_data", "u8", "1 = the next write to 0x3c0 is data"),
    Field("misc", "u8", "miscellaneous output"),
    Field("feature", "u8", "feature control"),
    Field("status", "u8", "input status 1"),
    Field("dac_read", "u8", "colour"), Field("dac_write", "u8", "colour"),
    Field("dac_part", "u8", "0 red, 1 green, 2 blue"),
    Field("dac_state", "u8", "3 = reading, 0 = writing"),
    Field("dac_mask", "u8", ""),
    Field("plain", "u8", "VgaPlain: the window is guest RAM at its address; else its content is in the planes"),
    Field("reserved", "u8", "", 2),
    Field("dac_cache", "u8", "colour being written", 4),
    Field("latch", "u8", "by plane", 4),
    Field("window", "u32", "guest-physical address of video memory"),
    Field("window_size", "u32", "bytes"),
)

SERIAL = Struct(
    "serial_port",
    "The far end of a serial port: its rings (layout.py).",
    Field("present", "u32", "1 = the port exists"),
    Field("out_head", "u32", "bytes ever written by the guest"),
    Field("out_tail", "u32", "bytes ever read by the VMM"),
    Field("in_head", "u32", "bytes ever sent to the guest"),
    Field("in_tail", "u32", "bytes ever read by the guest"),
    Field("breaks", "u32", "breaks ever sent to the guest"),
    Field("break_at", "u32", "`in_head` at the last of them"),
)

POSTED = Struct(
    "posted_write",
    "One queued port write.",
    Field("port", "u16", ""), Field("size", "u16", "bytes"), Field("value", "u32", ""),
)

RECENT = Struct(
    "recent_call",
    "One entry of the flight recorder that crash reports show.",
    Field("number", "u32", "hypercall"), Field("eip", "u32", "caller"),
)

TRACE = Struct(
    "trace_record",
    "One trace record (64 bytes).",
    Field("tsc", "u64", "host TSC at the start"),
    Field("kind", "u8", "TraceKind"),
    Field("cpl", "u8", "guest privilege level of the caller"),
    Field("number", "u8", "hypercall, exit reason, vector, opcode, DeviceAccess, rights of a TLB fill or length of a "
          "mark's text, by kind"),
    Field("flags", "u8", "TraceFlag"),
    Field("sequence", "u32", "low half of the record's number, counted from 1"),
    Field("eip", "u32", "caller"),
    Field("cr3", "u32", "address space"),
    Field("esp", "u32", "guest stack pointer"),
    Field("args", "u32", "hypercalls: EAX, EBX, ECX, EDX, ESI at entry; else see TraceKind", 5),
    Field("result", "u32", "hypercalls: EAX at the end; exits: the answer; reads of devices: the value"),
    Field("latency", "u32", "TSC cycles until the guest went on, 0xffffffff: that or more; 0 for events"),
    Field("operand", "u32", "hypercalls: explicit operands of the instruction, else EDI at entry and 0", 2),
)

TRACE_STACK = Struct(
    "trace_stack",
    "A piece of the guest's stack: a trace record of kind STACK. The pieces stand in front of the record that they "
    "belong to, which has the same `tsc`, and tells EIP and ESP. The words of the first piece are EBX, ESI, EDI, EBP, "
    "base of SS and bytes of stack that follow; then comes the stack, from ESP up, through all the pieces.",
    Field("tsc", "u64", "that of the record"),
    Field("kind", "u8", "TraceKind.STACK"),
    Field("cpl", "u8", "guest privilege level"),
    Field("number", "u8", "which piece this is, from 0"),
    Field("flags", "u8", "TraceFlag"),
    Field("sequence", "u32", "as that of any record"),
    Field("words", "u32", "", 12),
)

RANGE = Struct(
    "trace_range",
    "Addresses from `first` to `last`, both included.",
    Field("first", "u32", ""),
    Field("last", "u32", ""),
)

TRACE_FILTER = Struct(
    "trace_filter",
    "Which of the kinds in control.trace_mask become records, where not all do: those that `rings`, `callers` and "
    "`spaces` allow and any of the other fields names. The VMM may change it while the guest runs.",
    Field("active", "u32", "0 = there is no filter"),
    Field("whole", "u32", "bit TraceKind: all records of this kind"),
    Field("calls", "u32", "bit n: hypercall n", 8),
    Field("vectors", "u32", "bit n: interrupt vector n", 8),
    Field("exceptions", "u32", "bit n: exception n"),
    Field("exits", "u32", "bit ExitReason"),
    Field("ports", "u32", "1 = the ports in the bitmap at TRACE_PORTS_OFFSET, whatever accesses them"),
    Field("addresses", "u32", "ranges used in `address`"),
    Field("address", "trace_range", "guest-physical addresses of devices' memory", 8),
    Field("rings", "u32", "bit n: callers in ring n"),
    Field("spaces", "u32", "entries used in `space`; 0: all"),
    Field("space", "u32", "CR3", 8),
    Field("callers", "u32", "ranges used in `caller`; 0: all callers"),
    Field("caller", "trace_range", "guest-linear addresses, rising and apart", 512),
)

CPUID = Struct(
    "cpuid_leaf",
    "What CPUID answers for one leaf.",
    Field("leaf", "u32", "EAX at entry"),
    Field("eax", "u32", ""), Field("ebx", "u32", ""), Field("ecx", "u32", ""), Field("edx", "u32", ""),
)

CONTROL = Struct(
    "control_block",
    "Configuration, state and counters, shared by the monitor and the VMM.",
    Field("magic", "u32", "ABI_MAGIC"),
    Field("abi_version", "u32", ""),
    Field("flags", "u32", "ConfigFlag"),
    Field("slide", "u32", "out: base of the guest segments, 0 or 0x10000"),
    Field("ram_size", "u64", "bytes of guest RAM, from physical 0"),
    Field("pool_max", "u32", "address-space processes at most"),
    Field("trap_count", "u32", "entries in the side table of replaced instructions"),
    Field("rom_base", "u32", "read-only physical range (BIOS area); 0 bytes: none"),
    Field("rom_size", "u32", ""),
    Field("cpuid", "cpuid_leaf", "the virtual CPU's model", 16),
    Field("cpuid_count", "u32", "leaves of it; all others are zeros"),
    Field("places", "u32", "entries at PLACES_OFFSET"),
    Field("trace_mask", "u32", "bit TraceKind set: record this kind"),
    Field("trace_slots", "u32", "records in the ring: a power of two, at least 8; 0: no ring"),
    Field("trace_head", "u64", "records ever written by the monitor"),
    Field("trace_tail", "u64", "records ever read by the VMM"),
    Field("trace_lost", "u64", "records dropped because the ring was full"),
    Field("trace_stack", "u32", "bytes of stack to record with each operation, at most TRACE_STACK_MOST; 0: none"),
    Field("open_stack", "u32", "1 = the stack of `open_operation` lies at TRACE_STACK_OFFSET"),
    Field("coverage_open", "u32", "1 + the index of the coverage_counter whose operation is in progress; 0: none"),
    Field("trace_filter", "trace_filter", ""),
    Field("open_operation", "trace_record", "the traced hypercall or emulation in progress; tsc 0: none"),
    Field("open_exit", "trace_record", "the traced exit in progress; tsc 0: none"),
    Field("run_state", "u32", "0 starting, 1 running, 2 halted, 3 asking, 4 ended"),
    Field("current_pid", "u32", "host process that runs the guest"),
    Field("exit_pending", "u32", "1 = the monitor waits for an answer"),
    Field("doorbell", "u32", "1 = EXIT_FD was rung for serial output not yet read"),
    Field("exit", "exit_record", ""),
    Field("end", "exit_record", "the zygote's last words, which wait for no answer: MEMBER_DIED, or NONE"),
    Field("vmm_pid", "u32", "the process that the monitor must not outlive"),
    Field("irq_request", "u8", "VMM: 1 pulse, 2 raise, 3 lower this ISA line; cleared by the monitor", 16),
    Field("serial", "serial_port", "by number; the first is the console", 4),
    Field("cmos", "u8", "CMOS memory; the bytes of the clock are those that it was last stopped or set at", 128),
    Field("lost_ticks", "u32", "LostTicks"),
    Field("inside", "u32", "entries at INSIDE_OFFSET"),
    Field("posted_head", "u32", "posted writes ever queued"),
    Field("posted_tail", "u32", "posted writes ever seen by the VMM"),
    Field("recent_head", "u32", "entries ever written to `recent`"),
    Field("latch", "u8", "port values that need no exit", 256),
    Field("vga", "vga_state", ""),
    Field("fifo", "fifo_window", "", 8),
    Field("ide", "ide_channel", "", 2),
    Field("disks", "disk_window", "by DISK_FD", 4),
    Field("recent", "recent_call", "the last hypercalls", 64),
    Field("calls", "u64", "hypercalls by number", 256),
    Field("exits", "u64", "exits by reason", 32),
    Field("interrupts", "u64", "delivered interrupts by vector", 256),
    Field("exceptions", "u64", "exceptions delivered to the guest by vector", 32),
    Field("emulated", "u64", "instructions that trapped and were emulated"),
    Field("tlb_fills", "u64", "virtual TLB fills"),
    Field("tlb_pages", "u64", "pages mapped by them"),
    Field("tlb_drops", "u64", "pages dropped"),
    Field("tlb_evictions", "u64", "whole flushes because host mappings ran out"),
    Field("low_unmaps", "u64", "supervisor pages unmapped on return to user"),
    Field("switches", "u64", "address-space hand-overs"),
    Field("members", "u64", "address-space processes created"),
    Field("halts", "u64", "times idle"),
    Field("signals", "u64", "host signals taken"),
    Field("coverage_start", "u64", "TSC when the operation of `coverage_open` began, and what it slept"),
    Field("patches_size", "u32", "bytes at PATCHES_OFFSET"),
    Field("patches_out", "u32", "1 = kernel code runs in a segment with a base: patches have made way for traps"),
    Field("cells", "u64", "how many there are at CELLS_OFFSET"),
    Field("coverage_lost", "u64", "operations of places for which the coverage table had no room"),
    Field("virtual_8086", "u64", "times that the guest asked for virtual-8086 mode, which there is not"),
)

COVERAGE_COUNTER = Struct(
    "coverage_counter",
    "What one place of the guest asked for, all told.",
    Field("eip", "u32", "of the instruction, as guest code has it"),
    Field("form", "u8", "CoverageForm"),
    Field("number", "u8", "GATE: hypercall; INLINE: Action of the sequence; TRAP: vector"),
    Field("cpl", "u8", ""),
    Field("reserved", "u8", ""),
    Field("count", "u64", "0: the entry is free"),
    Field("exits", "u64", "to the VMM"),
    Field("cycles", "u64", "of the TSC, in the monitor and the VMM, without sleep and the way into the monitor"),
)

DEBUG_POINT = Struct(
    "debug_point",
    "A break point or watch point of a debugger.",
    Field("type", "u32", "DebugPoint; 0: none"),
    Field("linear", "u32", "first byte"),
    Field("size", "u32", "bytes"),
    Field("reserved", "u32", ""),
)

DEBUG = Struct(
    "debug_block",
    "What a debugger of the guest asks for, and how the guest stands. Written by the VMM while the guest stands still, "
    "but for `request`.",
    Field("request", "u32", "1 = stop the guest; cleared by the monitor"),
    Field("changed", "u32", "1 = memory or points have changed while the guest stood; cleared by the monitor"),
    Field("eflags", "u32", "as the guest sees them"),
    Field("eflags_written", "u32", "1 = `eflags` is to be loaded"),
    Field("exceptions", "u32", "bit of each vector: stop in front of its delivery"),
    Field("port_count", "u32", "entries of `ports`"),
    Field("calls", "u32", "bit of each hypercall: stop in front of it", 8),
    Field("interrupts", "u32", "bit of each vector, of devices and of int: stop in front of its delivery", 8),
    Field("ports", "u32", "stop behind an access", 16),
    Field("data", "segment", "DS, ES, FS, GS", 4),
    Field("point_count", "u32", "entries of `points`"),
    Field("reserved", "u32", "", 5),
    Field("fpu", "u8", "x87 and SSE, as FXSAVE has them", 512),
    Field("points", "debug_point", "", 64),
)

ABI_MAGIC = 0x33676E72  # "rng3"
