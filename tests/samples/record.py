"""``python -m tests.samples.record``: run each sample, unported, on an emulated PC and keep what it printed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.samples import kernels


def main() -> int:
    if not kernels.have_pc():
        print("record: qemu-system-i386 not found (Debian: apt-get install qemu-system-x86)", file=sys.stderr)
        return 2
    for sample in kernels.SAMPLES:
        with tempfile.TemporaryDirectory() as scratch:
            text = kernels.run_on_pc(kernels.make(sample, Path(scratch), ported=False))
        kernels.transcript(sample).parent.mkdir(exist_ok=True)
        kernels.transcript(sample).write_text(text)
        print(f"wrote {kernels.transcript(sample).relative_to(kernels.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
