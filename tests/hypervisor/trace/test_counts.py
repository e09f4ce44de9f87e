"""Counts agree exactly with an independent count: that of a kernel which counts its own operations."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hypervisor.cli.commands import ring3

pytestmark = pytest.mark.usefixtures("monitor")
# What the kernel calls an instruction, and what the hypercalls for it are called.
CALLS = {
    "inb": {"in8"}, "outb": {"out8"}, "inl": {"in32"}, "outl": {"out32"}, "int3": {"int"}, "sti_hlt": {"safe_halt"},
}  # fmt: skip


def counted(trace: Path, by: str, where: str) -> dict[str, int]:
    run = ring3("trace", "summary", trace, "--by", by, "--where", where, "--json")
    assert run.returncode == 0, run.stderr
    return {row["name"]: row["count"] for rows in json.loads(run.stdout)["tables"].values() for row in rows}


def test_what_is_counted_is_what_the_guest_did(sample_kernel: Callable[..., Path], tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    run = ring3("run", sample_kernel("count", ported=True), "--trace", trace)
    assert run.returncode == 0
    accounts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    vectors = {}
    for line in run.stdout.decode().splitlines():
        found = re.fullmatch(r"count: (\w+) (\w+) (\d+)", line)
        if found and found[1] == "vector":
            vectors[int(found[2])] = int(found[3])
        elif found:
            (name,) = CALLS.get(found[2], {found[2]})
            accounts[found[1]][name] = accounts[found[1]].get(name, 0) + int(found[3])
    assert len(accounts) == 10 and len(vectors) == 5
    for function, expected in accounts.items():
        calls = counted(trace, "hypercall", f"(caller:{function} or caller:{function}.*) and nesting == 0")
        calls.pop("deliver_pending", None)  # the slow half of an sti that stands for itself
        assert calls == expected, function
    handled = counted(trace, "hypercall", "hypercall and iret")["iret"]
    assert handled == sum(vectors.values())
    assert counted(trace, "interrupt", "interrupt") == {"vector 0x20": vectors[32]}
    faults = counted(trace, "exception", "exception")
    assert faults["#UD invalid opcode"] == vectors[6] and faults["#GP general protection"] == vectors[13]
    assert counted(trace, "kind", "exception or interrupt")["exception"] == vectors[6] + vectors[13] + sum(
        count for name, count in faults.items() if name.startswith(("#BP", "vector 0x14")))  # fmt: skip
