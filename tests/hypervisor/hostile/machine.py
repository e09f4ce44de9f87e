"""Where the monitor keeps what its processes share: asked of the C compiler, since C declares it."""

from __future__ import annotations

import functools
import re
import subprocess

from hypercalls import layout
from hypervisor.monitor.build import SOURCES
from native.build import compiler

MACHINE = layout.STATE_BASE + layout.VCPU_OFFSET + 0x1000  # monitor.ld
FLAGS = ("-std=gnu11", "-ffreestanding", "-g0", "-O0", "-m64")
FIELDS = ("current", "members", "zygote_turn", "request", "pool", "fpu")


@functools.cache
def addresses() -> dict[str, int]:
    """Host-linear address of each of FIELDS of `struct machine` (machine.h)."""
    offsets = ", ".join(f"offsetof(struct machine, {field})" for field in FIELDS)
    program = f'#include "monitor.h"\nconst unsigned long offsets[] = {{ {offsets} }};\n'
    command = [*compiler(), *FLAGS, "-I", str(SOURCES), "-x", "c", "-S", "-o", "-", "-"]
    text = subprocess.run(command, input=program, capture_output=True, text=True, check=True).stdout
    values = re.findall(r"^\s*\.quad\s+(\d+)$", text, re.MULTILINE)
    return {field: MACHINE + int(value) for field, value in zip(FIELDS, values, strict=True)}
