"""The engine's own start: a guest of three instructions, without loader, devices or command line."""

from __future__ import annotations

import time

from hypercalls.layout import HOLE, host_selector
from hypercalls.structs import ExitReason
from hypervisor.engine import Engine
from hypervisor.memory import GuestMemory
from hypervisor.state import StateFile

MEMORY = 16 << 20
GDT, ENTRY, STACK = 0x1000, 0x100000, 0x8000
FLAT_CODE, FLAT_DATA = 0x00CF9B000000FFFF, 0x00CF93000000FFFF
CODE, DATA = 0x08, 0x10
ACCESS_CODE, ACCESS_DATA = 0xCF9B, 0xCF93
# mov $0xf4,%edx ; gate out8
GUEST = bytes.fromhex("baf4000000 2eff15") + (HOLE + 0x1000 + 4 * 73).to_bytes(4, "little")


def engine_milliseconds() -> float:
    """From making the memory files to the guest's first exit, in ms."""
    start = time.perf_counter()
    memory, state = GuestMemory(MEMORY), StateFile()
    memory.write(GDT, b"".join(entry.to_bytes(8, "little") for entry in (0, FLAT_CODE, FLAT_DATA)))
    memory.write(ENTRY, GUEST)
    vcpu = state.vcpu
    vcpu.eip, vcpu.esp, vcpu.gdt_base, vcpu.gdt_limit = ENTRY, STACK, GDT, 23
    for segment, selector, access in ((vcpu.cs, CODE, ACCESS_CODE), (vcpu.ss, DATA, ACCESS_DATA)):
        segment.selector, segment.limit, segment.access = selector, 0xFFFFFFFF, access
    vcpu.host_cs, vcpu.host_ss = host_selector(CODE) | 3, host_selector(DATA) | 3
    vcpu.host_ds = vcpu.host_es = host_selector(DATA)
    state.shared.cr0 = 0x11
    state.shared.cs, state.shared.ss = CODE, DATA
    engine = Engine(memory, state)
    try:
        engine.start()
        while (event := engine.wait()) is None:
            pass
        if event.reason != ExitReason.PORT_OUT:
            raise RuntimeError(f"the guest made exit {event.reason} instead of a port write")
        return (time.perf_counter() - start) * 1000
    finally:
        engine.close()
        memory.close()
        state.close()
