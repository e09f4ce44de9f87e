"""``python -m tests.hypervisor.screen.record``: draw each screen on an emulated PC and keep what it shows."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from tests.hypervisor.screen import screens


def main() -> int:
    """Write the recording; exit status 2 where there is no emulated PC."""
    if not screens.have_pc():
        print("record: qemu-system-i386 not found (Debian: apt-get install qemu-system-x86)", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as scratch:
        found = {name: screens.summary(screens.on_pc(screens.build(name, Path(scratch)))) for name in screens.SCREENS}
    screens.RECORDED.write_text(json.dumps(found, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
