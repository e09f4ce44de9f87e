"""IDE in the engine: the monitor, which maps the images and moves their sectors by itself, and the VMM's device, to
which it leaves the rest, are one drive. Guests run random scripts of accesses, with the VMM's device alone and with
either help of the monitor.
"""

from __future__ import annotations

import os
from pathlib import Path
from random import Random

import pytest

from hypervisor.domain import DiskConfig, Domain
from tests.hypervisor.engine.ide_scripts import (
    ACTIVE,
    BUFFER,
    CHANNELS,
    FLUSH,
    IDENTIFY,
    MASTER,
    READ,
    READ_DMA,
    READ_MULTIPLE,
    SECTOR,
    SET_MULTIPLE,
    START,
    TABLE,
    TO_MEMORY,
    VERIFY,
    WIDE,
    WORDS,
    WRITE,
    WRITE_DMA,
    WRITE_MULTIPLE,
    Script,
    by_master,
    command,
    config,
    descriptors,
    disk_image,
    prepared,
    random_pieces,
)  # fmt: skip
from tests.hypervisor.engine.port_script import AREA, Op, play

SECTORS = 600  # more than a data window holds
BASE, CONTROL = CHANNELS[0]
WRITES = {WRITE, WRITE + 1, WRITE_MULTIPLE, WIDE[WRITE], WIDE[WRITE_MULTIPLE]}
MASTERS = {READ_DMA, READ_DMA + 1, WRITE_DMA, WIDE[READ_DMA], WIDE[WRITE_DMA]}
DATALESS = {SET_MULTIPLE, FLUSH, 0x00, 0x90, VERIFY}
WIDES = {*WIDE.values()}


def random_script(random: Random) -> Script:
    """Commands, most of them good, with transfers that mostly fit them; status, errors and interrupts looked at."""
    out: Script = [config(1, 1, 4), (Op.OUT16, 0xCFC, 0x0105)]
    for _ in range(40):
        code = random.choice([READ, READ + 1, READ_MULTIPLE, WRITE, WRITE, WRITE + 1, WRITE_MULTIPLE, SET_MULTIPLE,
                              IDENTIFY, FLUSH, 0x00, 0x90, VERIFY, *MASTERS, *WIDES])
        count = random.choice([1, 1, 2, 3, 4, 8] * 4 + [300 if code in WIDES else 200])
        sector = random.choice([random.randrange(SECTORS), SECTORS - count, SECTORS - count + 1, 1 << 24])
        if random.random() < 0.05:
            value = random.choice([0, 2, 4])
            out.append((Op.OUT8, CONTROL, value))
            if value & 4:
                out.append((Op.OUT8, CONTROL, 0))
        if code in MASTERS or random.random() < 0.1:
            out += random_master(random, count)
        out += command(code, sector, count, random.randrange(2), random.random() < 0.9, wide=code in WIDES)
        if code in MASTERS and random.random() < 0.8:
            out += [(Op.OUT8, MASTER, START | random.choice([0, TO_MEMORY])), (Op.IN8, MASTER + 2, 0xFF)]
        if random.random() < 0.5:
            out += [(Op.INTERRUPTS, 0, 0), (Op.IN8, BASE + 7, 0xFF)]
        if random.random() < 0.1:
            out.append((Op.IN8, BASE + random.randrange(1, 7), 0xFF))
        if random.random() < 0.1:  # a driver that uses the registers while a transfer is under way
            out.append((Op.OUT8, BASE + random.randrange(1, 7), random.randrange(256)))
        blocks = min(count, 6) if random.random() < 0.3 else count
        for _ in range(random.choice([blocks, blocks, blocks, 1, blocks + 1])):
            moves = Op.DATA_OUT if code in WRITES else Op.DATA_IN
            if (code not in DATALESS and code not in MASTERS) or random.random() < 0.02:
                out += [(moves, BASE, WORDS), (Op.IN8, CONTROL, 0xFF), (Op.INTERRUPTS, 0, 0), (Op.IN8, BASE + 7, 0xFF)]
        out += [(Op.IN8, BASE + 1, 0xFF), (Op.IN8, CONTROL, 0xFF), (Op.IN8, MASTER + 2, 0xFF)]
    return [*out, (Op.SUM, 0, 0x8000)]


def random_master(random: Random, count: int) -> Script:
    """Set up the bus master for that many sectors, well or badly, and maybe start or stop it."""
    described = max(2, count * SECTOR + random.choice([0, 0, 0, 0, 512, -512]))
    pieces = random_pieces(random, described)
    if random.random() < 0.1:  # to where there is no RAM, to ROM, and over the edge of either
        pieces[0] = random.choice([0xE000_0000, 0x0EFF_FE00, 0xF_0000, 0xE_FF00, 0x00FF_FF00]), pieces[0][1]
    out = descriptors(pieces)
    if random.random() < 0.05:
        out[-1] = (Op.STORE, TABLE + 2 * len(pieces) - 1, pieces[-1][1] & 0xFFFF)  # no end
    out += [(Op.OUT32, MASTER + 4, random.choice([AREA + 4 * TABLE] * 20 + [0xF000_0000, 0x00FF_FFF8]))]
    out += [(Op.OUT8, MASTER, random.choice([0, 0, 0, START])), (Op.OUT8, MASTER + 2, random.choice([0x66, 6, 0]))]
    if random.random() < 0.05:
        out += [config(1, 1, 4), (Op.OUT16, 0xCFC, random.choice([0x0101, 0x0105]))]
    return out


# The monitor moves sectors; it has no mapping, and begins writes; the VMM does all.
WAYS = ("mapped", "begun", "VMM")


class Rig:
    """Runs scripts on two fresh disks; gives what the guest said and what the disks then hold."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exits: dict[str, int] = {}  # of the last run, by reason

    def run(self, script: Script, way: str, read_only: bool = False, cut: int = SECTORS) -> tuple[str, bytes]:
        """`way` is of `WAYS`, `read_only` of the second disk, `cut` its sectors that are left when the guest begins."""
        first, second = (disk_image(self.folder / name, SECTORS) for name in ("first", "second"))

        def prepare(domain: Domain) -> None:
            assert all(disk.bytes == SECTORS * SECTOR for disk in domain.control.disks[:2])
            if way != "mapped":
                domain.engine.disks = []
                for disk in domain.control.disks:
                    disk.bytes = 0
            if way == "VMM":
                domain.control.ide[0].sectors[:] = [0, 0]
            os.truncate(second, cut * SECTOR)

        disks = DiskConfig(first, index=0), DiskConfig(second, read_only, index=1)
        played = play(script, self.folder, disks, prepare)
        self.exits = played.exits
        return played.said, first.read_bytes() + second.read_bytes()


@pytest.fixture
def rig(tmp_path: Path, monitor: Path) -> Rig:
    return Rig(tmp_path)


@pytest.mark.parametrize("seed", range(24))
def test_random_scripts_see_one_drive(rig: Rig, seed: int) -> None:
    script = random_script(Random(seed))
    read_only = seed % 4 == 3
    mapped, begun, alone = (rig.run(script, way, read_only) for way in WAYS)
    assert mapped == alone and begun == alone


def test_sectors_move_without_exits(rig: Rig) -> None:
    script: Script = []
    for drive in (0, 1):
        script += command(SET_MULTIPLE, 0, 8, drive)
        for code, count in ((READ, 3), (WRITE, 2), (READ_MULTIPLE, 16), (WRITE_MULTIPLE, 16), (WIDE[READ], 300),
                            (WIDE[WRITE_MULTIPLE], 300)):
            moves = Op.DATA_OUT if code in WRITES else Op.DATA_IN
            script += [*command(code, 5, count, drive, wide=code in WIDES), (moves, BASE, WORDS * count),
                       (Op.IN8, BASE + 7, 0xFF)]
    mapped = rig.run(script, "mapped")
    assert rig.exits == {"PORT_OUT": 3, "NEW_MEMBER": 1}, "SET MULTIPLE twice, and the guest's end"
    assert rig.run(script, "begun") == mapped
    assert rig.exits == {"PORT_OUT": 9, "FIFO_DONE": 10, "NEW_MEMBER": 1}, "each command one, or one for each window"


def test_the_bus_master_runs_without_exits(rig: Rig) -> None:
    script = prepared()
    for early in (False, True):
        for code, count in ((READ_DMA, 8), (WRITE_DMA, 8), (WIDE[READ_DMA], 300), (WIDE[WRITE_DMA], 300)):
            order = command(code, 5, count, wide=code in WIDES)
            script += [(Op.FILL, BUFFER, 0x9000), *by_master(random_pieces(Random(1), count * SECTOR), order,
                                                            code in (READ_DMA, WIDE[READ_DMA]), early=early)]
            script.append((Op.SUM, BUFFER, 0x9000))
    mapped = rig.run(script, "mapped")
    exits = rig.exits
    rig.run(prepared(), "mapped")
    assert rig.exits == exits, "none but those of the preparation"
    assert rig.run(script, "VMM") == mapped


def test_a_transfer_waits_until_the_function_may_reach_memory(rig: Rig) -> None:
    """PCI 2.2, 6.2.2: without bus mastering a function does nothing by itself."""
    pieces = [(AREA + 4 * BUFFER, SECTOR)]
    script = [*prepared(), (Op.OUT8, MASTER + 2, 0x06), (Op.OUT16, 0xCFC, 0x0101), *descriptors(pieces)]
    script += [(Op.OUT32, MASTER + 4, AREA + 4 * TABLE), *command(READ_DMA, 7), (Op.OUT8, MASTER, START | TO_MEMORY)]
    script += [(Op.IN8, MASTER + 2, 0xFF), (Op.SUM, BUFFER, 1), (Op.OUT16, 0xCFC, 0x0105)]
    script += [(Op.IN8, MASTER + 2, 0xFF), (Op.SUM, BUFFER, 1), (Op.INTERRUPTS, 0, 0), (Op.IN8, BASE + 7, 0xFF)]
    waiting, done = [f"r={ACTIVE:08x}", "d=00000000"], ["r=00000004", f"d={7 * 0x1234567:08x}"]
    for way in WAYS:
        said, _ = rig.run(script, way)
        assert said.splitlines()[-6:] == [*waiting, *done, "i=00000086", "r=00000050"]


def test_a_read_of_the_status_takes_the_interrupt_back(rig: Rig) -> None:
    script = [*command(VERIFY, 1), (Op.IN8, CONTROL, 0xFF), (Op.INTERRUPTS, 0, 0)]
    script += [*command(VERIFY, 1), (Op.IN8, BASE + 7, 0xFF), (Op.INTERRUPTS, 0, 0)]
    script += [*command(READ, 1), (Op.IN8, BASE + 7, 0xFF), (Op.INTERRUPTS, 0, 0)]
    for way in WAYS:
        said, _ = rig.run(script, way)
        assert said.split() == ["r=00000050", "i=00000086", "r=00000050", "i=00000000", "r=00000058", "i=00000000"]


def test_an_image_that_was_cut_short_reads_zeros_and_grows_again(rig: Rig) -> None:
    """The mapping faults behind the file's end: the VMM then reads and writes the file."""
    script = [*command(READ, 30, 2, 1), (Op.DATA_IN, BASE, 256), (Op.IN8, BASE + 7, 0xFF)]
    script += [*command(WRITE, 30, 1, 1), (Op.DATA_OUT, BASE, 128), (Op.INTERRUPTS, 0, 0), (Op.IN8, BASE + 7, 0xFF)]
    said, data = rig.run(script, "mapped", cut=16)
    assert said.splitlines()[:2] == ["d=00000000", "r=00000050"] and said.splitlines()[3] == "r=00000050"
    assert len(data) == (SECTORS + 31) * SECTOR and any(data[-SECTOR:])
    assert (said, data) == rig.run(script, "VMM", cut=16)


def test_the_bus_master_reads_zeros_behind_a_cut(rig: Rig) -> None:
    read = by_master([(AREA + 4 * BUFFER, 4 * SECTOR)], command(READ_DMA, 14, 4, 1), reading=True)
    script = [*prepared(), (Op.FILL, BUFFER, 4 * WORDS), *read, (Op.SUM, BUFFER + 2 * WORDS, 2 * WORDS)]
    said, _ = rig.run(script, "mapped", cut=16)
    assert said.splitlines()[-1] == "d=00000000"
    assert said == rig.run(script, "VMM", cut=16)[0]
