"""Random machine states: registers, flags, selectors, stacks and memory, at the edges where things go wrong.

What a site's operands need (a selector in AX, an address in EBX with a selector behind it) is said by the
site; everything else is drawn without regard to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from hypothesis import strategies as st

from tests.proof import machine as m
from tests.proof.machine import ARENA, PAGE, SEGMENTS, SELECTOR, Devices, State
from tests.proof.sites import Need, Site

Draw = Callable[[st.SearchStrategy[int]], int]

ARITHMETIC, TF, IF, DF, IOPL, NT, AC, ID = 0x8D5, 0x100, 0x200, 0x400, 0x3000, 0x4000, 0x40000, 0x200000

# Every selector that a kernel could have in a register: each descriptor with each RPL, the LDT's, and none.
ANY_SELECTOR = st.one_of(
    st.builds(lambda name, rpl: SELECTOR[name] | rpl, st.sampled_from(list(SEGMENTS)), st.integers(0, 3)),
    st.builds(lambda index, rpl: index * 8 | 4 | rpl, st.integers(0, len(m.LOCAL_SEGMENTS) + 1), st.integers(0, 3)),
    st.sampled_from([m.BEYOND, m.BEYOND | 3, 0xFFF8, 0xFFFF, 0x7FFC]),
)
_DATA = {
    0: ("kernel_data", "user_data", "kernel_small", "user_small", "user_read_only", "kernel_code", "conforming",
        "user_expand_down", "ring2_data"),
    1: ("ring1_data", "user_data", "user_small", "conforming", "ring2_data"),
    3: ("user_data", "user_small", "user_read_only", "user_code", "conforming", "user_expand_down"),
}
_CODE = {0: m.KERNEL_CODE, 1: SELECTOR["ring1_code"] | 1, 3: m.USER_CODE}
_STACKS = {
    0: (m.KERNEL_DATA, SELECTOR["kernel_data_alias"]),
    1: (SELECTOR["ring1_data"] | 1,),
    3: (m.USER_DATA, SELECTOR["user_small"] | 3, m.LOCAL_USER_DATA, m.LOCAL_USER_SMALL),
}
# Where one page may be accessed and the next may not: which of two bad ones is met first is not said anywhere.
_EDGES = (m.ABSENT, m.ALONE, m.ALONE + PAGE, ARENA + PAGE, ARENA + 2 * PAGE)
POINTER = st.one_of(
    st.integers(ARENA, m.ABSENT - 1),
    st.builds(lambda edge, by: edge + by, st.sampled_from(_EDGES), st.integers(-9, 8)),
    st.builds(lambda page, by: page + by, st.sampled_from([m.READ_ONLY, m.SUPERVISOR, m.ABSENT_TOO]),
              st.integers(64, 256)),
)
_OFFSET = st.one_of(st.integers(0, 0x2FFF), st.builds(lambda by: 0x2FFF + by, st.integers(-9, 4)), st.integers(0, 8))
WORD = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2**31, 2**32 - 1]), POINTER, ANY_SELECTOR)
FLAGS = st.builds(lambda bits, keep: bits & keep | 2, st.integers(0, 2**22 - 1),
                  st.sampled_from([ARITHMETIC, ARITHMETIC | DF | IF, ARITHMETIC | IF | IOPL | DF | AC | ID,
                                   ARITHMETIC | IF | IOPL | NT | ID]))
_CR0 = st.sampled_from([m.CR0_BASE, m.CR0_BASE | m.CR0_WP])
_CR4 = st.sampled_from([0, m.CR4_DE, m.CR4_PSE | m.CR4_PGE, m.CR4_OSFXSR])


def _no_new_task(selector: int) -> bool:
    """A task switch would leave the machine that compares (tests/hypervisor/engine/test_tasks.py has them)."""
    return selector & ~3 not in (SELECTOR["tss"], SELECTOR["tss_other"], SELECTOR["task_gate"])


# Loading one of these in ring 0 succeeds, and then nothing can be pushed.
_UNUSABLE_STACKS = frozenset({SELECTOR["kernel_small"]})

NEEDS: Mapping[Need, st.SearchStrategy[int]] = {
    Need.SELECTOR: st.one_of(ANY_SELECTOR, st.builds(lambda low, high: low | high << 16, ANY_SELECTOR,
                                                     st.integers(0, 0xFFFF))),
    Need.POINTER: st.one_of(POINTER, _OFFSET),
    # Of an access across the end of 4 GiB it is not said whether it faults (SDM vol. 3, 5.3).
    Need.STRING: st.one_of(POINTER, st.builds(lambda at: at & ~3, _OFFSET)),
    Need.FLAGS: st.builds(lambda bits, keep: bits & keep, st.integers(0, 2**32 - 1), st.sampled_from(
        [ARITHMETIC | IF, ARITHMETIC | IF | IOPL, ARITHMETIC | IF | IOPL | NT | AC | ID, 0x40000 | ARITHMETIC | DF])),
    Need.BYTE_PORT: st.sampled_from([0x5678, m.SCRATCH, 0x15678, 0x1F, 0x72, 0x73, 0x100, 0xFFFF]),
    Need.PORT: st.sampled_from([0x5678, 0x15678, 0x1F, 0x72, 0x100, 0xFFFC]),
    Need.SCRATCH: st.just(m.SCRATCH),
    Need.COUNT: st.one_of(st.integers(0, 20), st.integers(0, 5000)),
    Need.CR0: st.builds(lambda bits, high: bits | high | 1, st.integers(0, 0x3F),
                        st.sampled_from([0x8000_0000, 0x8001_0000, 0x8005_0000])),
    Need.CR3: st.builds(lambda bits: m.PAGE_DIRECTORY | bits, st.sampled_from([0, 8, 16, 24])),
    Need.CR4: st.sampled_from([0, 1, 2, 4, 8, 0x10, 0x80, 0x200, 0x400, 0x800, 0x1000, 0x8000_0000]),
    Need.DR6: st.integers(0, 2**32 - 1),
    Need.DR7: st.builds(lambda bits: bits & ~0x20FF, st.integers(0, 2**32 - 1)),
    Need.MSR: st.sampled_from([0x174, 0x175, 0x176, 0x277, 0x12345, 0xC000_0080]),
    Need.LAND: st.just(m.LAND),
    Need.FAR_STACK: st.integers(m.ALONE + 0x200, m.ALONE + PAGE - 0x100),
    Need.ANY: WORD,
    Need.ZERO: st.just(0),
    # Not more of either table than there is, and enough of it to go on.
    Need.TABLE_LIMIT: st.integers(m.IDT_LIMIT, 0xFFF),
    Need.TABLE_BASE: st.just(m.TABLES),
    Need.WHOLE_POINTER: st.one_of(st.integers(ARENA, m.ABSENT - 6), st.integers(m.ABSENT, m.ABSENT + 8),
                                  st.integers(0, 0xC00)),
    Need.IDT_BASE: st.just(m.IDT),
    Need.TABLE_POINTER: st.one_of(st.integers(ARENA, m.ABSENT - 6), st.integers(m.ABSENT - 5, m.ABSENT + 4)),
    Need.CODE: st.one_of(st.sampled_from([m.KERNEL_CODE, m.USER_CODE, m.SELECTOR["conforming"], m.LOCAL_USER_CODE,
                                          SELECTOR["ring1_code"] | 1]), ANY_SELECTOR).filter(_no_new_task),
    Need.ARENA_STACK: st.integers(ARENA + 0x100, m.ABSENT - 1),
    Need.RETURN_STACK: st.one_of(st.sampled_from([m.USER_DATA, SELECTOR["ring1_data"] | 1]), ANY_SELECTOR),
    Need.STACK_SELECTOR: ANY_SELECTOR.filter(lambda selector: selector & ~3 not in _UNUSABLE_STACKS),
    # In one page: neither what is accessed first nor whether the last 224 bytes are, which hold nothing, is said.
    Need.FPU_IMAGE: st.builds(lambda at, bits: at & bits, st.one_of(POINTER, _OFFSET), st.sampled_from([~15, ~15, ~0]))
    .filter(lambda at: at % PAGE <= PAGE - 512),
    Need.MXCSR: st.builds(lambda bits, reserved: bits & 0xFFBF | reserved, WORD, st.sampled_from([0, 0, 0x1_0000])),
    Need.GOOD_STACK_SELECTOR: st.sampled_from(_STACKS[0]),
}


@st.composite
def states(draw: st.DrawFn, site: Site) -> State:
    """A state for `site`."""
    cpl = draw(st.sampled_from(site.rings))
    values = {name: draw(WORD) for name in ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi")}
    stack = draw(st.sampled_from(_STACKS[cpl]))
    small = stack in (SELECTOR["user_small"] | 3, m.LOCAL_USER_SMALL)
    edges = cpl == 3 and site.stack_edges
    # Traps from ring 0 need room on its stack.
    room = st.integers(ARENA + 0x200, m.ABSENT - 0x100) if cpl == 0 or not edges else POINTER
    esp = draw(_OFFSET if small and edges else room)
    if small and not edges:
        esp -= ARENA
        if stack == m.LOCAL_USER_SMALL:
            esp = esp % 0xC00 + 0x200
    if draw(st.booleans()):
        esp &= ~3
    memory: dict[int, int] = {}
    for register, need in site.needs.items():
        if register in values:
            values[register] = draw(NEEDS[need])
    state = State(cs=_CODE[cpl], ss=stack, esp=esp, eflags=_flags(draw, site, cpl),
                  cr0=draw(_CR0), cr4=draw(_CR4), devices=draw(st.sampled_from(site.devices)), **values,
                  **_data(draw, site, 3 if site.user_data else cpl))
    if site.flat:
        flat = {0: m.KERNEL_DATA, 1: SELECTOR["ring1_data"] | 1, 3: m.USER_DATA}[cpl]
        state = State(**{**vars(state), "ds": flat, "es": flat})
    for place, need in site.words.items():
        register, _, offset = place.partition("+")
        at = getattr(state, register) + int(offset or "0", 0) + (state.stack_base if register == "esp" else 0)
        _put(memory, at, draw(NEEDS[need]))
    words = tuple(sorted(memory.items()))[: m.MAX_PATCHES]
    return State(**{**vars(state), "memory": words})


def _flags(draw: st.DrawFn, site: Site, cpl: int) -> int:
    flags = draw(FLAGS)
    if site.trap_flag and draw(st.integers(0, 5)) == 5:
        flags |= TF
    if Devices.NONE not in site.devices and not site.masked:
        flags |= IF
    if site.masked:
        flags &= ~IF
    return flags & ~site.clear_flags


def _data(draw: st.DrawFn, site: Site, cpl: int) -> dict[str, int]:
    null = st.integers(0, 3) if not site.user_data else st.just(0)
    flat = st.just({0: m.KERNEL_DATA, 1: SELECTOR["ring1_data"] | 1, 3: m.USER_DATA}[cpl])
    some = st.builds(lambda name: SELECTOR[name] | (cpl if name != "kernel_data" else 0), st.sampled_from(_DATA[cpl]))
    local = st.sampled_from([m.LOCAL_USER_DATA, m.LOCAL_USER_SMALL] + ([m.LOCAL_KERNEL_DATA] if cpl == 0 else []))
    pick = st.one_of(flat, flat, flat, some, local, null)
    return {name: draw(pick) for name in ("ds", "es", "fs", "gs")}


def _put(memory: dict[int, int], address: int, value: int) -> None:
    """Words of the arena that together hold the 32 bits `value` at `address`, as far as it may be written."""
    for byte in range(4):
        at = address + byte
        word = at & ~3
        if any(word in area for area in (m.LOW, range(m.ALONE, m.ALONE + PAGE))):
            before = memory.get(word, m.pattern(word))
            shift = (at & 3) * 8
            memory[word] = before & ~(0xFF << shift) | (value >> 8 * byte & 0xFF) << shift
