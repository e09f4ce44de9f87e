"""From the monitor's counters to places of the kernel."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from hypercalls import by_number
from hypercalls.structs import CoverageForm
from hypervisor.clock import tsc_hz
from hypervisor.coverage.counters import Counter, read
from hypervisor.coverage.format import USER_RING, Coverage, Place, load
from hypervisor.errors import RingError
from hypervisor.state import StateFile


@dataclass(frozen=True)
class Site:
    """A place that the kernel's file shows: `physical` is where it is loaded by p_paddr."""

    place: Place
    physical: int | None


class Collector:
    """Adds runs of one kernel to a coverage file.

    `sites`: the kernel's; `describe` adds symbol and source to a place in the kernel. RingError where the file exists
    and is not this kernel's, or cannot be written.
    """

    def __init__(self, path: Path, kernel: Path, sites: list[Site],
                 describe: Callable[[Place], None]) -> None:  # fmt: skip
        self._path, self._sites, self._describe = path, sites, describe
        self._fresh = Coverage(str(kernel.resolve()), zlib.crc32(kernel.read_bytes()))
        self._before = None
        if path.exists() and path.samefile(kernel):
            raise RingError(f"--coverage {path} is the kernel itself; choose another file")
        if path.exists():
            self._before = load(path)
            if self._before.crc != self._fresh.crc:
                raise RingError(f"--coverage {path} is of another kernel ({self._before.kernel}), or of another build "
                                "of it; choose another file or delete this one")
        if not os.access(path.parent, os.W_OK):
            raise RingError(f"--coverage {path} cannot be written; choose another file")
        self._by_address = {site.place.address: number for number, site in enumerate(sites)}
        self._by_physical = {site.physical: number for number, site in enumerate(sites) if site.physical is not None}

    def add(self, state: StateFile, distance: int) -> None:
        """Add what was counted in a run that is over and write the file; `distance`: how far above its addresses the
        kernel was loaded."""
        run = replace(self._fresh, runs=1, uncounted=state.control.coverage_lost,
                      sites=[replace(site.place) for site in self._sites], elsewhere=[])
        scale = 1e9 / tsc_hz()
        for counter in read(state):
            place = self._site(run, counter, distance)
            if not place:
                place = self._elsewhere(counter, distance)
                run.elsewhere.append(place)
            place.count += counter.times
            place.exits += counter.exits
            if counter.form is not CoverageForm.INLINE:  # an inline form takes the monitor's time only to be counted
                place.nanoseconds += counter.cycles * scale
        total = self._before or replace(self._fresh, sites=[], elsewhere=[])
        total.add(run)
        total.save(self._path)
        self._before = total

    def _site(self, run: Coverage, counter: Counter, distance: int) -> Place | None:
        address = counter.eip - distance
        number = self._by_address.get(address, self._by_physical.get(address))
        if number is None or counter.cpl == USER_RING or run.sites[number].form != counter.form.name.lower():
            return None
        if counter.form is CoverageForm.TRAP:
            run.sites[number].vector = counter.number
        return run.sites[number]

    def _elsewhere(self, counter: Counter, distance: int) -> Place:
        form, vector, operation = counter.form.name.lower(), 0, "instruction"
        if counter.form is CoverageForm.TRAP:
            vector = counter.number
            operation = "device access" if vector == 14 else operation
        elif counter.number in by_number:
            operation = by_number[counter.number].name
        if counter.cpl == USER_RING:
            return Place(counter.eip, operation, form, USER_RING, vector)
        place = Place(counter.eip - distance, operation, form, counter.cpl, vector)
        self._describe(place)
        return place
