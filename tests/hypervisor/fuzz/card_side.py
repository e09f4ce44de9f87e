"""Random accesses to a network card: memory, ports and configuration space, with frames coming in meanwhile."""

from __future__ import annotations

import zlib
from random import Random

from hypervisor.devices import e1000_registers as R
from hypervisor.devices.e1000 import WAITING
from hypervisor.devices.pci import BARS, BUS_MASTER, COMMAND
from tests.hypervisor.devices.e1000_driver import MAC, MMIO_READ, MMIO_WRITE, Driver, frame

_LONGEST = 1 << 18  # bytes: no frame is gathered beyond
_ROUND = 1000  # accesses; in each other one the card is no bus master, and RAM is not to change
_RINGS = range(0x10000, 0x12000)  # where Driver.start puts them
_KNOWN = tuple(value for name, value in vars(R).items() if name.isupper() and isinstance(value, int) and value < 0x6000)
_BRIDGE = 0x8000_1800  # PCI's address of slot 3


class Fuzzer:
    """A card that a driver has set up, and what a guest and the cable can do to it."""

    def __init__(self, random: Random) -> None:
        self.random, self.driver = random, Driver()
        self.ports = self.driver.card.get(BARS + 4, 4) & ~3
        self.sent = 0

    def _value(self) -> int:
        random = self.random
        return random.choice([random.getrandbits(32), random.getrandbits(8), random.randrange(0x200000), 0xFFFF_FFFF])

    def access(self) -> None:
        """One access, or one frame."""
        random, driver = self.random, self.driver
        register = random.choice([random.choice(_KNOWN), random.randrange(0x20000)])
        size, what = random.choice([1, 2, 4, 4]), random.randrange(20)
        if what < 6:
            driver.machine.ports._exit(reason=MMIO_WRITE, address=driver.base + register, size=size,
                                       value=self._value())
        elif what < 10:
            answer = driver.machine.ports._exit(reason=MMIO_READ, address=driver.base + register, size=size)
            assert 0 <= answer < 1 << 8 * size
        elif what < 12:
            port = self.ports + random.choice([0, 4, random.randrange(8), random.randrange(0x40)])
            driver.machine.out(port, random.choice([register, self._value()]) & (1 << 8 * size) - 1, size)
            assert 0 <= driver.machine.in_(port, size) < 1 << 8 * size
        elif what < 15:
            to = random.choice([MAC, b"\xff" * 6])
            driver.card.received(frame(to, random.randrange(14, 1600), random.getrandbits(8)))
        elif what < 18:
            driver.write(random.choice([R.TDT, R.RDT]), random.randrange(20))
        elif what == 18:
            driver.write(random.choice([R.TCTL, R.RCTL]), R.TCTL_ENABLE)
        else:
            self._configure(random.randrange(256), size)

    def _configure(self, register: int, size: int) -> None:
        """Anything but the command register and the bases, which `round` needs where they are."""
        self.driver.machine.out(0xCF8, _BRIDGE | register & ~3, 4)
        port = 0xCFC + (register & 3 & -size)
        if not COMMAND <= register & ~3 < COMMAND + 4 and not BARS <= register < BARS + 8:
            self.driver.machine.out(port, self._value() & (1 << 8 * size) - 1, size)
        assert 0 <= self.driver.machine.in_(port, size) < 1 << 8 * size

    def round(self, master: bool) -> None:
        """Many accesses; the guest makes new rings before them, and fills them at random."""
        driver, random = self.driver, self.random
        command = driver.card.get(COMMAND, 2) & ~BUS_MASTER
        driver.card.write_config(COMMAND, 2, command | (BUS_MASTER if master else 0))
        driver.start()
        for at in random.choices(_RINGS, k=random.randrange(20)):
            driver.memory.write(at, random.randbytes(16))
        before = self._ram()
        for _ in range(_ROUND):
            self.access()
        assert master or self._ram() == before, "a card that is no bus master has written to RAM"
        frames = driver.cable.frames
        assert len(driver.card._waiting) <= WAITING and all(len(one) <= _LONGEST for one in frames)
        self.sent += len(frames)
        frames.clear()

    def _ram(self) -> int:
        memory = self.driver.memory
        return zlib.crc32(memory.read(0, memory.size))


def run(count: int, seed: int) -> None:
    """`count` accesses. What they raise is raised."""
    fuzzer = Fuzzer(Random(f"card {seed}"))
    for number in range(-(-count // _ROUND)):
        fuzzer.round(master=number % 2 == 0)
    assert fuzzer.sent, "no frame was sent: the accesses have reached nothing"
