"""All that the firmware of one machine leaves behind, made before the kernel is loaded, who is told of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hypervisor.cpu_model import CpuModel
from hypervisor.firmware.acpi import place_acpi_tables
from hypervisor.firmware.bios_data import low_memory
from hypervisor.firmware.mptable import place_mp_tables
from hypervisor.firmware.rom import Rom
from hypervisor.firmware.smbios import place_smbios
from hypervisor.memory_map import ROM

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory


@dataclass(frozen=True)
class Firmware:
    """`parts`: what lies where; the rest is what boot loaders pass on."""

    parts: dict[int, bytes]
    rsdp_address: int
    rsdp: bytes
    smbios_entry: bytes

    def write(self, memory: GuestMemory) -> None:
        """Put everything into RAM."""
        for address, data in self.parts.items():
            memory.write(address, data)


def make_firmware(memory: int, disks: int, serial_ports: Sequence[int], cpu: CpuModel) -> Firmware:
    """The firmware of a machine with `memory` bytes of RAM, `disks` hard disks and UARTs at `serial_ports`."""
    rom = Rom()
    place_mp_tables(rom, cpu)
    smbios_entry = place_smbios(rom, memory, cpu)
    rsdp_address, rsdp = place_acpi_tables(rom, serial_ports)
    return Firmware(low_memory(disks, serial_ports) | {ROM: bytes(rom.data)}, rsdp_address, rsdp, smbios_entry)
