"""gdb's ``monitor`` commands: what its own do not show of a PC."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypervisor.gdb.registers import ALL

if TYPE_CHECKING:
    from hypervisor.gdb.session import DebugTarget

_HELP = """monitor help            this text
monitor registers       all registers, system registers too
monitor pagetable ADDR  where the guest's page tables lead a linear address
monitor gdt, idt        the guest's descriptor tables
"""
_MOST = 256  # entries of a table


def _values(target: DebugTarget) -> dict[str, int]:
    return {r.name: int.from_bytes(target.register(r), "little") for r in ALL if r.size == 4}


def _registers(target: DebugTarget, _: list[str]) -> str:
    return "".join(f"{name:<10}{value:#010x}\n" for name, value in _values(target).items())


def _pagetable(target: DebugTarget, words: list[str]) -> str:
    try:
        address = int(words[0], 0) & 0xFFFF_FFFF
    except (IndexError, ValueError):
        return "monitor pagetable needs a linear address, for example 0x100000\n"
    values, physical = _values(target), target.space().physical(address)
    paging = "on" if values["cr0"] >> 31 else "off"
    where = "not mapped" if physical is None else f"physical {physical:#010x}"
    return f"{address:#010x}: {where} (paging {paging}, cr3 {values['cr3']:#010x})\n"


def _table(name: str, target: DebugTarget) -> str:
    values = _values(target)
    base, limit = values[f"{name}_base"], values[f"{name}_limit"] & 0xFFFF
    lines = [f"{name} at {base:#010x}, limit {limit:#x}\n"]
    for index in range(min((limit + 1) // 8, _MOST)):
        entry = target.read(base + index * 8, 8)
        if len(entry) == 8 and any(entry):
            lines.append(f"{index:#04x}: {int.from_bytes(entry, 'little'):#018x}\n")
    return "".join(lines)


def run_command(target: DebugTarget, text: str) -> str:
    """What command `text` prints."""
    words = text.split()
    name = words[0] if words else "help"
    if name == "registers":
        return _registers(target, words[1:])
    if name == "pagetable":
        return _pagetable(target, words[1:])
    if name in ("gdt", "idt"):
        return _table(name, target)
    if name == "help":
        return _HELP
    return f"there is no command '{name}'; 'monitor help' lists them\n"
