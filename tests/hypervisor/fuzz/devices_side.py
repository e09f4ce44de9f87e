"""Random accesses to the VMM's devices, as exits bring them: any port or address of theirs, any size, any direction."""

from __future__ import annotations

import zlib
from pathlib import Path
from random import Random

from hypercalls.structs import EXIT, ExitReason
from hypervisor.bus import Device, MachineStop
from hypervisor.domain import DiskConfig, Domain, DomainConfig
from tests.hypervisor.engine import guests

SECTOR = 512
_BUS_MASTER = "IDE"  # in the names of devices that write to RAM, where their guest says
_REASONS = (ExitReason.PORT_IN, ExitReason.PORT_OUT)
_STRING_REASONS = (ExitReason.STRING_IN, ExitReason.STRING_OUT)
_MEMORY_REASONS = (ExitReason.MMIO_READ, ExitReason.MMIO_WRITE)


def machine(folder: Path) -> Domain:
    """A built machine with the devices that are on the VMM's bus; its disks in `folder`."""
    disk, other = folder / "disk", folder / "read-only"
    disk.write_bytes(bytes(64 * SECTOR))
    other.write_bytes(bytes(range(256)) * 2 * 64)
    kernel = guests.assemble("test:\tfinish", folder / "guest", ported=True)
    domain = Domain(DomainConfig(kernel, memory=guests.MEMORY,
                                 disks=(DiskConfig(disk, index=1), DiskConfig(other, index=2, read_only=True))))
    domain.build()
    return domain


def devices(domain: Domain) -> dict[str, list[Device]]:
    """The devices by name, but for those whose accesses are all the monitor's: of some there are several."""
    found: dict[str, list[Device]] = {}
    for device in domain.bus.devices:
        if device.ports or device.mmio:
            found.setdefault(device.name, []).append(device)
    return found


def _record(random: Random, device: Device, ports: list[int]) -> EXIT.ctype:
    pick, choose, bits = random.randrange, random.choice, random.getrandbits
    size = choose((1, 1, 2, 4, 4, 3, 0))
    value = bits(32) & choose((0xFFFF_FFFF, 0xFF, 0x0F))
    if device.mmio and (not ports or bits(1)):
        area = choose(device.mmio)
        return EXIT.ctype(reason=choose(_MEMORY_REASONS), address=area.start + pick(len(area)), size=size, value=value)
    port = choose(ports) + choose((0, 0, 0, 0, 1 << 16))
    reason = choose(_REASONS if pick(16) else _STRING_REASONS)
    count = choose((0, 1, 2, 128, 256)) if pick(500) else 0xFFFF_FFFF  # as many as fit: 64 KiB at once
    return EXIT.ctype(reason=reason, port=port, size=size, count=count, value=value)


def run(name: str, count: int, seed: int, folder: Path) -> None:
    """`count` accesses to the devices `name` of one machine. What they raise is raised, but for what ends a machine."""
    random = Random(f"{name} {seed}")
    with machine(folder) as domain:
        untouched = zlib.crc32(domain.memory.read(0, domain.memory.size))
        those = devices(domain)[name]
        ports = {id(device): [port for span in device.ports for port in span] for device in those}
        for _ in range(count):
            device = random.choice(those)
            try:
                domain.bus.handle(_record(random, device, ports[id(device)]))
            except MachineStop:
                continue
        if _BUS_MASTER not in name:
            assert zlib.crc32(domain.memory.read(0, domain.memory.size)) == untouched, "RAM was written"
        assert (folder / "disk").stat().st_size == 64 * SECTOR
        assert (folder / "read-only").read_bytes() == bytes(range(256)) * 2 * 64
