"""Families of hostile guests. Each makes one guest's memory from a random number generator."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

from hypercalls import layout
from hypercalls.structs import CONTROL, EXIT, VCPU
from tests.hypervisor.hostile import code, machine, stage
from tests.hypervisor.hostile.stage import Piece, in_long_mode, in_ring_3, plain

Family = Callable[[Random, int], bytes]  # second: the base of the guest's segments in the host, the slide

PIECES_PER_GUEST = 12
HOST_SELECTORS = (0x23, 0x2B, 0x33, 0x3B, 0x63, 0x6B, 0x7B)  # Linux's own, flat and per-CPU
GUEST_SELECTORS = (0, 3, 0x08, 0x0B, 0x10, 0x13, 0x1B, 0x18, 0x23, 0x20, 0x28, 0x30, 0x38, 0x0F, 0x14, 0xFFF8, 0xFFFC)
EDGES = (0, 1, 0xFF, 0xFFF, 0x1000, 0xA_0000, 0xF_FFFF, stage.BASE, stage.STACK, 0x7FFF_FFFF, 0x8000_0000,
         0xFEC0_0000, 0xFEE0_0000, layout.HOLE - 1, layout.HOLE, layout.HOLE + 0x1000, layout.HOLE + 0x2000,
         layout.LANDING, layout.LANDING + 0x2000, layout.HOLE + layout.HOLE_SIZE, 0xFFFF_0000, 0xFFFF_FFF0,
         0xFFFF_FFFF)  # fmt: skip
MSRS = (0x10, 0x1B, 0x174, 0x175, 0x176, 0x1A0, 0x200, 0x20F, 0x277, 0x2FF, 0xC000_0080, 0xC000_0081,
        0xC000_0100, 0xC000_0101, 0xC000_0102)  # fmt: skip


def any_word(rng: Random) -> int:
    """A 32-bit value: an address on an edge, near one, or anything."""
    kind = rng.random()
    if kind < 0.5:
        return rng.choice(EDGES)
    if kind < 0.7:
        return rng.choice(EDGES) + rng.randint(-64, 64) & code.U32
    return rng.getrandbits(32)


def any_selector(rng: Random) -> int:
    return rng.choice((rng.choice(HOST_SELECTORS), rng.choice(GUEST_SELECTORS), rng.getrandbits(16)))


def any_size(rng: Random) -> int:
    return rng.choice((1, 2, 4))


# --- pieces ---------------------------------------------------------------------------------------------


def garbage(rng: Random) -> Piece:
    return plain(rng.randbytes(rng.randint(1, 64)))


def wild_jump(rng: Random) -> Piece:
    return plain(code.jump(any_word(rng)))


def wild_far_jump(rng: Random) -> Piece:
    transfer = rng.choice((code.far_jump, code.far_call))
    return plain(code.set_flags(2) + transfer(any_selector(rng), any_word(rng)))


def segment_load(rng: Random) -> Piece:
    selector = any_selector(rng)
    use = code.load(any_word(rng)) if rng.random() < 0.5 else b"\x50\x58"
    registers = (code.ES, code.SS, code.DS, code.FS, code.GS)
    return plain(code.load_segment(rng.choice(registers), selector) + use)


def interrupt(rng: Random) -> Piece:
    doors = (code.software_interrupt(0x80), b"\x0f\x05", b"\x0f\x34", b"\x0f\x35", b"\x0f\x07", b"\xcc", b"\xce",
             b"\xf1", b"\x0f\x0b", code.software_interrupt(rng.getrandbits(8)))  # fmt: skip
    return plain(code.mov(code.EAX, rng.randrange(400)) + code.mov(code.EBX, any_word(rng)) + rng.choice(doors))


def wild_iret(rng: Random) -> Piece:
    frame = (any_word(rng), any_selector(rng), rng.getrandbits(32), any_word(rng), any_selector(rng), 0, 0, 0, 0)
    return plain(code.interrupt_return(frame))


def table(rng: Random) -> Piece:
    limit = rng.choice((0, 7, 0x7FF, 0xFFFF, rng.getrandbits(16)))
    return plain(code.load_table(rng.random() < 0.5, any_word(rng), limit))


def flags(rng: Random) -> Piece:
    after = rng.choice((b"\x90\x90", code.gate(rng.getrandbits(8)), code.load(stage.BASE + 1), b"\xcf", b"\xcd\x40"))
    return plain(code.set_flags(rng.getrandbits(22) | 2) + after)


def string_io(rng: Random) -> Piece:
    count = rng.choice((0, 1, 3, 0x1000, 0x10_0000, 0x7FFF_FFFF, 0xFFFF_FFFF))
    port = rng.choice((0x1F0, 0x3F8, 0x20, 0x60, 0x80, rng.getrandbits(16)))
    return plain(code.string_io(rng.random() < 0.5, any_size(rng), port, any_word(rng), count, rng.random() < 0.3))


def ports(rng: Random) -> Piece:
    out = b""
    for _ in range(rng.randint(1, 24)):
        port, size = rng.choice((rng.getrandbits(16), rng.randrange(0x400))), any_size(rng)
        out += code.port_in(port, size) if rng.random() < 0.5 else code.port_out(port, size, rng.getrandbits(32))
    return plain(out)


def control(rng: Random) -> Piece:
    value = rng.choice((any_word(rng), 1 << rng.randrange(32)))
    return plain(code.write_control(rng.choice((0, 0, 2, 3, 3, 4, 8)), value))


def msr(rng: Random) -> Piece:
    number = rng.choice((rng.choice(MSRS), rng.getrandbits(32)))
    if rng.random() < 0.5:
        return plain(code.read_msr(number))
    return plain(code.write_msr(number, any_word(rng), any_word(rng)))


def wild_gate(rng: Random) -> Piece:
    used = (code.EAX, code.EBX, code.ECX, code.EDX, code.ESI, code.EDI)
    registers = b"".join(code.mov(register, any_word(rng)) for register in used)
    stack = code.mov(code.ESP, any_word(rng)) if rng.random() < 0.5 else b""
    return plain(registers + stack + code.gate(rng.getrandbits(8)) + rng.randbytes(4))


def landing(rng: Random) -> Piece:
    offset = layout.LANDING + rng.randrange(layout.LANDING_COUNT * layout.LANDING_STUB_SIZE)
    if rng.random() < 0.5:
        offset &= ~(layout.LANDING_STUB_SIZE - 1)
    stack = code.mov(code.ESP, any_word(rng)) if rng.random() < 0.5 else b""
    return plain(code.set_flags(rng.choice((2, rng.getrandbits(22)))) + stack + code.far_jump(code.LONG_MODE, offset))


def hole(rng: Random) -> Piece:
    kinds = (
        lambda: code.fill(layout.HOLE, rng.choice((1, 0x1C, 0x200, 0x1000)), rng.getrandbits(8)),
        lambda: code.store(layout.HOLE + rng.randrange(0, 0x600, 4), rng.getrandbits(32)),
        lambda: code.store(layout.HOLE + rng.randrange(layout.HOLE_SIZE), rng.getrandbits(32)),
        lambda: code.jump(layout.HOLE + rng.randrange(layout.HOLE_SIZE)),
        lambda: code.load(layout.HOLE + rng.randrange(layout.HOLE_SIZE)),
    )
    return plain(rng.choice(kinds)())


def devices(rng: Random) -> Piece:
    """The memory of the interrupt controllers and of nothing at all."""
    out = b""
    for _ in range(rng.randint(1, 12)):
        address = rng.choice((0xFEE0_0000, 0xFEC0_0000, 0xFED0_0000, 0xE000_0000)) + rng.randrange(0x1000)
        out += code.store(address, rng.getrandbits(32)) if rng.random() < 0.5 else code.load(address)
    return plain(out)


def user_code(rng: Random) -> Piece:
    return in_ring_3(rng.choice(KERNEL_PIECES)(rng))


def long_garbage(rng: Random) -> Piece:
    return in_long_mode(rng.randbytes(rng.randint(1, 64)))


KERNEL_PIECES: tuple[Callable[[Random], Piece], ...] = (
    garbage, wild_jump, wild_far_jump, segment_load, interrupt, wild_iret, table, flags, string_io, ports, control,
    msr, wild_gate, landing, hole, devices,
)  # fmt: skip


def pieces_of(*makers: Callable[[Random], Piece]) -> Family:
    """A family whose guests run a dozen pieces from `makers`."""

    def make(rng: Random, slide: int) -> bytes:
        return stage.image([rng.choice(makers)(rng) for _ in range(PIECES_PER_GUEST)], slide)

    return make


# --- page tables -----------------------------------------------------------------------------------------


def any_entry(rng: Random) -> int:
    frame = rng.choice((rng.randrange(0x1000) << 12, rng.getrandbits(20) << 12, stage.PAGES))
    return frame | rng.getrandbits(12)


def page_tables(rng: Random, slide: int) -> bytes:
    """Paging by tables of garbage, of nothing, or of good entries with some garbage among them."""
    directory = [any_entry(rng) if rng.random() < 0.9 else 0 for _ in range(1024)]
    leaf = [any_entry(rng) for _ in range(1024)]
    if rng.random() < 0.7:  # what the pieces run on stays mapped
        directory[0] = stage.PAGES + 0x1000 | 7
        leaf = [page << 12 | 7 if rng.random() < 0.95 or page < 0x200 else any_entry(rng) for page in range(1024)]
    if rng.random() < 0.2:
        directory = [0] * 1024
    cr4 = code.write_control(4, rng.choice((0, 0x10, 0x90)))
    on = code.write_control(3, stage.PAGES | rng.getrandbits(5)) + code.write_control(0, 0x8000_0011)
    touches: list[Piece] = [rng.choice((touch, rewrite_entry, user_code, wild_jump, control))(rng) for _ in range(24)]
    memory = bytearray(stage.image([plain(cr4 + on), *touches], slide))
    at = stage.PAGES - stage.BASE
    memory[at : at + 8192] = struct.pack("<2048I", *directory, *leaf)
    return bytes(memory)


def touch(rng: Random) -> Piece:
    address = rng.choice((any_word(rng), rng.getrandbits(24), stage.PAGES + rng.randrange(0x3000)))
    return plain(code.load(address) if rng.random() < 0.5 else code.store(address, rng.getrandbits(32)))


def rewrite_entry(rng: Random) -> Piece:
    index = rng.randrange(2048)
    flush = rng.choice((b"", b"\x0f\x20\xd8\x0f\x22\xd8", b"\x0f\x01\x3d" + code.long(any_word(rng)),
                        code.write_control(3, stage.PAGES + rng.randrange(3) * 0x1000)))  # fmt: skip
    return plain(code.store(stage.PAGES + index * 4, any_entry(rng)) + flush + code.load(any_word(rng)))


# --- whole guests ----------------------------------------------------------------------------------------


def random_kernel(rng: Random, _slide: int) -> bytes:
    return rng.randbytes(rng.choice((1, 64, 4096, 65536)))


def garbage_tables(rng: Random, slide: int) -> bytes:
    """Descriptor tables and TSS of garbage, in use while pieces run."""
    makers = (segment_load, interrupt, wild_far_jump, user_code, wild_iret)
    memory = bytearray(stage.image([rng.choice(makers)(rng) for _ in range(PIECES_PER_GUEST)], slide))
    for table_at, first, size in ((stage.GDT, 0x38, 0x800), (stage.IDT, 0, 0x800), (stage.TSS, 4, 0x64)):
        for _ in range(rng.randint(0, 40)):
            at = table_at - stage.BASE + rng.randrange(first, size)
            memory[at] = rng.getrandbits(8)
    large = code.load_table(False, stage.GDT, 0xFFF) + code.jump(stage.DISPATCHER)
    at = stage.PIECES - stage.BASE
    memory[at : at + len(large)] = large
    return bytes(memory)


# --- 64-bit code: the whole process is the guest's ----------------------------------------------------------

SYSTEM_CALLS = 470
WRITE, FUTEX, FUTEX_WAKE = 1, 202, 1


def host_calls(rng: Random) -> Piece:
    out = b""
    for _ in range(rng.randint(1, 6)):
        arguments = [rng.choice((0, 1, 2, 3, 5, -1, 0x1000, stage.BASE, rng.getrandbits(64))) for _ in range(6)]
        out += code.host_call(rng.randrange(SYSTEM_CALLS), *arguments)
    return in_long_mode(out)


def host_memory(rng: Random) -> Piece:
    """Stores to the monitor's data and to all that it shares with the VMM."""
    areas = ((layout.STATE_BASE, 0x6_0000), (layout.STATE_BASE + layout.CONTROL_OFFSET, CONTROL.size),
             (layout.STATE_BASE + layout.IN_MAP_OFFSET, 0x9_0000), (layout.STATE_BASE + layout.VCPU_OFFSET, VCPU.size),
             (machine.MACHINE, 0x800), (machine.MACHINE, 0x8000), (layout.RAM_BASE, 0x40_0000))  # fmt: skip
    out = b""
    for _ in range(rng.randint(1, 40)):
        base, size = rng.choice(areas)
        out += code.store64(base + rng.randrange(size), rng.choice((0, 1, 2**64 - 1, rng.getrandbits(64))))
    return in_long_mode(out)


def forged_exit(rng: Random) -> Piece:
    """Exits that the monitor did not make: the VMM must doubt every field."""
    control_at = layout.STATE_BASE + layout.CONTROL_OFFSET
    record = control_at + CONTROL.offset("exit")
    out = b""
    for _ in range(rng.randint(1, 8)):
        for at in range(0, EXIT.size, 8):
            out += code.store64(record + at, rng.choice((0, 1, 0xF4, 2**64 - 1, rng.getrandbits(64))))
        reason = rng.choice((*range(18), 255, rng.getrandbits(32)))
        out += code.store64_low(record, reason) + code.store64_low(control_at + CONTROL.offset("exit_pending"), 1)
        out += code.store64(layout.STATE_BASE + layout.EXIT_DATA_OFFSET, rng.choice((1, 2**64 - 2)))
        out += code.host_call(WRITE, layout.EXIT_FD, layout.STATE_BASE + layout.EXIT_DATA_OFFSET, 8)
    return in_long_mode(out)


def forged_request(rng: Random) -> Piece:
    """Shared state that other processes of the guest act upon: the zygote's orders, the pool."""
    at = machine.addresses()
    words = [*range(at["current"], at["pool"], 4), *range(at["pool"], at["pool"] + 0x100, 4)]
    out = b""
    for _ in range(rng.randint(1, 12)):
        for _ in range(rng.randint(1, 4)):
            out += code.store64_low(rng.choice(words), rng.choice((0, 1, 2, 7, any_word(rng))))
        woken = rng.choice((at["zygote_turn"], rng.choice(words)))
        out += code.store64_low(woken, rng.choice((1, 2, 3))) + code.host_call(FUTEX, woken, FUTEX_WAKE, 1)
    return in_long_mode(out)


def trace_ring(rng: Random) -> Piece:
    """Records that nobody wrote, and counters of the ring that make no sense."""
    control_at = layout.STATE_BASE + layout.CONTROL_OFFSET
    names = ("trace_head", "trace_lost", "open_operation", "open_exit")
    counters = [control_at + CONTROL.offset(name) for name in names]
    out = b""
    for _ in range(rng.randint(1, 40)):
        record = layout.STATE_BASE + layout.TRACE_OFFSET + rng.randrange(64) * layout.TRACE_RECORD_SIZE
        out += code.store64(record + rng.randrange(0, layout.TRACE_RECORD_SIZE, 8), rng.getrandbits(64))
    if rng.random() < 0.2:
        out += code.store64(rng.choice(counters), rng.choice((0, 1, 100, rng.getrandbits(64))))
    return in_long_mode(out)


FAMILIES: dict[str, Family] = {
    "random kernels": random_kernel,
    "everything": pieces_of(*KERNEL_PIECES, user_code),
    "jumps": pieces_of(wild_jump, wild_far_jump, landing),
    "segments": pieces_of(segment_load, wild_far_jump, wild_iret, table),
    "system calls": pieces_of(interrupt, user_code),
    "flags": pieces_of(flags, wild_gate, interrupt),
    "ports": pieces_of(ports, string_io, devices),
    "registers": pieces_of(control, msr, table),
    "gates": pieces_of(wild_gate, landing, hole),
    "hole": pieces_of(hole, wild_gate, interrupt, segment_load),
    "user code": pieces_of(user_code),
    "page tables": page_tables,
    "descriptor tables": garbage_tables,
    "64-bit code": pieces_of(long_garbage, host_calls),
    "64-bit stores": pieces_of(host_memory),
    "forged exits": pieces_of(forged_exit),
    "forged requests": pieces_of(forged_request),
}
TRACED: dict[str, Family] = {
    "everything": FAMILIES["everything"],
    "forged exits": FAMILIES["forged exits"],
    "forged records": pieces_of(trace_ring, wild_gate, ports),
}
