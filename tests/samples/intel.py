"""The sample kernels' C sources with inline assembly in Intel syntax, or in both."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from tests.samples.kernels import SOURCES

SAMPLES = ("hello", "preempt")
"""Those whose own inline assembly is known here."""

# Each string of the sources that holds an instruction whose operands the syntaxes write in different order.
INTEL = {
    '"outb %0, %1"': '"out %1, %0"',
    '"outw %0, %1"': '"out %1, %0"',
    '"inb %1, %0"': '"in %0, %1"',
    '"pushfl; popl %0; cli"': '"pushfd; pop %0; cli"',
    '"pushl %0; popfl"': '"push %0; popfd"',
    '"ljmp %1, $1f\\n"': '"jmp %1:1f\\n"',
    '"movw %%cs, %0"': '"mov %0, cs"',
    '"movw %w2, %%ds\\n\\t"': '"mov ds, %w2\\n\\t"',
    '"movw %w2, %%es\\n\\t"': '"mov es, %w2\\n\\t"',
    '"movw %w2, %%fs\\n\\t"': '"mov fs, %w2\\n\\t"',
    '"movw %w2, %%gs\\n\\t"': '"mov gs, %w2\\n\\t"',
    '"movw %w2, %%ss"': '"mov ss, %w2"',
}
_END = re.compile(r'((?:\\n|\\t)*)"\Z')


def _both(att: str, intel: str) -> str:
    """A string with alternatives, which compilers choose of by ``-masm``."""
    ending = _END.search(att)
    assert ending
    return f'"{{{_END.sub("", att)[1:]}|{_END.sub("", intel)[1:]}}}{ending[1]}"'


def copy(out: Path, both: bool) -> Path:
    """Copy the samples into the new folder `out`, with their templates for Intel syntax, or for both. Returns it."""
    shutil.copytree(SOURCES, out)
    used: set[str] = set()
    for path in [*out.rglob("*.c"), *out.rglob("*.h")]:
        text = path.read_text()
        for att, intel in INTEL.items():
            if att in text:
                used.add(att)
                text = text.replace(att, _both(att, intel) if both else intel)
        path.write_text(text)
    assert used == set(INTEL), "the sample kernels have changed"
    return out
