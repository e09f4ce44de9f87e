"""Booting a kernel file into memory that can be looked at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hypervisor.cpu_model import DEFAULT, MODELS
from hypervisor.firmware.firmware import make_firmware
from hypervisor.loaders.boot import plan_boot, write
from hypervisor.loaders.handover import BootMachine, BootRequest, Plan
from hypervisor.memory_map import MIB
from tests.hypervisor.fakes import FakeMemory


def machine(memory: int) -> BootMachine:
    """What loaders tell of a machine with `memory` bytes of RAM."""
    firmware = make_firmware(memory, 1, (0x3F8,), MODELS[DEFAULT])
    return BootMachine(memory, firmware.rsdp_address, firmware.rsdp, firmware.smbios_entry)


def boot(tmp_path: Path, data: bytes, *, memory: FakeMemory | None = None, **request: Any) -> Plan:
    """Write the kernel file, plan its boot and carry that out in `memory`."""
    kernel = tmp_path / "kernel"
    kernel.write_bytes(data)
    memory = memory or FakeMemory(4 * MIB)
    plan = plan_boot(BootRequest(kernel, **request), machine(memory.size))
    write(memory, plan)
    return plan


def text(memory: FakeMemory, address: int) -> str:
    """The string that begins at `address`."""
    return memory.read(address, 256).partition(b"\0")[0].decode()
