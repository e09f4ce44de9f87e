"""How a C program of ours is compiled. The wheel, ``make`` and the tests all come here."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

COMPILERS = ("cc", "gcc", "clang")


class BuildError(Exception):
    """A program cannot be compiled. ``str()`` is one line that names what is wrong and the remedy."""


@dataclass(frozen=True)
class Program:
    """One program: what people call it, and the file of Python that holds its flags.

    All C and assembly files in `sources` belong to it. `preferred` are flags to go without where they do not work.
    """

    name: str
    recipe: Path
    sources: Path
    flags: Sequence[str]
    preferred: Sequence[str] = ()

    def inputs(self) -> list[Path]:
        """Every file that the program is made from, the recipe included."""
        return [path for pattern in ("*.c", "*.S", "*.h", "*.ld") for path in sorted(self.sources.glob(pattern))] + [
            self.recipe]

    def stale(self, out: Path) -> bool:
        """Whether ``out`` is missing or older than anything that it is made from."""
        return not out.exists() or any(path.stat().st_mtime >= out.stat().st_mtime for path in self.inputs())

    def build(self, out: Path) -> Path:
        """Compile to ``out`` unless that is up to date; returns it.

        The file appears whole or not at all. Raises BuildError without a compiler, on a host that is not x86-64,
        and where the compiler fails (its own messages go to standard error).
        """
        if not self.stale(out):
            return out
        if platform.machine() not in ("x86_64", "AMD64"):
            raise BuildError(f"cannot build {self.name} for {platform.machine()}: ring3 runs on x86-64 Linux hosts "
                             "only")
        out.parent.mkdir(parents=True, exist_ok=True)
        sources = [str(path) for path in self.inputs() if path.suffix in (".c", ".S")]
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".build-") as scratch:
            result = Path(scratch) / out.name
            command = [*compiler(), *self.flags, "-o", str(result), *sources]
            quiet = [*command, *self.preferred]
            if not self.preferred or subprocess.run(quiet, stdin=subprocess.DEVNULL, capture_output=True).returncode:
                run = subprocess.run(command, stdin=subprocess.DEVNULL)
                if run.returncode:
                    raise BuildError(f"compiling {self.name} failed (exit status {run.returncode}): "
                                     f"{shlex.join(command)}")
            os.replace(result, out)
        return out


def compiler() -> list[str]:
    """The C compiler's command: ``$CC`` where set, else the first of cc, gcc and clang on the path.

    Raises BuildError where there is none.
    """
    wanted = shlex.split(os.environ.get("CC", ""))
    for command in [wanted] if wanted else [[name] for name in COMPILERS]:
        if shutil.which(command[0]):
            return command
    looked_for = f"$CC ({wanted[0]})" if wanted else ", ".join(COMPILERS)
    raise BuildError(f"no C compiler found (looked for {looked_for}): programs of ring3 are compiled during "
                     "installation; install one (Debian: apt-get install gcc) or name it in CC")
