"""Where ported code still differs from the processor, as data: in which states, and what differs, exactly.

``test_deviations`` compares them, ``reference`` writes them into docs/proof.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from tests.proof import machine as m
from tests.proof.machine import ARENA, LAND, SELECTOR, State
from tests.proof.sites import Site
from tests.proof.table import BY_KEY, DEVIANT

Differs = Mapping[str, tuple[object, object]]


class Case(NamedTuple):
    """The names of what differs from `state` on, with the value of each: on a bare machine, and ported.

    `host`: a flag of /proc/cpuinfo without which nothing does.
    """

    site: Site
    state: State
    differs: Differs
    host: str = ""


class Deviation(NamedTuple):
    """In words: what deviates, what a processor does, and what ported code does."""

    what: str
    processor: str
    ported: str
    cases: Mapping[str, Case]


_RF = 0x1_0002  # EFLAGS as a fault saves them
_VIF = 0x8_0000
_BREAK_ON_WRITE, _GENERAL_DETECT = 0xD_0401, 0x2400  # in DR7
_DR6 = 0xFFFF_0FF0
_DR6_BD = 0x2000


def _user(**values: int) -> State:
    data = dict.fromkeys(("ss", "ds", "es", "fs", "gs"), m.USER_DATA)
    return State(cs=m.USER_CODE, **data, **values)


def _spared(vector: int) -> Differs:
    """A fault that the ported site, of one step, does not raise."""
    return {"vector": (vector, "end"), "eip": ("step 0", "step 1"), "eflags": (_RF, 2)}


def _refused(error: int, end: object, eflags: int = 2) -> Differs:
    """#GP that only the ported site raises; on a bare machine it comes to `end`."""
    return {"vector": ("end", 13), "error": (0, error), "eip": (end, "step 0"), "eflags": (eflags, _RF)}


def _differing(differs: Differs) -> Differs:
    return {name: pair for name, pair in differs.items() if pair[0] != pair[1]}


def _one(name: str, site: str, state: State, differs: Differs, host: str = "") -> Mapping[str, Case]:
    return {name: Case(DEVIANT.get(site) or BY_KEY[site], state, _differing(differs), host)}


_SPARE = SELECTOR["kernel_data_alias"]
_ACCESSED = m.SEGMENTS["kernel_data_alias"] >> 32
_BEHIND = m.pattern(m.ALONE + m.PROBE_OFFSET)  # what a flat segment shows
DEVIATIONS = (
    Deviation("`stac`, `clac`", "#UD without SMAP", "nothing",
              {**_one("stac", "stac", State(), _spared(6)), **_one("clac", "clac", State(), _spared(6))}),
    Deviation("`wbinvd`, `invd` outside ring 0", "#GP", "nothing",
              {**_one("wbinvd-user", "wbinvd", _user(), _spared(13)),
               **_one("invd-user", "invd", _user(), _spared(13))}),
    Deviation("`clflush`", "#UD where CPUID does not show it, as the virtual CPU's does not", "runs",
              _one("clflush", "clflush", State(ebx=ARENA), _spared(6))),
    Deviation("`rdpid` on a host whose processor has it",
              "#UD where CPUID does not show it, as the virtual CPU's does not", "runs",
              _one("rdpid", "rdpid", State(), _spared(6), "rdpid")),
    Deviation("`sysexit` with data segments of ring 0", "leaves them", "makes them null: they would show the user the "
              "kernel", _one("sysexit-data", "sysexit", State(edx=LAND, ecx=ARENA), {
                  name: pair for segment in ("ds", "es") for name, pair in (
                      (segment, (m.KERNEL_DATA, 0)), (f"probe_{segment}", (_BEHIND, m.PROBE_FAILED)))})),
    Deviation("hardware breakpoints (DR0-3, DR7)", "trap", "do not",
              _one("watchpoint", "watchpoint", State(eax=ARENA, ebx=ARENA, ecx=_BREAK_ON_WRITE), {
                  "vector": (1, "end"), "eip": ("step 3", "step 4"), "dr6": (_DR6 | 1, _DR6)})),
    Deviation("debug registers with DR7.GD", "#DB", "can be read and written",
              _one("general-detect", "general-detect", State(ecx=_GENERAL_DETECT), {
                  "vector": (1, "end"), "eip": ("step 1", "step 3"), "dr6": (_DR6 | _DR6_BD, _DR6),
                  "dr7": (0x400, _GENERAL_DETECT)})),
    Deviation("clearing CR0.PE", "back to real mode", "#GP: there is none",
              _one("real-mode", "real-mode", State(eax=0x10, ecx=m.CR0_BASE), _refused(0, "step 2"))),
    Deviation("bits of CR4 that the virtual CPU does not offer (MCE, PCE)", "can be set", "#GP, as for reserved bits", {
        name: Case(BY_KEY["to-cr4"], State(eax=bit), _differing({**_refused(0, "step 1"), "cr4": (bit, 0)}))
        for name, bit in (("machine-check", m.CR4_MCE), ("performance-counters", m.CR4_PCE))}),
    Deviation("`rdtsc` outside ring 0 with CR4.TSD", "#GP", "runs",
              _one("timestamp-disabled", "rdtsc", _user(cr4=m.CR4_TSD), _spared(13))),
    Deviation("`cli`, `sti` outside ring 0 with CR4.PVI", "change EFLAGS.VIF", "#GP, as without",
              _one("virtual-interrupts", "sti", _user(cr4=m.CR4_PVI), _refused(0, "step 1", 2 | _VIF))),
    Deviation("the FPU with CR0.TS or CR0.EM", "#NM", "runs", {
        **_one("task-switched", "fpu", State(cr0=m.CR0_BASE | m.CR0_TS), _spared(7)),
        **_one("task-switched-user", "fpu", _user(cr0=m.CR0_BASE | m.CR0_TS), _spared(7)),
        **_one("emulated-fpu", "fpu", State(cr0=m.CR0_BASE | m.CR0_EM), _spared(7))}),
    Deviation("the \"accessed\" bit of a descriptor", "set when it is loaded", "left as it is",
              _one("accessed", "accessed", State(eax=_SPARE), {
                  "edx": (_ACCESSED, _ACCESSED & ~0x100),
                  f"[{m.TABLES + _SPARE + 4:#x}]": (None, _ACCESSED & ~0x100)})),
)  # fmt: skip
CASES: Mapping[str, Case] = {name: case for deviation in DEVIATIONS for name, case in deviation.cases.items()}
