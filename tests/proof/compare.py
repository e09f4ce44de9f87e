"""What is compared of two runs of a site, and what is not.

Not compared, each for a reason that the SDM or the contract gives:

* stack words just below the lower of the stack pointers: an interrupt may overwrite them at any time in
  ring 0, and ported code keeps a register there for a moment;
* bits 16-31 of a pushed segment register, which the processor may leave as they were (SDM vol. 2, PUSH);
* addresses of the site's own code, which are longer ported: they are compared as steps.
"""

from __future__ import annotations

from collections.abc import Sequence

from tests.proof.machine import DONE, FRAME, Raw, State, in_arena, pattern
from tests.proof.sites import MEMORY, Site

RED_ZONE = 32  # bytes below the stack pointer that ported code may use
ARITHMETIC = 0x8D5
REGISTERS = ("eax", "ecx", "edx", "ebx", "ebp", "esi", "edi")
SELECTORS = ("ds", "es", "fs", "gs")
SYSTEM = ("cr0", "cr2", "cr3", "cr4", "gdtr_low", "gdtr_high", "idtr_low", "idtr_high", "ldtr", "tr", "dr0", "dr1",
          "dr2", "dr3", "dr6", "dr7", "probe_ds", "probe_es", "probe_fs", "probe_gs", "device")
ENTRY_FLAGS = 0x4300  # what entering a handler decides: NT, IF, TF

Outcome = dict[str, object]


def outcome(raw: Raw, site: Site, state: State, steps: Sequence[int]) -> Outcome:
    """The run as it is compared: names to values, addresses within the site as "step N"."""
    values = raw.values
    inner = values["cs"] & 3 == 0
    esp = values["frame_at"] + 4 * (len(FRAME) - 2) if inner else values["outer_esp"]
    out: Outcome = {
        "vector": "end" if values["vector"] == DONE else values["vector"],
        "error": values["error"],
        "eip": _place(values["eip"] - (2 if values["vector"] == DONE else 0), steps),
        "cs": values["cs"] & 0xFFFF,
        "eflags": values["eflags"],
        "esp": esp,
        "entry": values["entry_eflags"] & ENTRY_FLAGS,
    }
    if not inner:
        out["ss"] = values["outer_ss"] & 0xFFFF
    out |= {name: values[name] for name in REGISTERS}
    out |= {name: values[name] & 0xFFFF for name in SELECTORS}
    out |= {name: values[name] for name in SYSTEM}
    out |= {name: values[name] & ~bits for name, bits in site.undefined.items()}
    if site.cr2_page:
        out["cr2"] = values["cr2"] & ~0xFFF
    top, before = esp + state.stack_base, state.esp + state.stack_base
    skipped = set(range(min(top, before) - RED_ZONE, min(top, before)))
    if not before - RED_ZONE <= top:  # another stack: what is left of the frame that the site was entered by
        skipped |= set(range(before - RED_ZONE, before))
    if site.half_push:
        skipped |= {top + 2, top + 3}
    return out | _memory(raw, state, steps, skipped, top)


def _memory(raw: Raw, state: State, steps: Sequence[int], skipped: set[int], top: int) -> Outcome:
    """Words that changed, without the bytes `skipped`; what a far call pushed at `top` as a step."""
    before = dict(state.memory)
    now = dict(raw.changes)

    def word(address: int) -> int:
        return now.get(address, before.get(address, pattern(address)))

    out: Outcome = {}
    pushed = (word(top & ~3) | word((top & ~3) + 4) << 32) >> 8 * (top & 3) & 0xFFFF_FFFF
    if pushed in steps:
        out[f"[{top:#x}]"] = _place(pushed, steps)
        skipped |= set(range(top, top + 4))
    for address, value in raw.changes:
        mask = sum(0xFF << 8 * byte for byte in range(4) if address + byte not in skipped)
        if (value ^ before.get(address, pattern(address))) & mask or not in_arena(address):
            out[f"[{address:#x}]"] = value & mask
    return out


def _place(address: int, steps: Sequence[int]) -> object:
    address &= 0xFFFF_FFFF
    if address in steps:
        return f"step {list(steps).index(address)}"
    if steps[0] <= address < steps[-1]:
        return f"inside, {address - steps[0]} bytes behind the start"
    return address


def differences(native: Outcome, ported: Outcome, ignore: frozenset[str] = frozenset()) -> list[str]:
    """Lines that say what differs; `ignore` names values that the site leaves undefined."""
    lines = []
    for name in {**native, **ported}:
        mine, theirs = native.get(name, "as before"), ported.get(name, "as before")
        if mine != theirs and name not in ignore and not (MEMORY in ignore and name.startswith("[")):
            lines.append(f"{name}: {_text(mine)} on the bare machine, {_text(theirs)} ported")
    return lines


def _text(value: object) -> str:
    return f"{value:#x}" if isinstance(value, int) else str(value)
