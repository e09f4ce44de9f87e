"""The report of a dead guest, with names: backtrace, stack, last hypercalls."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hypercalls import by_name
from hypercalls.gas import gate_address
from hypervisor.domain import Domain, DomainConfig
from hypervisor.memory_map import MIB
from hypervisor.outcome import Ending
from hypervisor.report import crash_report
from native.build import compiler
from tests.hypervisor.test_domain import Transcript

pytestmark = pytest.mark.usefixtures("monitor")

SOURCE = """
.globl _start
.type outer, @function
.type inner, @function
.text
.long 0x1BADB002, 0, -0x1BADB002
_start: mov $stack, %esp
    xor %ebp, %ebp
    call outer
outer: push %ebp
    mov %esp, %ebp
    call inner
.size outer, . - outer
inner: push %ebp
    mov %esp, %ebp
    call *%cs:{null}
    movl $0x12345678, %eax
    {death}
.size inner, . - inner
.bss
.skip 4096
stack:
"""

PAGING = """
    movl $directory + 0x83, directory   # a 4 MiB page for the first 4 MiB, present and writable
    andl $0xffc00083, directory
    mov %cr4, %eax; or $0x10, %eax; mov %eax, %cr4
    mov $directory, %eax; mov %eax, %cr3
    mov %cr0, %eax; or $0x80000000, %eax; mov %eax, %cr0
    mov $0x12345678, %eax
    cli; hlt
    .bss; .balign 4096; directory: .skip 4096; .text
"""


def report(folder: Path, death: str) -> tuple[Ending, str]:
    source, kernel = folder / "kernel.S", folder / "kernel"
    source.write_text(SOURCE.format(null=f"{gate_address(by_name['null'].number):#x}", death=death))
    flags = ["-m32", "-nostdlib", "-static", "-no-pie", "-Wl,-n,-Ttext=0x100000,--build-id=none"]
    subprocess.run([*compiler(), *flags, "-o", str(kernel), str(source)], check=True, capture_output=True)
    with Domain(DomainConfig(kernel, memory=4 * MIB)) as domain:
        domain.build()
        result = domain.run(Transcript())
        return result.ending, crash_report(domain, result)


def section(text: str, title: str) -> list[str]:
    """The indented lines below `title`."""
    lines = text.splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(title)) + 1
    end = next((number for number in range(start, len(lines)) if not lines[number].startswith("  ")), len(lines))
    return lines[start:end]


@pytest.mark.parametrize(
    ("death", "ending"), [("cli; hlt", Ending.DEAD_HALT), ("ud2", Ending.TRIPLE_FAULT), (PAGING, Ending.DEAD_HALT)]
)
def test_the_report_names_the_guilty(tmp_path: Path, death: str, ending: Ending) -> None:
    ended, text = report(tmp_path, death)
    assert ended is ending, text
    names = [line.split()[1].partition("+")[0] for line in section(text, "backtrace")]
    assert names[:3] == ["inner", "outer", "outer"] or names[:3] == ["inner", "outer", "_start"], text
    assert "null" in section(text, "last")[-1] and "inner+" in section(text, "last")[-1]
    assert any("outer+" in line for line in section(text, "stack"))
    assert "eax 12345678" in text
    assert section(text, "counters")[0].startswith("  hypercalls  ")


def test_last_words_on_the_screen_are_shown(tmp_path: Path) -> None:
    write = "".join(f"movb ${ord(letter)}, 0xb8000+{160 + 2 * at};" for at, letter in enumerate("panic: no root"))
    _, text = report(tmp_path, write + "cli; hlt")
    assert section(text, "end of the VGA screen") == ["  panic: no root"]


def test_a_guest_without_a_stack_still_has_a_report(tmp_path: Path) -> None:
    _, text = report(tmp_path, "mov $0xfffffff0, %esp; mov $0xdead0000, %ebp; ud2")
    assert section(text, "stack") == ["  none"]
    assert len(section(text, "backtrace")) == 1


def test_virtual_8086_mode_is_said_to_be_absent(tmp_path: Path) -> None:
    """A kernel that calls its BIOS dies of #GP, somewhere else; the report has the reason."""
    _, text = report(tmp_path, "pushl $0x20002; pushl $0; pushl $0; iretl")
    assert "  probed, absent: virtual-8086 mode, 1 times (refused with #GP or #TS)" in section(text, "counters")
