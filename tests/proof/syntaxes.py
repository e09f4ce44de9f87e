"""The syntaxes that a kernel's sensitive instructions may be written in: how each is ported and assembled."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hypercalls import gas, gas_intel
from native.build import compiler
from porter import resolve
from porter.asm_port import port_assembly
from porter.c_port import port_c
from porter.model import ATT
from tests.proof.machine import DONE
from tests.proof.sites import Site

END = f".byte 0xcd, {DONE:#x}"  # never ported: whatever the site left, it ends in the same way


@dataclass(frozen=True)
class Syntax:
    """`assemble(folder, sites by number, ported)` makes an object file in `folder` and gives its name."""

    title: str
    assemble: Callable[[Path, Mapping[int, Site], bool], str]


def _assemble(name: str, text: str, folder: Path) -> str:
    (folder / f"{name}.s").write_text(text)
    run = subprocess.run(["as", "--32", "-o", f"{name}.o", f"{name}.s"], cwd=folder, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    return f"{name}.o"


def _labelled(number: int, steps: Sequence[str]) -> str:
    """The steps with a label before each, and the end."""
    lines = []
    for at, step in enumerate([*steps, END]):
        lines += [f".globl site_{number}_{at}", f"site_{number}_{at}:", f"\t{step}"]
    return "\n".join(lines) + "\n"


def _att(folder: Path, sites: Mapping[int, Site], ported: bool) -> str:
    text = "".join(_labelled(number, site.texts["att"]) for number, site in sites.items())
    if ported:
        text = gas.macros() + resolve.macros() + port_assembly(text, "att.s").text
    return _assemble("att", text, folder)


def _intel(folder: Path, sites: Mapping[int, Site], ported: bool) -> str:
    text = ".intel_syntax noprefix\n" + "".join(
        _labelled(number, site.texts["intel"]) for number, site in sites.items())
    if ported:
        text = (gas.macros() + resolve.macros() + gas_intel.macros() + resolve.intel_macros()
                + port_assembly(text, "intel.s").text)
    return _assemble("intel", text, folder)


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


def _c(folder: Path, sites: Mapping[int, Site], ported: bool) -> str:
    text = "".join(_c_function(number, site.texts["c"]) for number, site in sites.items())
    if ported:
        text = '#include "ring3.h"\n' + port_c(text, "c.c", syntaxes=(ATT,)).text
        (folder / "ring3.h").write_text(gas.c_header() + resolve.c_header())
    (folder / "c.c").write_text(text)
    run = subprocess.run([*compiler(), "-m32", "-O2", "-ffreestanding", "-fno-pic", "-fno-stack-protector", "-w",
                          "-c", "c.c"], cwd=folder, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    return "c.o"


SYNTAXES: Mapping[str, Syntax] = {
    "att": Syntax("GAS AT&T", _att),
    "intel": Syntax("GAS Intel", _intel),
    "c": Syntax("C inline assembly", _c),
}
