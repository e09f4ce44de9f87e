"""The two machines that a test compares: built once for all tests, each kept up from case to case."""

from __future__ import annotations

from pathlib import Path

from tests.proof import engine_side, oracle
from tests.proof.build import build
from tests.proof.compare import Outcome, differences, outcome
from tests.proof.machine import State
from tests.proof.sites import Site
from tests.proof.table import DEVIANT, SITES

ENDED: Outcome = {"vector": "none: the machine shut down"}


def _ended(machine: str, why: Exception) -> Outcome:
    print(f"the {machine} ended: {why}")  # pytest shows it where a test fails
    return ENDED


class Machines:
    """The bare machine and the engine, with every site in every syntax in both."""

    def __init__(self, folder: Path) -> None:
        native, ported = folder / "native", folder / "ported"
        native.mkdir()
        ported.mkdir()
        sites = (*SITES, *DEVIANT.values())
        self._native, self._ported = build(native, sites, ported=False), build(ported, sites, ported=True)
        self._bare = oracle.Bochs(native, self._native)
        self._engine = engine_side.EngineSide(self._ported)
        self._known: dict[tuple[str, bytes, State], Outcome] = {}

    def start(self) -> None:
        """Power the bare machine on, which otherwise waits for its first case. Raises RuntimeError where it cannot."""
        self._bare.start()

    def on_bare_machine(self, site: Site, syntax: str, state: State) -> Outcome:
        """What the unported site makes of `state`; asked once for syntaxes that come to the same bytes."""
        key = site.key, self._native.code(site, syntax), state
        if key not in self._known:
            self._known[key] = self._ask(site, syntax, state)
        return self._known[key]

    def _ask(self, site: Site, syntax: str, state: State) -> Outcome:
        try:
            raw = self._bare.run(self._native.numbers[site.key, syntax], state)
        except oracle.Died as died:
            return _ended("bare machine", died)
        return outcome(raw, site, state, self._native.steps(site, syntax))

    def in_engine(self, site: Site, syntax: str, state: State) -> Outcome:
        """What the ported site makes of `state`."""
        try:
            raw = self._engine.run(self._ported.numbers[site.key, syntax], state)
        except engine_side.Died as died:
            return _ended("engine's guest", died)
        return outcome(raw, site, state, self._ported.steps(site, syntax))

    def compare(self, site: Site, syntax: str, state: State) -> list[str]:
        """Lines that say what differs."""
        return differences(self.on_bare_machine(site, syntax, state), self.in_engine(site, syntax, state), site.ignore)

    def close(self) -> None:
        """End both."""
        self._bare.close()
        self._engine.close()
