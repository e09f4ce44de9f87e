"""``python -m tests.samples.record``: run each sample, unported, on an emulated PC and keep what it printed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.samples import kernels, play
from tests.samples.sessions import SESSIONS


def main() -> int:
    if not kernels.have_pc():
        print("record: qemu-system-i386 not found (Debian: apt-get install qemu-system-x86)", file=sys.stderr)
        return 2
    if not kernels.have_nasm():
        print("record: nasm not found (Debian: apt-get install nasm)", file=sys.stderr)
        return 2
    for name, session in SESSIONS.items():
        with tempfile.TemporaryDirectory() as scratch:
            kernel = kernels.make(session.sample, Path(scratch), ported=False)
            text = play.on_pc(name, kernel)
        kernels.transcript(name).parent.mkdir(exist_ok=True)
        kernels.transcript(name).write_text(text)
        print(f"wrote {kernels.transcript(name).relative_to(kernels.ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
