"""What `tasks` shows of segments only on a processor that looks at them for each access, as QEMU does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.samples import kernels

# By SDM volume 3: 5.3 (limits), 5.4 (types), 6.15 (interrupts 12 and 13). Bochs, which looks at both, prints the same.
FAULTS = """\
  fault: reads beyond its segment, in ring 3: general protection, error code 0x0
  fault: writes to its code, in ring 3: general protection, error code 0x0
  fault: exhausts its stack, in ring 3: stack fault, error code 0x0
  fault: exhausts its stack, in ring 0: stack fault, error code 0x0
"""


@pytest.mark.parametrize(
    ("ported", "options"), [(True, ()), (True, ("--slide",)), (False, ("--port",)), (False, ("--unported",))],
    ids=["plain", "slide", "binary", "unported"],
)  # fmt: skip
def test_limits_and_types_of_segments(ported: bool, options: tuple[str, ...], sample_kernel: Callable[..., Path],
                                      monitor: Path) -> None:
    """From its source, as a binary and unported: its programs run from copies of the kernel's code."""
    before, preemption, after = kernels.transcript("tasks").read_text().partition("tasks: preemption\n")
    printed = kernels.run_in_ring3(sample_kernel("tasks", ported), "--append", "limits", *options)
    assert printed == before + FAULTS + preemption + after
