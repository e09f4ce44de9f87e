"""Builds the machine's kernel twice from the same text: as it is, for a bare machine, and ported, for the engine."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from hypercalls import gas
from porter import resolve
from porter.asm_port import port_assembly
from tests.proof import machine
from tests.proof.sites import Site
from tests.proof.syntaxes import SYNTAXES

HERE = Path(__file__).resolve().parent
_LINK = ("-m", "elf_i386", "-z", "noexecstack", "--no-warn-rwx-segments", "-n", "-Ttext=0x100000", "-e", "_start")
ROM_SIZE = 0x4_0000


@dataclass(frozen=True)
class Kernel:
    """A built kernel: the ELF file, and where each site's steps begin (the last is its end)."""

    path: Path
    symbols: dict[str, int]
    numbers: dict[tuple[str, str], int]  # (site, syntax): number in the table
    base: int
    image: bytes  # what lies from `base` on

    def steps(self, site: Site, syntax: str) -> list[int]:
        """Addresses of the site's steps; the last is that of the `int` that ends it."""
        number = self.numbers[site.key, syntax]
        return [self.symbols[f"site_{number}_{step}"] for step in range(len(site.steps) + 1)]

    def code(self, site: Site, syntax: str) -> bytes:
        """The bytes of the site."""
        steps = self.steps(site, syntax)
        return self.image[steps[0] - self.base : steps[-1] - self.base]


def _run(*command: str | Path, folder: Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=folder, text=True, capture_output=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"


def _runner(folder: Path, count: int, ported: bool) -> None:
    text = (HERE / "machine.S").read_text()
    table = ".data\n.balign 4\nsite_table:\n" + "".join(f"\t.long site_{number}_0\n" for number in range(count))
    if ported:
        done = port_assembly(text, "machine.S")
        assert not [site for site in done.sites if site.treatment != "ported"]
        text = f".set ENGINE,1\n{gas.macros()}{resolve.macros()}{done.text}"
    (folder / "machine.inc").write_text(machine.constants())
    (folder / "tables.inc").write_text(machine.tables())
    (folder / "runner.s").write_text(text + table)
    _run("as", "--32", "-o", "runner.o", "runner.s", folder=folder)


def build(folder: Path, sites: Sequence[Site], ported: bool) -> Kernel:
    """Port (or not), assemble and link the machine's kernel with all sites in all syntaxes that assemble here."""
    numbers: dict[tuple[str, str], int] = {}
    objects = ["runner.o"]
    for name, syntax in SYNTAXES.items():
        if syntax.missing:
            continue
        first = len(numbers)
        mine = dict(enumerate((site for site in sites if name in site.texts), first))
        numbers |= {(site.key, name): number for number, site in mine.items()}
        objects.append(syntax.build(folder, mine, ported))
    _runner(folder, len(numbers), ported)
    _run("ld", *_LINK, "-o", "kernel.elf", *objects, folder=folder)
    path = folder / "kernel.elf"
    with path.open("rb") as file:
        elf = ELFFile(file)
        tables = [section for section in elf.iter_sections() if isinstance(section, SymbolTableSection)]
        symbols = {symbol.name: symbol["st_value"] for table in tables for symbol in table.iter_symbols()}
        text = elf.get_section_by_name(".text")
        return Kernel(path, symbols, numbers, text["sh_addr"], text.data())


def build_rom(folder: Path, kernel: Kernel) -> Path:
    """The ROM that puts `kernel` into RAM and starts it."""
    _run("objcopy", "-O", "binary", kernel.path, "kernel.bin", folder=folder)
    size = (folder / "kernel.bin").stat().st_size
    _run("as", "--32", "--defsym", f"KERNEL_SIZE={size}", "--defsym", f"ENTRY={kernel.symbols['_start']}",
         "-o", "rom.o", "rom.s", folder=_rom_source(folder))
    _run("ld", "-m", "elf_i386", "-T", HERE / "rom.ld", "-o", "rom.elf", "rom.o", folder=folder)
    _run("objcopy", "-O", "binary", "--gap-fill", "0xff", "rom.elf", "rom.bin", folder=folder)
    rom = folder / "rom.bin"
    rom.write_bytes(rom.read_bytes() + b"\xff")
    assert rom.stat().st_size == ROM_SIZE
    return rom


def _rom_source(folder: Path) -> Path:
    (folder / "rom.s").write_text((HERE / "rom.S").read_text().replace(".incbin KERNEL", '.incbin "kernel.bin"'))
    return folder
