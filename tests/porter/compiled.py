"""Compiles small i386 programs for the tests of ``ring3 check`` and reads them with objdump."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

_FLAGS = ["-m32", "-ffreestanding", "-fno-pie", "-fno-stack-protector", "-fcf-protection=none", "-O1"]

# objdump's spelling of the sensitive instructions: an oracle that shares nothing with capstone.
_MNEMONIC = re.compile(
    r"(cli|sti|hlt|pushf[wl]?|popf[wl]?|in|ins[bwl]?|out|outs[bwl]?|clts|lmsw|smsw[wl]?|monitor|mwait"
    r"|[ls][gi]dt[wl]?|[ls]ldt|ltr|str|lar|lsl|ver[rw]|arpl|l[defgs]s|l(jmp|call|ret)[wl]?|iret[wl]?"
    r"|int|int1|int3|into|bound|sys(enter|exit|call|ret)l?|invlpg|invpcid|(wb)?invd|(rd|wr)msr|rdpmc|cpuid"
    r"|rdtscp?|x[sg]etbv|stac|clac|ud[012]|vm(m?call|run|xoff)|rsm)"
)
_REGISTER = re.compile(r"%([cdefgs]s|cr\d|db\d)(?![:\w])")
_PREFIX = re.compile(r"^((rep[nz]*|repnz|lock|data16|addr16|[cdefgs]s) +)+")


def run(*command: str, folder: Path) -> None:
    """Run a build tool; the test fails with its message if it does."""
    subprocess.run(command, cwd=folder, check=True)


def compile_object(folder: Path, source: str, *flags: str, name: str = "part.S") -> Path:
    """Compile or assemble `source` (by the suffix of `name`) to an object file."""
    path = folder / name
    path.write_text(source)
    target = path.with_suffix(".o")
    run("gcc", *_FLAGS, *flags, "-c", path.name, "-o", target.name, folder=folder)
    return target


def link(folder: Path, objects: list[Path], *flags: str, script: str | None = None) -> Path:
    """Link at 0x100000 with entry `start`, or by a linker script."""
    target = folder / "kernel.elf"
    layout = ["-Ttext=0x100000", "-e", "start"]
    if script is not None:
        (folder / "link.ld").write_text(script)
        layout = ["-T", str(folder / "link.ld")]
    options = ["-m", "elf_i386", "-z", "noexecstack", *layout, *flags]
    run("ld", *options, *map(str, objects), "-o", str(target), folder=folder)
    return target


def kernel(folder: Path, source: str, *flags: str, name: str = "part.S", script: str | None = None) -> Path:
    """Compile and link one source file."""
    return link(folder, [compile_object(folder, source, *flags, name=name)], script=script)


def address_of(path: Path, symbol: str) -> int:
    """Value of a symbol by nm."""
    for line in subprocess.run(["nm", path], capture_output=True, text=True, check=True).stdout.splitlines():
        fields = line.split()
        if fields[-1] == symbol:
            return int(fields[0], 16)
    raise KeyError(symbol)


def objdump_sites(path: Path) -> set[tuple[int, str]]:
    """Address and bytes (hex) of every sensitive instruction that ``objdump -d`` shows."""
    listing = subprocess.run(["objdump", "-d", "-w", path], capture_output=True, text=True, check=True).stdout
    sites = set()
    for line in listing.splitlines():
        fields = line.split("\t")
        if len(fields) < 3:
            continue
        text = _PREFIX.sub("", re.sub(r"[<#].*", "", fields[2]).strip())
        moves = text.startswith(("mov", "push", "pop")) and _REGISTER.search(text)
        if moves or _MNEMONIC.fullmatch(text.split()[0]):
            sites.add((int(fields[0].strip(" :"), 16), fields[1].replace(" ", "")))
    return sites
