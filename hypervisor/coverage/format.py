"""The coverage file: JSON, of one kernel, to which further runs are added (docs/coverage.md)."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from hypervisor.errors import RingError
from hypervisor.files import write_whole

FORMAT, VERSION = "ring3-coverage", 1
FORMS = ("inline", "gate", "trap")
USER_RING = 3


@dataclass
class Place:
    """One place, with what it asked for in all runs.

    `symbol` names the function, `file` and `line` the source; where that was inlined, `callers` are the file and line
    of each call, the innermost first. They are '' and 0 where nothing tells.
    `address` as the kernel is linked (`ring` 3: as the user program has it); `form`: one of FORMS; `nanoseconds` in the
    monitor and the VMM, of gates and traps; `vector` of a trap's exception.
    """

    address: int
    operation: str
    form: str
    ring: int = 0
    vector: int = 0
    symbol: str = ""
    file: str = ""
    line: int = 0
    callers: list[tuple[str, int]] = field(default_factory=list)
    count: int = 0
    exits: int = 0
    nanoseconds: float = 0.0

    @property
    def key(self) -> tuple[int, str, str, int]:
        """What tells places apart."""
        return self.address, self.operation, self.form, self.ring


@dataclass
class Coverage:
    """What `runs` runs of one kernel asked for.

    `sites` are the places that the kernel's file shows, also those that never ran; `elsewhere` are all others: accesses
    to devices' memory, user programs, code that came into memory otherwise. `uncounted`: operations for which the
    monitor's table had no room.
    """

    kernel: str
    crc: int
    runs: int = 0
    uncounted: int = 0
    sites: list[Place] = field(default_factory=list)
    elsewhere: list[Place] = field(default_factory=list)

    def add(self, other: Coverage) -> None:
        """Add the runs of `other`, which is of the same kernel. RingError where it is not."""
        if other.crc != self.crc:
            raise RingError(f"the coverage is of two kernels, {self.kernel} and {other.kernel}, or two builds of one")
        self.runs += other.runs
        self.uncounted += other.uncounted
        self.sites = _sum(self.sites, other.sites)
        self.elsewhere = _sum(self.elsewhere, other.elsewhere)

    def save(self, path: Path) -> None:
        """Write the file. RingError where it cannot be."""
        head = {"format": FORMAT, "version": VERSION, "kernel": self.kernel, "crc": self.crc, "runs": self.runs,
                "uncounted": self.uncounted}  # fmt: skip
        body = {name: [asdict(place) for place in getattr(self, name)] for name in ("sites", "elsewhere")}
        write_whole(path, [json.dumps(head | body, indent=1).encode(), b"\n"])


def _sum(some: list[Place], more: list[Place]) -> list[Place]:
    found = {place.key: place for place in some}
    for place in more:
        known = found.setdefault(place.key, place)
        if known is not place:
            known.vector = known.vector or place.vector
            known.count += place.count
            known.exits += place.exits
            known.nanoseconds += place.nanoseconds
    return [found[key] for key in sorted(found)]


def is_coverage(path: Path) -> bool:
    """Whether the file looks like one of coverage; what cannot be read does not."""
    try:
        with path.open("rb") as file:
            return FORMAT.encode() in file.read(100)
    except OSError:
        return False


def load(path: Path) -> Coverage:
    """Read a file. RingError names what is wrong with it."""
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise RingError(f"{path} cannot be read ({error.strerror}); 'ring3 run --coverage FILE' writes one") from error
    except ValueError as error:  # also of text that is no UTF-8
        raise RingError(f"{path} is no coverage file ({error}); 'ring3 run --coverage FILE' writes one") from None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise RingError(f"{path} is no coverage file; 'ring3 run --coverage FILE' writes one")
    if found.get("version") != VERSION:
        raise RingError(f"{path} has version {found.get('version')} of the coverage format, this ring3 reads {VERSION}")
    try:
        return Coverage(
            _checked(found["kernel"], str), *(_checked(found[name], int) for name in ("crc", "runs", "uncounted")),
            *([_place(one) for one in _checked(found[name], list)] for name in ("sites", "elsewhere")),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        what = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        raise RingError(f"{path} is damaged: {what}; record the runs again") from None


def _checked(value: Any, kind: type) -> Any:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise ValueError(f"{json.dumps(value)[:40]} stands where a {kind.__name__} belongs")
    return value


_KINDS: dict[str, Any] = {"int": int, "str": str, "float": (int, float)}


def _place(values: Any) -> Place:
    place = Place(**_checked(values, dict))
    place.callers = [(_checked(file, str), _checked(line, int)) for file, line in _checked(place.callers, list)]
    for one in fields(Place):
        value = getattr(place, one.name)
        if (one.name != "callers" and not isinstance(value, _KINDS[str(one.type)])) or isinstance(value, bool):
            raise ValueError(f"{one.name} of a place is {json.dumps(value)[:40]}")
    if place.form not in FORMS or min(place.count, place.exits, place.nanoseconds) < 0:
        raise ValueError(f"the place at {place.address:#x} makes no sense")
    return place
