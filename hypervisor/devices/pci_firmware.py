"""What a PC's firmware does to PCI cards before a kernel starts: addresses, ports and interrupt lines are handed out.

Kernels rely on it (PCI Firmware Specification 3.0, 3.5): many never write a base address register.
"""

from __future__ import annotations

from hypervisor.devices.pci import (
    BARS,
    COMMAND,
    INTERRUPT_LINE,
    INTERRUPT_PIN,
    IO_SPACE,
    MEMORY_SPACE,
    Bar,
    PciBus,
    PciFunction,
)

_FIRST_PORT = 0xC000
_MEMORY_END = 0xFEC0_0000  # the I/O APIC's


def assign(pci: PciBus) -> None:
    """Give every base address that has none its place, largest first, and every pin its line. After `Bus.add`."""
    bases = [(function, bar, function.get(BARS + 4 * bar.index, 4) & ~15)
             for function in pci.functions for bar in function.bars]
    port = max([_FIRST_PORT, *(base + bar.size for _, bar, base in bases if bar.io and base)])
    memory = _MEMORY_END
    for function, bar, _ in sorted((one for one in bases if not one[2]), key=lambda one: -one[1].size):
        if bar.io:
            base = port + bar.size - 1 & -bar.size
            port = base + bar.size
        else:
            memory = base = memory - bar.size & -bar.size
        _place(function, bar, base)
    for function in pci.functions:
        irq = pci.irq_of(function)
        if function.config[INTERRUPT_PIN] and irq is not None:
            function.set(INTERRUPT_LINE, 1, irq)


def _place(function: PciFunction, bar: Bar, base: int) -> None:
    function.write_config(BARS + 4 * bar.index, 4, base)
    function.write_config(COMMAND, 2, function.get(COMMAND, 2) | (IO_SPACE if bar.io else MEMORY_SPACE))
