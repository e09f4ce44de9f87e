"""The monitor's coverage table, read out of the state file."""

from __future__ import annotations

from typing import NamedTuple

from hypercalls import layout
from hypercalls.structs import COVERAGE_COUNTER, CoverageForm
from hypervisor.state import StateFile

_FORMS = frozenset(form.value for form in CoverageForm)


class Counter(NamedTuple):
    """What one place asked for. `number`: GATE: hypercall; INLINE: Action of the sequence; TRAP: vector. `cycles` of
    the TSC."""

    eip: int
    form: CoverageForm
    number: int
    cpl: int
    times: int
    exits: int
    cycles: int


def read(state: StateFile) -> list[Counter]:
    """The counters in use, in no order. The table is the guest's word: what makes no sense in it is left out."""
    window = state.window(layout.COVERAGE_OFFSET, layout.COVERAGE_SIZE)
    found = []
    for eip, form, number, cpl, _, times, exits, cycles in COVERAGE_COUNTER.packer.iter_unpack(window):
        if times and form in _FORMS:
            found.append(Counter(eip, CoverageForm(form), number, cpl & 3, times, exits, cycles))
    return found
