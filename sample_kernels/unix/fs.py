#!/usr/bin/env python3
"""Makes, lists and checks disks with the file system of this kernel (abi/disk.h says what is on them).

    fs.py make DISK [--blocks N] [--inodes N] [--bin FILE...] [--files FILE...]
    fs.py list DISK         every file: type, links, size, sum of its bytes, path
    fs.py check DISK        exit status 1, and a line for each thing that is wrong
"""

from __future__ import annotations

import argparse
import re
import struct
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

LAYOUT = {
    name: int(value, 0)
    for name, value in re.findall(
        r"^#define (\w+) (0x[0-9a-f]+|\d+)\b", (Path(__file__).parent / "abi" / "disk.h").read_text(), re.MULTILINE
    )
}
MAGIC, BLOCK, ROOT = LAYOUT["FS_MAGIC"], LAYOUT["FS_BLOCK"], LAYOUT["ROOT_INODE"]
FREE, FILE, DIRECTORY, DEVICE = (LAYOUT[f"TYPE_{name}"] for name in ("FREE", "FILE", "DIRECTORY", "DEVICE"))
DIRECT = LAYOUT["DIRECT_BLOCKS"]
NUMBERS = BLOCK // 4  # block numbers in a block

SUPERBLOCK = struct.Struct("<7I")
INODE = struct.Struct(f"<HHI{LAYOUT['INODE_BLOCKS']}I")
ENTRY = struct.Struct(f"<I{LAYOUT['NAME_BYTES']}s")
PER_BLOCK = BLOCK // INODE.size
DEVICES = {"console": LAYOUT["DEVICE_CONSOLE"], "null": LAYOUT["DEVICE_NULL"]}


class Damaged(Exception):
    """What is on the disk makes no sense."""


@dataclass
class Inode:
    """A file, as the disk's table has it."""

    type: int = FREE
    links: int = 0
    size: int = 0
    blocks: list[int] = field(default_factory=lambda: [0] * LAYOUT["INODE_BLOCKS"])


class Disk:
    """The blocks of a disk and what they mean."""

    def __init__(self, image: bytearray) -> None:
        self.image = image
        (magic, self.blocks, self.inodes, self.inode_bitmap, self.block_bitmap, self.inode_table,
         self.data) = SUPERBLOCK.unpack_from(image, LAYOUT["FS_SUPERBLOCK"] * BLOCK)  # fmt: skip
        if magic != MAGIC:
            raise Damaged("no file system of this kind")
        if self.blocks * BLOCK > len(image) or not self.inode_table < self.data < self.blocks:
            raise Damaged("the superblock does not fit the disk")

    @classmethod
    def new(cls, blocks: int, inodes: int) -> Disk:
        """An empty disk."""
        image = bytearray(blocks * BLOCK)
        inode_bitmap = LAYOUT["FS_SUPERBLOCK"] + 1
        block_bitmap = inode_bitmap + -(-inodes // (8 * BLOCK))
        inode_table = block_bitmap + -(-blocks // (8 * BLOCK))
        data = inode_table + -(-inodes // PER_BLOCK)
        SUPERBLOCK.pack_into(image, LAYOUT["FS_SUPERBLOCK"] * BLOCK, MAGIC, blocks, inodes, inode_bitmap, block_bitmap,
                             inode_table, data)  # fmt: skip
        disk = cls(image)
        for block in range(data):
            disk.mark(block_bitmap, block)
        disk.mark(inode_bitmap, 0)
        return disk

    def mark(self, bitmap: int, bit: int) -> None:
        """Set a bit of the bitmap that begins in block `bitmap`."""
        self.image[bitmap * BLOCK + bit // 8] |= 1 << bit % 8

    def marked(self, bitmap: int, count: int) -> set[int]:
        """The bits that are set, of the first `count`."""
        return {bit for bit in range(count) if self.image[bitmap * BLOCK + bit // 8] >> bit % 8 & 1}

    def allocate(self, bitmap: int, count: int) -> int:
        """Set the first bit that is clear. Raises SystemExit where all are set."""
        for bit in range(count):
            if not self.image[bitmap * BLOCK + bit // 8] >> bit % 8 & 1:
                self.mark(bitmap, bit)
                return bit
        raise SystemExit("fs.py: no room on the disk; make it larger (--blocks, --inodes)")

    def _place(self, number: int) -> int:
        return self.inode_table * BLOCK + number * INODE.size

    def inode(self, number: int) -> Inode:
        """The inode with this number."""
        kind, links, size, *blocks = INODE.unpack_from(self.image, self._place(number))
        return Inode(kind, links, size, blocks)

    def store(self, number: int, inode: Inode) -> None:
        """Write an inode."""
        INODE.pack_into(self.image, self._place(number), inode.type, inode.links, inode.size, *inode.blocks)

    def numbers(self, block: int) -> tuple[int, ...]:
        """The block numbers in an indirect block."""
        return struct.unpack_from(f"<{NUMBERS}I", self.image, block * BLOCK)

    def blocks_of(self, inode: Inode) -> Iterator[tuple[int, int | None]]:
        """All blocks of a file, with their places in it (indirect ones have none). Raises Damaged for numbers that are
        none of a data block."""

        def below(block: int, level: int, first: int) -> Iterator[tuple[int, int | None]]:
            if not block:
                return
            if not self.data <= block < self.blocks:
                raise Damaged(f"block {block} is not a data block")
            yield block, None if level else first
            for index, number in enumerate(self.numbers(block) if level else ()):
                yield from below(number, level - 1, first + index * NUMBERS ** (level - 1))

        for index, block in enumerate(inode.blocks):
            level = max(0, index - DIRECT + 1)
            yield from below(block, level, index if not level else DIRECT + (NUMBERS if level == 2 else 0))

    def content(self, inode: Inode) -> bytes:
        """The bytes of a file."""
        content = bytearray(inode.size)
        for block, place in self.blocks_of(inode):
            if place is not None:
                part = self.image[block * BLOCK : (block + 1) * BLOCK][: max(0, inode.size - place * BLOCK)]
                content[place * BLOCK : place * BLOCK + len(part)] = part
        return bytes(content)

    def write(self, inode: Inode, content: bytes) -> None:
        """Give an inode without blocks its content."""
        inode.size = len(content)
        for place in range(-(-len(content) // BLOCK)):
            block = self._new_block()
            piece = content[place * BLOCK : (place + 1) * BLOCK]
            self.image[block * BLOCK : block * BLOCK + len(piece)] = piece
            if place < DIRECT:
                inode.blocks[place] = block
            elif place < DIRECT + NUMBERS:
                inode.blocks[DIRECT] = inode.blocks[DIRECT] or self._new_block()
                struct.pack_into("<I", self.image, inode.blocks[DIRECT] * BLOCK + (place - DIRECT) * 4, block)
            else:
                raise SystemExit(f"fs.py: a file of {len(content)} bytes is too large for this tool")

    def _new_block(self) -> int:
        return self.allocate(self.block_bitmap, self.blocks)

    def add(self, inode: Inode) -> int:
        """Store a new inode; returns its number."""
        number = self.allocate(self.inode_bitmap, self.inodes)
        self.store(number, inode)
        return number

    def entries(self, directory: Inode) -> Iterator[tuple[str, int]]:
        """The names in a directory and their inodes."""
        content = self.content(directory)
        for at in range(0, len(content) - ENTRY.size + 1, ENTRY.size):
            number, name = ENTRY.unpack_from(content, at)
            if number:
                yield name.split(b"\0")[0].decode(errors="replace"), number


def _directory(disk: Disk, number: int, parent: int, names: dict[str, int]) -> None:
    """Write the directory `number`: named twice, by its parent (the root by itself) and by itself, and once by each
    directory in it."""
    rows = {".": number, "..": parent} | names
    inode = Inode(DIRECTORY)
    inode.links = 2 + sum(disk.inode(child).type == DIRECTORY for child in names.values())
    disk.write(inode, b"".join(ENTRY.pack(inode_number, name.encode()) for name, inode_number in rows.items()))
    disk.store(number, inode)


def make(options: argparse.Namespace) -> int:
    """Make a disk with /bin, /dev, /tmp and the files given."""
    disk = Disk.new(options.blocks, options.inodes)
    root = disk.add(Inode(DIRECTORY))
    assert root == ROOT

    def files(paths: list[Path]) -> dict[str, int]:
        names = {}
        for path in paths:
            inode = Inode(FILE, 1)
            disk.write(inode, path.read_bytes())
            names[path.name] = disk.add(inode)
        return names

    folders = {
        "bin": files(options.bin),
        "dev": {name: disk.add(Inode(DEVICE, 1, device)) for name, device in DEVICES.items()},
        "tmp": {},
    }
    top = files(options.files)
    for name, inside in folders.items():
        top[name] = disk.add(Inode(DIRECTORY))
        _directory(disk, top[name], ROOT, inside)
    _directory(disk, ROOT, ROOT, top)
    options.disk.write_bytes(disk.image)
    return 0


def walk(disk: Disk, number: int = ROOT, path: str = "") -> Iterator[tuple[str, int, Inode]]:
    """Every name on the disk but "." and "..", with its inode. Raises Damaged for what is no tree."""
    if path.count("/") > disk.inodes:
        raise Damaged(f"{path[:60]}...: a directory within itself")
    inode = disk.inode(number)
    yield path or "/", number, inode
    if inode.type == DIRECTORY:
        for name, child in sorted(disk.entries(inode)):
            if name not in (".", ".."):
                if not 0 < child < disk.inodes:
                    raise Damaged(f"{path}/{name}: inode {child} does not exist")
                yield from walk(disk, child, f"{path}/{name}")


def check_disk(disk: Disk) -> list[str]:
    """What is wrong with the disk."""
    wrong: list[str] = []
    links: dict[int, int] = {}
    owner: dict[int, int] = {}
    seen: dict[int, str] = {}
    for path, number, inode in walk(disk):
        if inode.type not in (FILE, DIRECTORY, DEVICE):
            wrong.append(f"{path}: inode {number} is of no known type")
        links[number] = links.get(number, 0) + (number != ROOT)
        if number in seen:
            if inode.type == DIRECTORY:
                wrong.append(f"{path}: the same directory as {seen[number]}")
            continue
        seen[number] = path
        if inode.type == DIRECTORY:
            named = dict(disk.entries(inode))
            parent = next((at for at, known in seen.items() if known == (path.rpartition("/")[0] or "/")), ROOT)
            if named.get(".") != number or named.get("..") != parent:
                wrong.append(f"{path}: no '.' for itself and '..' for its parent")
            for name in (".", ".."):
                links[named.get(name, 0)] = links.get(named.get(name, 0), 0) + 1
        if inode.type == DEVICE:
            continue
        for block, place in disk.blocks_of(inode):
            if block in owner:
                wrong.append(f"{path}: block {block} belongs to inode {owner[block]}, too")
            owner[block] = number
            if place is not None and place * BLOCK >= inode.size:
                wrong.append(f"{path}: block {block} lies behind the end of the file")
    wrong += [f"{path}: {disk.inode(number).links} links, named {links[number]} times"
              for number, path in seen.items() if disk.inode(number).links != links[number]]  # fmt: skip
    for what, bitmap, count, used in (
        ("inode", disk.inode_bitmap, disk.inodes, {0, *seen}),
        ("block", disk.block_bitmap, disk.blocks, {*range(disk.data), *owner}),
    ):
        marked = disk.marked(bitmap, count)
        wrong += [f"{what} {number} is in use, and marked free" for number in sorted(used - marked)]
        wrong += [f"{what} {number} is not in use, and marked so" for number in sorted(marked - used)]
    return wrong


def check(options: argparse.Namespace) -> int:
    """Say what is wrong with a disk."""
    try:
        wrong = check_disk(_read(options.disk))
    except Damaged as damage:
        wrong = [str(damage)]
    for line in wrong:
        print(f"{options.disk}: {line}")
    return bool(wrong)


def listing(options: argparse.Namespace) -> int:
    """List the files of a disk."""
    disk = _read(options.disk)
    for path, _, inode in walk(disk):
        content = b"" if inode.type == DEVICE else disk.content(inode)
        kind = {FILE: "file", DIRECTORY: "directory", DEVICE: "device"}.get(inode.type, "?")
        print(f"{kind:9} {inode.links:3} {inode.size:8} {zlib.crc32(content):08x} {path}")
    return 0


def _read(path: Path) -> Disk:
    return Disk(bytearray(path.read_bytes()))


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in (("make", make), ("list", listing), ("check", check)):
        command = commands.add_parser(name, help=function.__doc__)
        command.add_argument("disk", type=Path)
        command.set_defaults(function=function)
        if function is make:
            command.add_argument("--blocks", type=int, default=4096, help=f"of {BLOCK} bytes")
            command.add_argument("--inodes", type=int, default=512)
            command.add_argument("--bin", type=Path, nargs="*", default=[], metavar="FILE", help="goes to /bin")
            command.add_argument("--files", type=Path, nargs="*", default=[], metavar="FILE", help="goes to /")
    options = parser.parse_args()
    try:
        return int(options.function(options))
    except (Damaged, OSError) as problem:
        print(f"fs.py: {options.disk}: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
