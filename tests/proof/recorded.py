"""``python -m tests.proof.recorded``: record what the bare machine makes of some states, for hosts that have none.

The recording holds the unported outcome of each site by state; it is the same in each syntax, whose unported
instructions are the same. What an outcome shares with the state that it began in is left out.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings

from tests.proof.compare import Outcome
from tests.proof.machine import IDT, IDT_LIMIT, LDT, PAGE_DIRECTORY, TABLES, TSS, Devices, State
from tests.proof.machines import ENDED, Machines
from tests.proof.sites import Site
from tests.proof.states import states
from tests.proof.table import SITES

FILE = Path(__file__).parent / "recorded.jsonl"
STATES = 3  # for each site


def _baseline(state: State) -> Outcome:
    """An outcome in which nothing happened."""
    same = {item.name: getattr(state, item.name) for item in fields(state)}
    known: dict[str, object] = {
        "vector": "end", "error": 0, "eip": "step 1", "entry": 0, "cr2": 0, "cr3": PAGE_DIRECTORY,
        "gdtr_high": TABLES >> 16, "idtr_low": IDT_LIMIT | (IDT & 0xFFFF) << 16, "idtr_high": IDT >> 16, "ldtr": LDT,
        "tr": TSS, "dr0": 0, "dr1": 0, "dr2": 0, "dr3": 0, "dr6": 0xFFFF0FF0, "dr7": 0x400, "device": 0xA5,
    }
    names = ("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eflags", "cs", "ds", "es", "fs", "gs", "cr0",
             "cr4")
    return {name: same[name] for name in names} | known


def read() -> dict[str, list[tuple[State, Outcome]]]:
    """The recording, by site."""
    out: dict[str, list[tuple[State, Outcome]]] = {}
    for line in FILE.read_text().splitlines():
        site, given_state, left, gone = json.loads(line)
        values: dict[str, Any] = dict(given_state)
        values["memory"] = tuple((a, v) for a, v in values.get("memory", []))
        values["devices"] = Devices(values.get("devices", 0))
        state = State(**values)
        outcome = {name: value for name, value in _baseline(state).items() if name not in gone} | left
        out.setdefault(site, []).append((state, outcome))
    return out


def _line(site: Site, state: State, outcome: Outcome) -> str:
    values = {item.name: getattr(state, item.name) for item in fields(state)
              if getattr(state, item.name) != item.default}
    baseline = _baseline(state)
    left = {name: value for name, value in outcome.items() if baseline.get(name) != value}
    gone = [name for name in baseline if name not in outcome]
    return json.dumps([site.key, values, left, gone], separators=(",", ":"))


def _of_site(site: Site, machines: Machines) -> list[str]:
    seen: dict[State, str] = {}

    @settings(max_examples=4 * STATES, database=None, deadline=None, derandomize=True, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))
    @given(state=states(site))
    def look(state: State) -> None:
        outcome = machines.on_bare_machine(site, "att", state)
        if outcome is not ENDED:
            seen[state] = _line(site, state, outcome)

    look()
    return list(seen.values())[-STATES:]  # the first states that are tried are the plainest


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        machines = Machines(Path(folder))
        try:
            lines = [line for site in SITES for line in _of_site(site, machines)]
        finally:
            machines.close()
    FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
