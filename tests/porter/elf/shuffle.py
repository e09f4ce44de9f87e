"""Builds shuffled kernels, ports them, and runs them before and after: also as a command.

    python -m tests.porter.elf.shuffle COUNT [FIRST-SEED] [--pc]
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from elftools.elf.elffile import ELFFile

from hypervisor import interrupts
from hypervisor.console import NoConsole
from hypervisor.domain import Domain, DomainConfig
from porter.binary.code import disassembler
from porter.binary.image import Image, load
from porter.binary.sensitive import Effect, classify
from porter.elf.port import Ported, port
from porter.elf.write import elf_file
from tests.porter.elf.shuffled import shuffled

_MIB = 1 << 20
_SECONDS, _PC_SECONDS = 2.0, 60.0  # for a run that takes milliseconds, and one that starts an emulator
_LINK = ("ld", "-m", "elf_i386", "-n", "-z", "noexecstack", "-Ttext=0x100000", "-Tdata=0x110000", "-e", "start")


class Collect(NoConsole):
    """What a guest prints."""

    def __init__(self) -> None:
        self.text = bytearray()

    def write(self, data: bytes) -> None:
        """Keep it."""
        self.text += data


@dataclass
class Result:
    """What came of one seed: its kernel's sums, before and after, and what the port changed that it must not.

    `pc`: its sums on an emulated PC, unported; None where nobody asked.
    """

    seed: int
    pc: bytes | None
    before: bytes
    after: bytes
    spoilt: list[int]
    sites: int
    ported: int
    missed: int

    @property
    def is_right(self) -> bool:
        """Where it is not sure of code, a port need not run the same, for it says so; it must never spoil data."""
        same = self.pc in (None, self.before) and (self.before == self.after or self.missed > 0)
        return same and not self.spoilt and b"\n" in self.before


def build(seed: int, folder: Path) -> tuple[Path, Path, list[tuple[int, int]]]:
    """The kernel of a seed, with symbols and without, and the address ranges of the data among its code."""
    made, whole, bare = shuffled(seed), folder / f"{seed}.elf", folder / f"{seed}.bare"
    subprocess.run(["as", "--32", "-o", folder / f"{seed}.o", "-"], input=made.source.encode(), check=True)
    subprocess.run([*_LINK, "-o", whole, folder / f"{seed}.o"], check=True)
    with whole.open("rb") as file:
        at = {symbol.name: symbol["st_value"] for symbol in ELFFile(file).get_section_by_name(".symtab").iter_symbols()}
    subprocess.run(["strip", "-o", bare, whole], check=True)
    return whole, bare, [(at[start], at[end]) for start, end in made.data]


def silent(image: Image, data: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Addresses and first bytes of the instructions that run wrong without a trap: all of them, since it is known where
    there is data."""
    (text,) = image.code
    at, decoder = text.base + 12, disassembler()  # behind the boot header
    for start, end in [*sorted(data), (text.end, text.end)]:
        for insn in decoder.disasm(text.data[at - text.base : start - text.base], at):
            kind = classify(insn)
            if kind and kind.effect is Effect.SILENT:
                yield insn.address, insn.bytes[0]
        at = end


def run(config: DomainConfig) -> bytes:
    """What the guest prints until it turns its machine off, or its time is over."""
    console = Collect()
    signal.signal(signal.SIGALRM, lambda *_: interrupts.post(TimeoutError()))
    with Domain(config) as domain, contextlib.suppress(TimeoutError):
        domain.build()
        signal.setitimer(signal.ITIMER_REAL, _SECONDS)
        domain.run(console)
    signal.setitimer(signal.ITIMER_REAL, 0)
    return bytes(console.text)


def run_on_pc(kernel: Path) -> bytes:
    """What it prints on an emulated PC until it turns that off."""
    command = ["qemu-system-i386", "-kernel", str(kernel), "-m", "16", "-serial", "stdio", "-display", "none",
               "-nodefaults", "-no-reboot"]  # fmt: skip
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PC_SECONDS, check=True)
    return done.stdout


def spoilt(ported: Ported, data: list[tuple[int, int]]) -> list[int]:
    """Addresses of data that the port has changed."""
    return [patch.address for patch in ported.port.patches for start, end in data
            if patch.address < end and start < patch.end]  # fmt: skip


def one(seed: int, pc: bool = False) -> Result:
    """Build, run, port and run the kernel of a seed; `pc`: also on an emulated PC."""
    with tempfile.TemporaryDirectory() as name:
        whole, bare, data = build(seed, Path(name))
        kernel = bare if seed % 2 else whole
        wrong = tuple(silent(load(whole), data))
        before = run(DomainConfig(whole, memory=16 * _MIB, traps=wrong))
        ported = port(load(kernel), lines=False)
        decisions = [decision.treatment for decision in ported.decisions]
        done = {decision.site.address for decision in ported.decisions if decision.treatment != "refused"}
        missed = [address for address, _ in wrong if address not in done]
        target = Path(name) / "ported.elf"
        target.write_bytes(elf_file(ported))
        after = run(DomainConfig(target, memory=16 * _MIB))
        on_pc = run_on_pc(whole) if pc else None
        return Result(seed, on_pc, before, after, spoilt(ported, data), len(decisions), decisions.count("ported"),
                      len(missed))  # fmt: skip


def several(seeds: Iterable[int], pc: bool = False) -> Iterator[Result]:
    """The results of many seeds, by all processors."""
    with ProcessPoolExecutor() as pool:
        yield from pool.map(partial(one, pc=pc), seeds, chunksize=8)


def main() -> int:
    """Run as many kernels as asked; the status tells whether all were right."""
    parser = argparse.ArgumentParser(description="Port kernels whose code is shuffled with data, and run them.")
    parser.add_argument("count", type=int, help="how many")
    parser.add_argument("first", type=int, nargs="?", default=1, help="the first one's seed")
    parser.add_argument("--pc", action="store_true", help="also run them unported on an emulated PC")
    options = parser.parse_args()
    count, first = options.count, options.first
    wrong = sites = ported = unsure = 0
    for result in several(range(first, first + count), options.pc):
        sites, ported, unsure = sites + result.sites, ported + result.ported, unsure + (result.missed > 0)
        if not result.is_right:
            wrong += 1
            print(f"seed {result.seed}: on a PC {result.pc!r}, before {result.before!r}, after {result.after!r}, "
                  f"spoilt {result.spoilt}")  # fmt: skip
    print(f"{count} kernels, {wrong} wrong, {unsure} not sure of all code; {ported:,} of {sites:,} sites ported")
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
