"""A run over many accesses: what ``make fuzz`` and the tests start.

    python -m tests.hypervisor.fuzz.run [COUNT [SEED]]

COUNT accesses (1,000,000 if not given) go to each device, and as many to a whole machine. Whatever goes wrong ends the
run with a traceback.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.hypervisor.chips.chips import Chips
from tests.hypervisor.fuzz import card_side, chips_side, devices_side, machine_side


def main() -> int:
    """The command."""
    count, seed = map(int, (*sys.argv[1:], *("1000000", "1")[len(sys.argv) - 1:]))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with devices_side.machine(folder) as domain:
            names = list(devices_side.devices(domain))
        program = Chips(folder)
        for device in chips_side.CHIPS:
            chips_side.run(device, count, seed, program)
            print(f"{device}: {count} accesses, seed {seed}", flush=True)
        for device in names:
            devices_side.run(device, count, seed, folder)
            print(f"{device}: {count} accesses, seed {seed}", flush=True)
        card_side.run(count, seed)
        print(f"network card: {count} accesses, seed {seed}", flush=True)
        machine_side.vga(count, seed, folder)
        print(f"VGA: {count} accesses, seed {seed}", flush=True)
        machine_side.run(count, seed, folder)
        print(f"a guest: {count} accesses, seed {seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
