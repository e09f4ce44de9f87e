"""Scripts for the registers and the memory of a VGA (`port_script`)."""

from __future__ import annotations

from random import Random

from tests.hypervisor.engine.port_script import Op, Record

ATTRIBUTE, ATTRIBUTE_READ, MISC, MISC_READ, STATUS = 0x3C0, 0x3C1, 0x3C2, 0x3CC, 0x3DA
SEQUENCER, GRAPHICS, CRTC = 0x3C4, 0x3CE, 0x3D4
DAC_READ, DAC_WRITE, DAC_DATA = 0x3C7, 0x3C8, 0x3C9
_REGISTERS = {SEQUENCER: 5, GRAPHICS: 9, CRTC: 25}  # how many each index port selects

Script = list[Record]


def _set(port: int, index: int, value: int) -> Script:
    return [(Op.OUT16, port, index | value << 8)]


def register_script(random: Random, accesses: int = 400) -> Script:
    """Writes and reads of all registers, by bytes and by words. Misc output keeps the colour addresses: QEMU's memory
    of a PC that has lost them is another."""
    out: Script = []
    for _ in range(accesses):
        value = random.choice([0, 0xFF, random.randrange(256)])
        port = random.choice([SEQUENCER, GRAPHICS, CRTC, ATTRIBUTE, DAC_DATA, MISC])
        if port in _REGISTERS:
            index = random.randrange(_REGISTERS[port])
            if random.random() < 0.6:
                out += _set(port, index, value)
            out += [(Op.OUT8, port, index), (Op.IN8, port, 0xFF), (Op.IN8, port + 1, 0xFF)]
        elif port == ATTRIBUTE:
            index = random.randrange(0x15)
            out += [(Op.IN8, STATUS, 0), (Op.OUT8, ATTRIBUTE, index)]
            if random.random() < 0.6:
                out += [(Op.OUT8, ATTRIBUTE, value), (Op.IN8, STATUS, 0), (Op.OUT8, ATTRIBUTE, index)]
            out += [(Op.IN8, ATTRIBUTE_READ, 0xFF), (Op.IN8, ATTRIBUTE, 0xFF), (Op.IN8, STATUS, 0),
                    (Op.IN8, ATTRIBUTE, 0xFF)]
        elif port == DAC_DATA:
            first = random.randrange(256)
            out += [(Op.OUT8, DAC_WRITE, first), *((Op.OUT8, DAC_DATA, random.randrange(256)) for _ in range(7)),
                    (Op.IN8, DAC_WRITE, 0xFF), (Op.IN8, DAC_READ, 0xFF), (Op.OUT8, DAC_READ, first),
                    (Op.IN8, DAC_READ, 0xFF), *((Op.IN8, DAC_DATA, 0x3F) for _ in range(6))]
        else:
            out += [(Op.OUT8, MISC, value | 1), (Op.IN8, MISC_READ, 0xFF)]
    return out
