"""A network card in a machine, and a driver of it."""

from __future__ import annotations

import struct
from random import Random

from hypercalls.structs import ExitReason
from hypervisor.devices import e1000_registers as R
from hypervisor.devices.e1000 import E1000
from hypervisor.devices.i440fx import pci_bus
from hypervisor.devices.pci import BARS, BUS_MASTER, COMMAND
from hypervisor.devices.pci_firmware import assign
from tests.hypervisor.devices.machine import Machine

MAC = bytes.fromhex("5254001234ab")
OTHER = bytes.fromhex("525400000001")
TX_RING, RX_RING, TX_DATA, RX_DATA = 0x10000, 0x11000, 0x20000, 0x40000
ENTRIES = 16
MMIO_READ, MMIO_WRITE = int(ExitReason.MMIO_READ), int(ExitReason.MMIO_WRITE)


class Cable:
    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def send(self, frame: bytes) -> None:
        self.frames.append(frame)


class Driver:
    """A card in a machine, set up as a driver does."""

    def __init__(self, start: bool = True) -> None:
        self.cable = Cable()
        self.card = E1000(MAC, self.cable)
        pci = pci_bus()
        pci.plug(self.card, 3)
        self.machine = Machine(pci)
        assign(pci)
        self.memory = self.machine.memory
        self.base = self.card.get(BARS, 4) & ~15
        self.tail = 0
        self.taken = 0
        self.card.write_config(COMMAND, 2, self.card.get(COMMAND, 2) | BUS_MASTER)
        self.card.set_link(True)
        if start:
            self.start()

    def read(self, register: int, size: int = 4) -> int:
        return self.machine.ports._exit(reason=MMIO_READ, address=self.base + register, size=size)

    def write(self, register: int, value: int) -> None:
        self.machine.ports._exit(reason=MMIO_WRITE, address=self.base + register, size=4, value=value)

    def start(self, control: int = R.RCTL_ENABLE | R.RCTL_BROADCAST | R.RCTL_STRIP_CRC) -> None:
        for register, value in ((R.TDBAL, TX_RING), (R.TDLEN, ENTRIES * 16), (R.TDH, 0), (R.TDT, 0),
                                (R.TCTL, R.TCTL_ENABLE), (R.RDBAL, RX_RING), (R.RDLEN, ENTRIES * 16), (R.RDH, 0)):
            self.write(register, value)
        for number in range(ENTRIES):
            self.memory.write(RX_RING + 16 * number, struct.pack("<QQ", RX_DATA + 2048 * number, 0))
        self.write(R.RDT, ENTRIES - 1)
        self.write(R.RCTL, control)
        self.read(R.ICR)

    def send(self, *descriptors: bytes) -> None:
        for descriptor in descriptors:
            self.memory.write(TX_RING + 16 * self.tail, descriptor)
            self.tail = (self.tail + 1) % ENTRIES
        self.write(R.TDT, self.tail)

    def legacy(self, data: bytes, command: int = R.TX_END | R.TX_REPORT, cso: int = 0, css: int = 0, tag: int = 0,
               at: int = TX_DATA) -> bytes:
        self.memory.write(at, data)
        return struct.pack("<QHBBBBH", at, len(data), cso, command, 0, css, tag)

    def received(self) -> list[tuple[bytes, int, int]]:
        """New frames: data, status, VLAN tag; their descriptors are given back."""
        found, data = [], b""
        while True:
            at = RX_RING + 16 * self.taken
            address, length, _, status, _, tag = struct.unpack("<QHHBBH", self.memory.read(at, 16))
            if not status & R.DONE:
                return found
            data += self.memory.read(address, length)
            if status & R.RX_END:
                found.append((data, status, tag))
                data = b""
            self.memory.write(at + 8, bytes(8))
            self.write(R.RDT, self.taken)
            self.taken = (self.taken + 1) % ENTRIES


def frame(to: bytes = MAC, size: int = 100, seed: int = 0) -> bytes:
    return to + OTHER + b"\x08\x00" + Random(seed).randbytes(size - 14)
