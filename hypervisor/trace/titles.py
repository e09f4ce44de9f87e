"""The tables of a summary, by the names that options have for them."""

from __future__ import annotations

from collections.abc import Mapping

TITLES: Mapping[str, str] = {
    "kind": "records",
    "hypercall": "hypercalls",
    "caller": "callers of hypercalls",
    "emulated": "emulated instructions",
    "emulated-caller": "emulated instructions in",
    "exit": "exits",
    "interrupt": "interrupts",
    "exception": "exceptions",
    "device": "devices",
    "access": "accesses to devices",
    "process": "address spaces",
    "mark": "marks",
}
