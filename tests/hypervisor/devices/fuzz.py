"""Random accesses to the ports of PCI and IDE, and random bytes in what guests share with the VMM.

``python -m tests.hypervisor.devices.fuzz [COUNT [SEED]]`` makes COUNT accesses (a million) and prints the time it took.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from random import Random

from hypercalls.structs import ExitReason
from hypervisor.devices.ata import AtaDrive
from hypervisor.devices.atapi import PacketDrive
from hypervisor.devices.disk import SECTOR, DiskImage
from hypervisor.devices.i440fx import pci_bus
from hypervisor.devices.ide import ide_channels
from hypervisor.devices.piix_ide import PiixIde
from tests.hypervisor.devices.machine import Machine

PORTS = (*range(0x1F0, 0x1F8), *range(0x170, 0x178), 0x3F6, 0x376, *range(0xC000, 0xC010), 0xCF8, *range(0xCFC, 0xD00))
# Those that begin something come more often than one in 256 would.
COMMANDS = (0x20, 0x24, 0x25, 0x29, 0x30, 0x34, 0x35, 0x39, 0xC4, 0xC5, 0xC8, 0xCA, 0xC6, 0xEC, 0xEF, 0xA0, 0xA1, 0x08)
SECTORS = 2000
_MEMORY_READ, _MEMORY_WRITE = int(ExitReason.MMIO_READ), int(ExitReason.MMIO_WRITE)


class Fuzzer:
    """A machine with three disks, of which one is read-only, and a CD; all in `folder`."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.random = Random(seed)
        self.paths = [folder / name for name in ("first", "second", "only", "cd")]
        for path in self.paths:
            path.write_bytes(self.random.randbytes(SECTORS * SECTOR))
        first, second, only = (DiskImage(path, read_only=path.name == "only") for path in self.paths[:3])
        cd = PacketDrive(DiskImage(self.paths[3], read_only=True), "CD")
        channels = ide_channels([AtaDrive(first, "1"), AtaDrive(second, "2"), cd, AtaDrive(only, "3")])
        pci = pci_bus()
        pci.plug(PiixIde(channels), 1, 1)
        self.machine = Machine(*channels, pci)
        self.fresh = [bytes(record) for record in self.machine.state.control.ide]
        self.before = [path.read_bytes() for path in self.paths]

    def _value(self, port: int) -> int:
        random = self.random
        if port & 0xF7F == 0x177 and random.random() < 0.8:
            return random.choice(COMMANDS)
        if port == 0xCF8:
            return 1 << 31 | random.choice([0, 0x800, 0x900, 0x900, 0x1000]) | random.choice([4, 0x20, 0x60, 0x3C])
        return random.choice([0, 1, random.randrange(256), random.randrange(SECTORS), random.randrange(1 << 32)])

    def access(self) -> None:
        """One access, as a guest or a hostile monitor makes them."""
        random, machine = self.random, self.machine
        port, size, what = random.choice(PORTS), random.choice([1, 1, 1, 2, 4]), random.randrange(100)
        if what < 35:
            machine.out(port, self._value(port) & (1 << 8 * size) - 1, size)
        elif what < 60:
            machine.in_(port, size)
        elif what < 68:  # whatever the port's class says
            machine.bus.handle(_exit(random.choice([3, 4]), port, size, random.choice([1, 6, 64, 300])))
        elif what < 76:
            machine.bus.handle(_exit(5, random.choice([0, 1, 2, 0xFFFF_FFFF]), size, 0))
        elif what < 90:
            self._command()
        elif what < 95:
            machine.bus.handle(_exit(random.choice([_MEMORY_READ, _MEMORY_WRITE]), 0, size, random.randrange(1 << 32)))
        elif what < 99:
            self._sane()
        else:
            self._forge()

    def _sane(self) -> None:
        """The records as they were, bus masters on and at their place, no reset, interrupts enabled."""
        for record, fresh in zip(self.machine.state.control.ide, self.fresh, strict=True):
            memoryview(record).cast("B")[:] = fresh
        for register, size, value in ((0x20, 4, 0xC000), (4, 2, 5)):
            self.machine.out(0xCF8, 0x8000_0900 | register, 4)
            self.machine.out(0xCFC, value, size)
        for control in (0x3F6, 0x376):
            self.machine.out(control, 0)

    def _command(self) -> None:
        """A command that may well succeed, and its end."""
        random, machine = self.random, self.machine
        channel = random.randrange(2)
        base, master, sector = (0x1F0, 0x170)[channel], 0xC000 + 8 * channel, random.randrange(SECTORS)
        machine.out(base + 6, random.choice([0xE0, 0xF0]))
        for register, value in ((2, 0), (3, 0), (4, 0), (5, 0), (2, random.choice([1, 2, 255])), (3, sector & 0xFF),
                                (4, sector >> 8), (5, 0), (7, random.choice(COMMANDS))):
            machine.out(base + register, value)
        machine.out(master, 0)
        machine.out(master, random.choice([1, 9]))
        if random.random() < 0.7:
            machine.bus.handle(_exit(5, channel, 1, 0))

    def _forge(self) -> None:
        """Write to the records that the guest can reach."""
        control, random = self.machine.state.control, self.random
        record = random.choice([control.ide[0], control.ide[1], control.fifo[0], control.fifo[1]])
        view = memoryview(record).cast("B")
        at = random.randrange(len(view))
        view[at : at + 4] = random.randbytes(len(view[at : at + 4]))

    @property
    def written(self) -> bool:
        """Whether writes have come through to both disks that can be written."""
        return all(path.read_bytes() != before for path, before in list(zip(self.paths, self.before, strict=True))[:2])

    def check(self) -> None:
        """Nothing that cannot be written has changed, and no disk has grown."""
        assert [path.read_bytes() for path in self.paths[2:]] == self.before[2:]
        assert all(path.stat().st_size == SECTORS * SECTOR for path in self.paths)


def _exit(reason: int, port: int, size: int, count: int) -> object:
    from hypercalls.structs import EXIT

    return EXIT.ctype(reason=reason, port=port, size=size, count=count, address=count, value=count)


def main(arguments: list[str]) -> None:
    count, seed = int(arguments[0]) if arguments else 1_000_000, int(arguments[1]) if arguments[1:] else 0
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        fuzzer = Fuzzer(Path(folder), seed)
        for _ in range(count):
            fuzzer.access()
        fuzzer.check()
    print(f"{count:,} accesses of seed {seed}: {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
