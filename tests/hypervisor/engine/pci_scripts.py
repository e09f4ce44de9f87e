"""Scripts for PCI configuration space (`port_script`)."""

from __future__ import annotations

from random import Random

from tests.hypervisor.engine.port_script import Op, Record

ADDRESS, DATA = 0xCF8, 0xCFC
HOST, ISA, IDE = (0, 0), (1, 0), (1, 1)
_OUT = {1: Op.OUT8, 2: Op.OUT16, 4: Op.OUT32}
_IN = {1: Op.IN8, 2: Op.IN16, 4: Op.IN32}
_SUBSYSTEM = range(0x2C, 0x30)  # names the board's maker: QEMU's says so

Script = list[Record]


def select(function: tuple[int, int], register: int) -> Record:
    """Set CONFIG_ADDRESS to a register of (device, function)."""
    return Op.OUT32, ADDRESS, 1 << 31 | function[0] << 11 | function[1] << 8 | register & 0xFC


def dump_script() -> Script:
    """All that the three functions show as firmware leaves them; absent functions; sizing of the bus masters' ports."""
    out: Script = []
    for function in (HOST, ISA, IDE):
        for register in range(0, 256, 4):
            if register not in _SUBSYSTEM:
                out += [select(function, register), (Op.IN32, DATA, 0xFFFF_FFFF)]
    for function in ((1, 2), (1, 4), (1, 7), (2, 0), (31, 7)):
        out += [select(function, 0), *((op, DATA, 0xFFFF_FFFF) for op in _IN.values())]
    out += [(Op.OUT32, ADDRESS, 0), (Op.IN32, DATA, 0xFFFF_FFFF)]  # not enabled
    out += [(Op.OUT32, ADDRESS, 0x8001_0000), (Op.IN32, DATA, 0xFFFF_FFFF)]  # another bus
    out += [select(IDE, 4), (Op.OUT16, DATA, 0)]
    for place in range(7):
        out += [select(IDE, 0x10 + 4 * place), (Op.OUT32, DATA, 0xFFFF_FFFF), (Op.IN32, DATA, 0xFFFF_FFFF),
                (Op.OUT32, DATA, 0), (Op.IN32, DATA, 0xFFFF_FFFF)]
    for base in (0xC000, 0xD120, 0):  # the ports move, and go
        out += [select(IDE, 0x20), (Op.OUT32, DATA, base), select(IDE, 4), (Op.OUT16, DATA, 1)]
        for at in (0xC000, 0xD120):
            out += [(Op.OUT32, at + 4, 0x1234_5678 + at), (Op.IN32, at + 4, 0xFFFF_FFFF), (Op.IN8, at + 6, 0xFF)]
        out += [select(IDE, 4), (Op.OUT16, DATA, 0), (Op.IN32, 0xC004, 0xFFFF_FFFF)]
    return out


def random_script(random: Random, accesses: int = 400) -> Script:
    """Reads and writes of all sizes. The IDE function answers no ports meanwhile, so that its base may be anywhere."""
    out: Script = [select(IDE, 4), (Op.OUT16, DATA, 0)]
    for _ in range(accesses):
        function = random.choice([HOST, ISA, IDE, IDE, (1, 2), (random.randrange(2, 32), random.randrange(8))])
        size = random.choice([1, 2, 4])
        register = random.randrange(0, 256, size)
        if register & ~3 in _SUBSYSTEM:
            continue
        out.append(select(function, register))
        port = DATA + register % 4
        # The host bridge's own registers move memory; writes to ISA's status and IDE's command have effects.
        free = function != HOST or 0 < register < 0x40
        if random.random() < 0.6 and free and not (function == IDE and register & ~3 == 4):
            out.append((_OUT[size], port, random.choice([0, 0xFFFF_FFFF, random.randrange(1 << 32)])))
        out.append((_IN[size], port, 0xFFFF_FFFF))
        if random.random() < 0.1:
            out.append((Op.IN32, ADDRESS, 0xFFFF_FFFF))
    return out
