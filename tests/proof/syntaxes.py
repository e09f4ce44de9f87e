"""The syntaxes that a kernel's sensitive instructions may be written in: how each is ported and assembled."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from hypercalls import gas, gas_intel
from native.build import compiler
from porter import resolve
from porter.asm_port import port_assembly
from porter.c_port import port_c
from porter.model import ATT
from porter.nasm_program import Program
from porter.nasm_text import macro_text, port_program
from porter.rewrite import Ported
from tests.proof.machine import DONE
from tests.proof.sites import Site

END = f".byte 0xcd, {DONE:#x}"  # never ported: whatever the site left, it ends in the same way


@dataclass(frozen=True)
class Syntax:
    """How assembly is written: a source of sites by number or of one statement, how such a source is ported, and
    how it becomes the object file NAME.o in a folder, ported (with what that needs) or not. `program` is what that
    takes beside the tools that everything here takes.
    """

    title: str
    source: Callable[[Mapping[int, Site]], str]
    statement: Callable[[str], str]
    port: Callable[[str], Ported]
    assemble: Callable[[Path, str, bool], str]
    program: str = ""

    @property
    def missing(self) -> bool:
        """Whether that program is not installed."""
        return bool(self.program) and shutil.which(self.program) is None

    @property
    def marks(self) -> tuple[pytest.MarkDecorator, ...]:
        """For tests that build it."""
        return (pytest.mark.skipif(self.missing, reason=f"{self.program} is not installed"),)

    def build(self, folder: Path, sites: Mapping[int, Site], ported: bool) -> str:
        """Port (or not) and assemble `sites`; gives the name of the object file in `folder`."""
        text = self.source(sites)
        return self.assemble(folder, self.port(text).text if ported else text, ported)


def _run(folder: Path, *command: str) -> None:
    run = subprocess.run(command, cwd=folder, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr


def _labelled(number: int, steps: Sequence[str], export: str = ".globl", end: str = END) -> str:
    """The steps with a label before each, and the end."""
    lines = []
    for at, step in enumerate([*steps, end]):
        lines += [f"{export} site_{number}_{at}", f"site_{number}_{at}:", f"\t{step}"]
    return "\n".join(lines) + "\n"


# --- GAS ---------------------------------------------------------------------------------------------------------

_NAKED = ".intel_syntax noprefix\n"


def _gas(name: str, macros: str) -> Callable[[Path, str, bool], str]:
    def assemble(folder: Path, text: str, ported: bool) -> str:
        (folder / f"{name}.s").write_text(macros + text if ported else text)
        _run(folder, "as", "--32", "-o", f"{name}.o", f"{name}.s")
        return f"{name}.o"

    return assemble


def _gas_source(head: str, syntax: str) -> Callable[[Mapping[int, Site]], str]:
    return lambda sites: head + "".join(_labelled(number, site.texts[syntax]) for number, site in sites.items())


def _port_gas(text: str) -> Ported:
    return port_assembly(text, "sites.s")


# --- NASM --------------------------------------------------------------------------------------------------------

_NASM_END = END.replace(".byte", "db")


def _nasm_source(sites: Mapping[int, Site]) -> str:
    return "".join(_labelled(number, site.texts["nasm"], "global", _NASM_END) for number, site in sites.items())


def _port_nasm(text: str) -> Ported:
    done = port_program(Program("sites.asm", text, "32", lambda _name, _by: None))
    return Ported(done.text(done.program.root), done.sites)


def _assemble_nasm(folder: Path, text: str, ported: bool) -> str:
    (folder / "nasm.asm").write_text(macro_text() + text if ported else text)
    _run(folder, "nasm", "-f", "elf32", "-Werror", "-o", "nasm.o", "nasm.asm")
    return "nasm.o"


# --- C -----------------------------------------------------------------------------------------------------------


def _c_function(number: int, steps: Sequence[str]) -> str:
    """A function with the site in one asm statement; nobody calls it, the machine enters it at the label."""
    operands = ""
    lines = []
    for at, step in enumerate([*steps, END]):
        text, _, mine = step.partition(" ; ")
        operands = operands or mine
        lines += [f".globl site_{number}_{at}", f"site_{number}_{at}:", f"\t{text}"]
    template = "\n".join(f'\t\t"{line}\\n"'.replace("\t\"\t", '\t"\\t').replace('"\t', '"\\t') for line in
                         "\n".join(lines).splitlines())
    outputs, _, inputs = operands.partition(" : ")
    outputs, inputs = outputs.strip().removeprefix(":").strip(), inputs.strip()
    if operands.startswith(": "):
        outputs, inputs = "", operands[2:]
    return (f"void function_{number}(unsigned a, unsigned b, unsigned c, unsigned d, unsigned s)\n{{\n"
            f"\t__asm__ volatile(\n{template}\n\t\t: {outputs} : {inputs} : \"memory\");\n}}\n")


def _c_source(sites: Mapping[int, Site]) -> str:
    return "".join(_c_function(number, site.texts["c"]) for number, site in sites.items())


def _c_statement(text: str) -> str:
    return 'void f(void)\n{\n\t__asm__ volatile("' + text.replace("%", "%%") + '" : : : "memory");\n}\n'


def _port_c(text: str) -> Ported:
    return port_c(text, "sites.c", syntaxes=(ATT,))


def _compile(folder: Path, text: str, ported: bool) -> str:
    if ported:
        text = f'#include "ring3.h"\n{text}'
        (folder / "ring3.h").write_text(gas.c_header() + resolve.c_header())
    (folder / "c.c").write_text(text)
    _run(folder, *compiler(), "-m32", "-O2", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-w", "-c", "c.c")
    return "c.o"


_ATT_MACROS = gas.macros() + resolve.macros()
_INTEL_MACROS = _ATT_MACROS + gas_intel.macros() + resolve.intel_macros()
SYNTAXES: Mapping[str, Syntax] = {
    "att": Syntax("GAS AT&T", _gas_source("", "att"), "\t{}\n".format, _port_gas, _gas("att", _ATT_MACROS)),
    "intel": Syntax("GAS Intel", _gas_source(_NAKED, "intel"), f"{_NAKED}\t{{}}\n".format, _port_gas,
                    _gas("intel", _INTEL_MACROS)),
    "nasm": Syntax("NASM", _nasm_source, "\t{}\n".format, _port_nasm, _assemble_nasm, program="nasm"),
    "c": Syntax("C inline assembly", _c_source, _c_statement, _port_c, _compile),
}
