"""``python -m tests.hypervisor.engine.qemu_pc``: record what QEMU's PC answers to scripts, for hosts without QEMU."""

from __future__ import annotations

import hashlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from hypervisor.domain import DiskConfig
from tests.hypervisor.engine import i8042_scripts, ide_scripts, pci_scripts, vga_scripts
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


@dataclass(frozen=True)
class Case:
    """A script, what disks the PC has, and which of QEMU's video cards: ring3's VGA is no PCI device, QEMU's is."""

    script: list[Record]
    disks: Disks = no_disks
    vga: str = "none"


CASES = {
    "pci-dump": Case(pci_scripts.dump_script()),
    **{f"pci-{seed}": Case(pci_scripts.random_script(Random(seed))) for seed in range(3)},
    "identify": Case(ide_scripts.identify_script(), two_disks),
    **{f"disk-{seed}": Case(ide_scripts.disk_script(Random(seed), DISK_SECTORS), two_disks) for seed in range(6)},
    **{f"cd-{seed}": Case(ide_scripts.cd_script(Random(seed), CD_BLOCKS), one_cd) for seed in range(4)},
    **{f"vga-{seed}": Case(vga_scripts.register_script(Random(seed), 120), vga="std") for seed in range(3)},
    **{f"i8042-{seed}": Case(i8042_scripts.script(Random(seed))) for seed in range(3)},
}


def _with_disks(said: str, disks: Sequence[DiskConfig]) -> str:
    """What was said, and what the disks then hold."""
    digests = (hashlib.sha256(disk.path.read_bytes()).hexdigest()[:16] for disk in disks)
    return said + "".join(f"disk {digest}\n" for digest in digests)


def on_qemu(name: str, folder: Path) -> str:
    """What QEMU answers now."""
    case = CASES[name]
    disks = case.disks(folder)
    return _with_disks(play_on_qemu(case.script, folder, disks, case.vga), disks)


def in_ring3(name: str, folder: Path) -> str:
    """What ring3 answers."""
    case = CASES[name]
    disks = case.disks(folder)
    return _with_disks(play(case.script, folder, disks).said, disks)


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
