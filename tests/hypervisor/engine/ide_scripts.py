"""Scripts for IDE drives: what a driver does, in many variations, on disks and CDs (`port_script`)."""

from __future__ import annotations

import struct
from pathlib import Path
from random import Random

from tests.hypervisor.engine.port_script import AREA, Op, Record

SECTOR, CD_BLOCK = 512, 2048
WORDS = SECTOR // 4
CHANNELS = ((0x1F0, 0x3F6), (0x170, 0x376))
MASTER = 0xC000  # where the scripts put the bus masters
TABLE, BUFFER = 0, 0x400  # doublewords of the area: descriptors, and where data goes

# Commands, and the forms of them with 48-bit addresses
READ, WRITE, READ_MULTIPLE, WRITE_MULTIPLE, READ_DMA, WRITE_DMA, VERIFY = 0x20, 0x30, 0xC4, 0xC5, 0xC8, 0xCA, 0x40
WIDE = {READ: 0x24, WRITE: 0x34, READ_MULTIPLE: 0x29, WRITE_MULTIPLE: 0x39, READ_DMA: 0x25, WRITE_DMA: 0x35,
        VERIFY: 0x42, 0xE7: 0xEA, 0xF8: 0x27}  # fmt: skip
SET_MULTIPLE, IDENTIFY, FLUSH, SET_FEATURES, PACKET = 0xC6, 0xEC, 0xE7, 0xEF, 0xA0
DONE_MASK, BUSY = 0xEF, 0x80  # of status: bit 4 has no meaning any more (ATA/ATAPI-6, 7.15.6)
START, TO_MEMORY, ACTIVE, INTERRUPT = 1, 8, 1, 4

Script = list[Record]


def disk_image(path: Path, sectors: int, salt: int = 0) -> Path:
    """A disk whose sectors all differ."""
    words = ((number * 0x1234567 + salt) & 0xFFFF_FFFF for number in range(sectors))
    path.write_bytes(b"".join(struct.pack("<I", word) * WORDS for word in words))
    return path


def command(code: int, sector: int = 0, count: int = 1, drive: int = 0, lba: bool = True, wide: bool = False,
            channel: int = 0) -> Script:
    """The registers of a command and the command: `drive` of the channel, with 48-bit addresses if `wide`."""
    base = CHANNELS[channel][0]
    select = (0xE0 if lba else 0xA0) | drive << 4
    registers = [count, sector, sector >> 8, sector >> 16]
    if wide:
        registers = [count >> 8, sector >> 24, sector >> 32, sector >> 40, *registers]
    else:
        select |= sector >> 24 & 15
    out = [(Op.OUT8, base + 6, select)]
    out += [(Op.OUT8, base + 2 + place % 4, value & 0xFF) for place, value in enumerate(registers)]
    return [*out, (Op.OUT8, base + 7, code)]


def settled(channel: int = 0) -> Script:
    """Wait until the drive is not busy; then tell the interrupt, and the status, which takes it back."""
    base, control = CHANNELS[channel]
    return [(Op.WAIT, control, BUSY), (Op.INTERRUPTS, 0, 0), (Op.IN8, base + 7, DONE_MASK)]


def descriptors(pieces: list[tuple[int, int]]) -> Script:
    """A bus master's table of `pieces`: addresses and bytes."""
    out: Script = []
    for place, (address, count) in enumerate(pieces):
        last = 1 << 31 if place == len(pieces) - 1 else 0
        out += [(Op.STORE, TABLE + 2 * place, address), (Op.STORE, TABLE + 2 * place + 1, count & 0xFFFF | last)]
    return out


def random_pieces(random: Random, length: int) -> list[tuple[int, int]]:
    """Pieces that hold `length` bytes, next to each other or with gaps."""
    out, at = [], AREA + 4 * BUFFER
    while length:
        part = min(length, random.choice([2, 62, 512, 512, 2048, 4096, 0x1_0000]), 0x1_0000 - at % 0x1_0000)
        out.append((at, part))
        at, length = at + part + random.choice([0, 0, 2, 4096]), length - part
    return out


def by_master(pieces: list[tuple[int, int]], order: Script, reading: bool, channel: int = 0, early: bool = False,
              complete: bool = True) -> Script:
    """`order`, which ends with the command, and the transfer by the bus master; `early`: that starts first.

    `complete`: the transfer ends with an interrupt; else the table is too short, and it does not.
    """
    master, direction = MASTER + 8 * channel, TO_MEMORY if reading else 0
    start = [(Op.OUT8, master, START | direction)]
    out = descriptors(pieces)
    out += [(Op.OUT32, master + 4, AREA + 4 * TABLE), (Op.OUT8, master, direction), (Op.OUT8, master + 2, 6)]
    out += [*start, *order] if early else [*order, *start]
    if complete:
        out += [(Op.WAIT, master + 2, INTERRUPT | INTERRUPT << 8)]
    else:
        out += [(Op.WAIT, master + 2, ACTIVE)]
    out += [(Op.IN8, master + 2, 0xFF), *settled(channel), (Op.OUT8, master, direction), (Op.IN8, master, 0xFF)]
    return [*out, (Op.IN8, master + 2, 0xFF), (Op.OUT8, master + 2, 6), (Op.IN8, master + 2, 0xFF)]


def config(device: int, function: int, register: int) -> Record:
    """Select a register of configuration space."""
    return Op.OUT32, 0xCF8, 1 << 31 | device << 11 | function << 8 | register & 0xFC


def prepared(channel: int = 0, drives: int = 2) -> Script:
    """Bus masters at `MASTER`; a software reset; blocks of 8 sectors on the channel's disks."""
    base, control = CHANNELS[channel]
    out: Script = [config(1, 1, 4), (Op.OUT16, 0xCFC, 0x0100), config(1, 1, 0x20), (Op.OUT32, 0xCFC, MASTER | 1),
                   config(1, 1, 4), (Op.OUT16, 0xCFC, 0x0105)]
    # While they are busy with a reset, drives take no other selection.
    out += [(Op.OUT8, base + 6, 0xA0), (Op.OUT8, control, 4), (Op.OUT8, control, 0), (Op.WAIT, control, BUSY)]
    for drive in range(drives):
        out += [*command(SET_MULTIPLE, 0, 8, drive, channel=channel), *settled(channel)]
    return out


def _transfer(random: Random, code: int, sectors: int) -> Script:
    """One command that moves sectors, all of them, with everything told that a driver can see."""
    wide, drive = random.random() < 0.5, random.randrange(2)
    count = random.choice([1, 1, 2, 3, 5, 8, 9, 16, 40])
    sector = random.choice([random.randrange(sectors - count + 1), 0, sectors - count])
    moved = WIDE[code] if wide else code
    order = command(moved, sector, count, drive, wide=wide)
    writing = code in (WRITE, WRITE_MULTIPLE, WRITE_DMA)
    if code in (READ_DMA, WRITE_DMA):
        described = count * SECTOR + random.choice([0, 0, 0, 512, 4096, -2, -512])
        pieces = random_pieces(random, described)
        span = (pieces[-1][0] + pieces[-1][1] - AREA) // 4 - BUFFER + 1 if pieces else 1
        out: Script = [(Op.FILL, BUFFER, span)]
        if not described:
            return out
        out += by_master(pieces, order, not writing, early=random.random() < 0.3,
                         complete=described >= count * SECTOR)
        return [*out, (Op.SUM, BUFFER, span)]
    block = 8 if code in (READ_MULTIPLE, WRITE_MULTIPLE) else 1
    out = [*order, *((Op.WAIT, CHANNELS[0][1], BUSY),) * writing]
    left = count
    while left:
        part = min(block, left)
        left -= part
        if writing:
            out += [(Op.DATA_OUT, CHANNELS[0][0], part * WORDS), *settled()]
        else:
            out += [*settled(), (Op.DATA_IN, CHANNELS[0][0], part * WORDS)]
    return out if writing else [*out, *settled()]


def _other(random: Random, sectors: int) -> Script:
    """A command without data, or one that fails."""
    base, drive = CHANNELS[0][0], random.randrange(2)
    what = random.randrange(8)
    if what == 0:  # beyond the end
        code = random.choice([READ, READ_MULTIPLE])
        wide = random.random() < 0.5
        sector = random.choice([sectors, sectors - 1, (1 << 28) - 1, (1 << 47) if wide else sectors])
        return [*command(WIDE[code] if wide else code, sector, 2, drive, wide=wide), *settled()]
    if what == 1:  # unknown
        return [*command(random.choice([0x00, 0x26, 0x87, 0xFE]), 0, 1, drive), *settled(),
                (Op.IN8, base + 1, 0xFF)]
    if what == 2:
        return [*command(0xF8, 0, 1, drive), *settled(), *((Op.IN8, base + register, 0xFF) for register in (3, 4, 5)),
                (Op.IN8, base + 6, 0x0F)]
    if what == 3:
        return [*command(0x27, 0, 1, drive, wide=True), *settled(), (Op.IN8, base + 3, 0xFF),
                (Op.OUT8, CHANNELS[0][1], 0x80), *((Op.IN8, base + register, 0xFF) for register in (3, 4, 5)),
                (Op.OUT8, CHANNELS[0][1], 0)]
    if what == 4:
        return [*command(0xE5, 0, 1, drive), *settled(), (Op.IN8, base + 2, 0xFF)]
    if what == 5:  # transfer modes
        return [(Op.OUT8, base + 1, 3),
                *command(SET_FEATURES, 0, random.choice([0x00, 0x08, 0x22, 0x45]), drive), *settled()]
    if what == 6:  # what is written to the registers, and before that
        values = [random.randrange(256) for _ in range(8)]
        written = [(Op.OUT8, base + 2 + place % 4, value) for place, value in enumerate(values)]
        return [*written, *((Op.IN8, base + register, 0xFF) for register in (2, 3, 4, 5)),
                (Op.OUT8, CHANNELS[0][1], 0x80), *((Op.IN8, base + register, 0xFF) for register in (2, 3, 4, 5)),
                (Op.OUT8, CHANNELS[0][1], 0)]
    code = random.choice([0x10, 0x70, VERIFY, 0x42, FLUSH, 0xEA, 0xE1])
    return [*command(code, random.randrange(sectors), 1, drive, wide=code == 0x42), *settled()]


def disk_script(random: Random, sectors: int, commands: int = 60) -> Script:
    """Commands for two disks of `sectors` on the primary channel, as a careful driver gives them."""
    out = prepared()
    for _ in range(commands):
        code = random.choice([READ, WRITE, READ_MULTIPLE, WRITE_MULTIPLE, READ_DMA, WRITE_DMA, 0])
        out += _transfer(random, code, sectors) if code else _other(random, sectors)
    return out


def identify_script() -> Script:
    """What both disks say of their size, addresses and transfer modes."""
    out = prepared()
    for drive in (0, 1):
        out += [*command(IDENTIFY, 0, 1, drive), *settled(), (Op.QUIET_IN, CHANNELS[0][0], WORDS), *settled()]
        # Doublewords: LBA and DMA, validity, size, DMA modes, command sets, UDMA, 48-bit size
        for place, mask in ((24, 0x0300_0000), (26, 0x7_0000 & ~0x1_0000), (30, 0xFFFF_FFFF),
                            (31, 0x0707_0000), (32, 0x3), (41, 0x7400_0000), (43, 0x3400), (44, 0x3F3F),
                            (50, 0xFFFF_FFFF), (51, 0xFFFF_FFFF)):  # fmt: skip
            out.append((Op.PEEK, place, mask))
    return out


def packet(bytes_: bytes, limit: int = CD_BLOCK, dma: bool = False) -> Script:
    """PACKET for the CD drive, the secondary master, up to the packet."""
    base, control = CHANNELS[1]
    words = struct.unpack("<III", bytes_.ljust(12, b"\0"))
    out: Script = [(Op.OUT8, base + 6, 0xA0), (Op.OUT8, base + 1, int(dma)), (Op.OUT8, base + 4, limit & 0xFF),
                   (Op.OUT8, base + 5, limit >> 8), (Op.OUT8, base + 7, PACKET), (Op.WAIT, control, BUSY),
                   (Op.IN8, base + 7, DONE_MASK), (Op.IN8, base + 2, 0x03)]
    return [*out, *((Op.OUT32, base, word) for word in words)]


def told(data: int, limit: int = CD_BLOCK) -> Script:
    """Take `data` bytes that the packet asked for, in blocks of `limit`, and the end; 0: the end alone."""
    base = CHANNELS[1][0]
    out: Script = []
    while data:
        part = min(data, limit)
        out += [*settled(1), (Op.IN8, base + 2, 3), (Op.IN8, base + 4, 0xFF), (Op.IN8, base + 5, 0xFF),
                (Op.DATA_IN, base, part // 4)]
        data -= part
    return [*out, *settled(1), (Op.IN8, base + 2, 3), (Op.IN8, base + 1, 0xFF)]


def _cd_read(random: Random, blocks: int) -> Script:
    count = random.choice([1, 1, 2, 3, 5])
    block = random.choice([0, blocks - count, random.randrange(blocks - count + 1)])
    request = (struct.pack(">BxIxHx", 0x28, block, count) if random.random() < 0.5 else
               struct.pack(">BxII", 0xA8, block, count))
    length = count * CD_BLOCK
    if random.random() < 0.5:
        limit = random.choice([2048, 2048, 4096, 512, 0xF000])
        return [*packet(request, limit), *told(length, limit)]
    pieces = random_pieces(random, length)
    span = (pieces[-1][0] + pieces[-1][1] - AREA) // 4 - BUFFER + 1
    return [(Op.FILL, BUFFER, span), *by_master(pieces, packet(request, dma=True), True, channel=1),
            (Op.SUM, BUFFER, span)]


def cd_script(random: Random, blocks: int, commands: int = 40) -> Script:
    """Packets for a CD of `blocks` in the secondary master."""
    base = CHANNELS[1][0]
    sense = [*packet(b"\x03\0\0\0\x12"), *settled(1), (Op.QUIET_IN, base, 4), (Op.IN16, base, 0), *settled(1),
             (Op.PEEK, 0, 0x000F_00FF), (Op.PEEK, 3, 0xFF)]
    out = prepared(1, drives=0)
    out += [*((Op.IN8, base + register, 0xFF) for register in (1, 2, 3, 4, 5)), (Op.IN8, base + 7, 0xFF)]
    out += [*command(IDENTIFY, channel=1), *settled(1), *((Op.IN8, base + register, 0xFF) for register in (4, 5))]
    out += [*command(0xA1, channel=1), *settled(1), (Op.QUIET_IN, base, WORDS), *settled(1), (Op.PEEK, 0, 0xFFFF),
            (Op.PEEK, 24, 0x0300_0000)]
    for _ in range(commands):
        what = random.randrange(10)
        if what < 5:
            out += _cd_read(random, blocks)
        elif what == 5:
            out += [*packet(b"\x25"), *told(8)]
        elif what == 6:
            msf, first = random.choice([0, 2]), random.choice([0, 1, 0xAA])
            length = 12 if first == 0xAA else 20
            out += [*packet(bytes([0x43, msf, 0, 0, 0, 0, first, 0, length])), *told(length)]
        elif what == 7:  # refused: beyond the end, unknown, no such page
            out += [*packet(random.choice([struct.pack(">BxIxHx", 0x28, blocks, 1), b"\xfa",
                                           b"\x5a\0\x3e\0\0\0\0\0\x20"])), *told(0), *sense]
        elif what == 8:
            out += [*packet(random.choice([b"\0", b"\x1e\0\0\0\1", b"\x1e"])), *told(0)]
        else:
            out += [*packet(b"\x12\0\0\0\x24"), *settled(1), (Op.QUIET_IN, base, 9), *settled(1),
                    (Op.PEEK, 0, 0xFFFF_FFFF), (Op.PEEK, 1, 0xFF)]
    return out
