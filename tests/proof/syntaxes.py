"""The syntaxes that a kernel's sensitive instructions may be written in: how each is ported and assembled."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from hypercalls import gas
from porter import resolve
from porter.asm_port import port_assembly
from tests.proof.machine import DONE
from tests.proof.sites import Site

END = f".byte 0xcd, {DONE:#x}"  # never ported: whatever the site left, it ends in the same way
SYMBOLS = ".set LAND,0x408000\n.set ARENA,0x400000\n"


@dataclass(frozen=True)
class Syntax:
    """`assemble(folder, sites by number, ported)` makes an object file in `folder` and gives its name."""

    title: str
    assemble: Callable[[Path, Mapping[int, Site], bool], str]


def _gas(name: str, text: str, folder: Path, ported: bool) -> str:
    if ported:
        done = port_assembly(text, f"{name}.s")
        text = f"{gas.macros()}{resolve.macros()}{done.text}"
    (folder / f"{name}.s").write_text(text)
    run = subprocess.run(["as", "--32", "-o", f"{name}.o", f"{name}.s"], cwd=folder, text=True, capture_output=True)
    assert run.returncode == 0, run.stderr
    return f"{name}.o"


def _labelled(number: int, steps: list[str]) -> str:
    """The steps with a label before each, and the end."""
    lines = []
    for at, step in enumerate([*steps, END]):
        lines += [f".globl site_{number}_{at}", f"site_{number}_{at}:", f"\t{step}"]
    return "\n".join(lines) + "\n"


def _att(folder: Path, sites: Mapping[int, Site], ported: bool) -> str:
    text = SYMBOLS + "".join(_labelled(number, list(site.texts["att"])) for number, site in sites.items())
    return _gas("att", text, folder, ported)


SYNTAXES: Mapping[str, Syntax] = {
    "att": Syntax("GAS AT&T", _att),
}
