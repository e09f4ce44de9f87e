"""``python -m tests.hypervisor.engine.qemu_pc``: record what QEMU's PC answers to scripts, for hosts without QEMU."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random

from hypervisor.domain import DiskConfig
from tests.hypervisor.engine import ide_scripts, pci_scripts
from tests.hypervisor.engine.port_script import Record, have_qemu, play, play_on_qemu

RECORDED = Path(__file__).parent / "recorded_pc"
DISK_SECTORS, CD_BLOCKS = 300, 40
Disks = Callable[[Path], list[DiskConfig]]


def no_disks(folder: Path) -> list[DiskConfig]:
    """A PC without."""
    return []


def two_disks(folder: Path) -> list[DiskConfig]:
    """On the primary channel."""
    return [DiskConfig(ide_scripts.disk_image(folder / f"disk{place}", DISK_SECTORS, place), index=place)
            for place in (0, 1)]


def one_cd(folder: Path) -> list[DiskConfig]:
    """The secondary master."""
    sectors = CD_BLOCKS * ide_scripts.CD_BLOCK // ide_scripts.SECTOR
    return [DiskConfig(ide_scripts.disk_image(folder / "cd", sectors), index=2, cdrom=True)]


CASES: dict[str, tuple[list[Record], Disks]] = {
    "pci-dump": (pci_scripts.dump_script(), no_disks),
    **{f"pci-{seed}": (pci_scripts.random_script(Random(seed)), no_disks) for seed in range(3)},
    "identify": (ide_scripts.identify_script(), two_disks),
    **{f"disk-{seed}": (ide_scripts.disk_script(Random(seed), DISK_SECTORS), two_disks) for seed in range(6)},
    **{f"cd-{seed}": (ide_scripts.cd_script(Random(seed), CD_BLOCKS), one_cd) for seed in range(4)},
}
"""The scripts, and what disks the PC has."""


def _with_disks(said: str, disks: Sequence[DiskConfig]) -> str:
    """What was said, and what the disks then hold."""
    digests = (hashlib.sha256(disk.path.read_bytes()).hexdigest()[:16] for disk in disks)
    return said + "".join(f"disk {digest}\n" for digest in digests)


def on_qemu(name: str, folder: Path) -> str:
    """What QEMU answers now."""
    script, make_disks = CASES[name]
    disks = make_disks(folder)
    return _with_disks(play_on_qemu(script, folder, disks), disks)


def in_ring3(name: str, folder: Path) -> str:
    """What ring3 answers."""
    script, make_disks = CASES[name]
    disks = make_disks(folder)
    return _with_disks(play(script, folder, disks).said, disks)


def recorded(name: str) -> str:
    """What QEMU answered when it was recorded."""
    return (RECORDED / f"{name}.txt").read_text()


def main() -> int:
    if not have_qemu():
        print("record: qemu-system-i386 not found (Debian: apt-get install qemu-system-x86)", file=sys.stderr)
        return 2
    RECORDED.mkdir(exist_ok=True)
    for name in CASES:
        with tempfile.TemporaryDirectory() as scratch:
            (RECORDED / f"{name}.txt").write_text(on_qemu(name, Path(scratch)))
    print(f"recorded {len(CASES)} scripts in {RECORDED.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
