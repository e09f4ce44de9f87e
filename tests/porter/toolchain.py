"""What several of the porter's tests need: assembling and disassembling i386 code."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from elftools.elf.elffile import ELFFile

from hypercalls import gas, gas_intel
from porter import resolve


def assemble(text: str, directory: Path, name: str = "test") -> Path:
    """Assemble i386 text with GAS. Fails the test with the assembler's messages."""
    target = directory / f"{name}.o"
    run = subprocess.run(["as", "--32", "-o", str(target), "-"], input=text, text=True, capture_output=True)
    assert run.returncode == 0, f"{run.stderr}\nin:\n{text[-2000:]}"
    return target


def disassemble(target: Path) -> list[str]:
    """The instructions of an object's text, without addresses and bytes, blanks as one space."""
    run = subprocess.run(["objdump", "-dw", "--no-show-raw-insn", str(target)], text=True, capture_output=True,
                         check=True)
    lines = re.findall(r"^\s+[0-9a-f]+:\s+(.*?)\s*$", run.stdout, re.MULTILINE)
    return [re.sub(r"\s+", " ", line) for line in lines]


def contents(target: Path) -> tuple[bytes, list[tuple[int, str, str]]]:
    """An object's text: its bytes, and its relocations as offset, type and symbol."""
    with target.open("rb") as file:
        elf = ELFFile(file)
        symbols = elf.get_section_by_name(".symtab")
        relocations = elf.get_section_by_name(".rel.text")
        found = [(entry["r_offset"], entry["r_info_type"], symbols.get_symbol(entry["r_info_sym"]).name)
                 for entry in (relocations.iter_relocations() if relocations else ())]
        return elf.get_section_by_name(".text").data(), found


def with_macros(text: str) -> str:
    """Ported text as the assembler gets it."""
    return gas.macros() + resolve.macros() + text


def with_intel_macros(text: str) -> str:
    """Ported text in which there is Intel syntax."""
    return gas_intel.macros() + resolve.intel_macros() + with_macros(text)
