"""Random changes of page tables, each flushed as the SDM demands, and accesses between them: the guest must
see exactly what a plain walk of its tables says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from hypervisor.domain import Domain, DomainConfig
from hypervisor.outcome import Ending
from tests.hypervisor.engine import guests
from tests.hypervisor.hostile.processes import limited

STEPS = 250
SECONDS = 10.0
PRESENT, WRITE, USER, LARGE, GLOBAL = 1, 2, 4, 0x80, 0x100
NO_TRAP, SOFTWARE, PAGE_FAULT = 0xFFFF_FFFF, 0x40, 14

DIRECTORIES = (0x40_0000, 0x40_1000, 0x40_2000)
TABLES = (0x40_4000, 0x40_5000, 0x40_6000, 0x40_7000)
FRAMES = tuple(range(0x80_0000, 0x80_8000, 0x1000))  # also within a large page
LARGE_FRAME = 0x80_0000
REGIONS = (0x02, 0x03, 0x100, 0x340, 0x3FC)  # page directory entries that change
PAGES = tuple(range(8))
RESULTS = 0x50_0000  # words: EAX, vector, error code

START = f"""
.macro probe instruction:vararg
	movl %esp,trap_esp
	movl $1f,trap_resume
	movl $-1,trap_vector
	movl $0,trap_error
	movl $0,%eax
	\\instruction
1:	movl $0,trap_resume
	call note
.endm
.macro user_probe instruction:vararg
	movl %esp,trap_esp
	movl $1f,trap_resume
	movl $0,trap_error
	user $2f
2:	movl $0,%eax
	\\instruction
	r3_int $0x40
1:	movl $0,trap_resume
	call note
.endm
.macro put address:req, value:req
	movl $\\value,\\address
.endm
.macro load_cr3 directory:req
	movl $\\directory,%ecx
	r3_write_cr3 %ecx
.endm
.macro protect value:req
	movl $\\value,%ecx
	r3_write_cr0 %ecx
.endm
test:	movl ${DIRECTORIES[0]:#x},%edi
	xorl %eax,%eax
	movl $8*1024,%ecx
	cld
	rep stosl
	.irp directory,{",".join(f"{at:#x}" for at in DIRECTORIES)}
	movl $0x87,\\directory
	movl $0x400087,\\directory+4
	.endr
	.irp frame,{",".join(f"{at:#x}" for at in FRAMES)}
	movl $\\frame,\\frame
	.endr
	r3_read_cr4 %eax
	orl $0x90,%eax
	r3_write_cr4 %eax
	load_cr3 {DIRECTORIES[0]:#x}
	protect 0x80000011
"""
END = f"""
	finish
note:	movl results,%edi
	movl %eax,(%edi)
	movl trap_vector,%eax
	movl %eax,4(%edi)
	movl trap_error,%eax
	movl %eax,8(%edi)
	addl $12,results
	ret
	.data
results: .long {RESULTS:#x}
	.text
"""


@dataclass
class Model:
    """The guest's tables and frames, the code that makes them so, and what each access must give."""

    rng: Random
    code: list[str] = field(default_factory=list)
    expected: list[tuple[int, int, int]] = field(default_factory=list)
    entries: dict[int, int] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=lambda: {frame: frame for frame in FRAMES})
    directory: int = DIRECTORIES[0]
    protect: bool = False

    def put(self, address: int, value: int) -> None:
        self.entries[address] = value
        self.code.append(f"put {address:#x},{value:#x}")

    def walk(self, linear: int, write: bool, user: bool) -> tuple[int, int]:
        """Physical address and 0, or 0 and an error code with bit 31 set."""
        error = 1 << 31 | write << 1 | user << 2
        pde = self.entries.get(self.directory + (linear >> 22) * 4, 0)
        if not pde & PRESENT:
            return 0, error
        rights, physical = pde, pde & 0xFFC0_0000 | linear & 0x3F_FFFF
        if not pde & LARGE:
            pte = self.entries.get((pde & ~0xFFF) + (linear >> 12 & 0x3FF) * 4, 0)
            if not pte & PRESENT:
                return 0, error
            rights, physical = pde & pte, pte & ~0xFFF | linear & 0xFFF
        if (user and not rights & USER) or (write and not rights & WRITE and (user or self.protect)):
            return 0, error | 1
        return physical, 0

    def access(self) -> None:
        """Read or write somewhere, in ring 0 or 3."""
        rng = self.rng
        linear = rng.choice(REGIONS) << 22 | rng.choice(PAGES) << 12
        write, user = rng.random() < 0.4, rng.random() < 0.4
        value = rng.getrandbits(32)
        physical, error = self.walk(linear, write, user)
        instruction = f"movl ${value:#x},{linear:#x}" if write else f"movl {linear:#x},%eax"
        self.code.append(f"{'user_probe' if user else 'probe'} {instruction}")
        if error:
            self.expected.append((0, PAGE_FAULT, error & 7))
            return
        if write:
            self.memory[physical] = value
        self.expected.append((0 if write else self.memory[physical], SOFTWARE if user else NO_TRAP, 0))

    def flush(self, linear: int) -> None:
        """As software must after it took away a translation of the current directory."""
        if self.rng.random() < 0.6:
            self.code.append(f"r3_invlpg {linear:#x}")
        else:
            self.load(self.directory)

    def load(self, directory: int) -> None:
        self.directory = directory
        self.code.append(f"load_cr3 {directory:#x}")

    def change_page(self) -> None:
        """One page table entry; every directory that uses the table sees it."""
        rng = self.rng
        table, page = rng.choice(TABLES), rng.choice(PAGES)
        flags = rng.choice((0, PRESENT, PRESENT | WRITE, PRESENT | USER, PRESENT | WRITE | USER))
        self.put(table + page * 4, rng.choice(FRAMES) | flags if flags else 0)
        for region in REGIONS:
            if self.entries.get(self.directory + region * 4, 0) & ~0xFFF == table:
                self.flush(region << 22 | page << 12)

    def change_region(self) -> None:
        """One page directory entry: another table, a large page, nothing."""
        rng = self.rng
        value = rng.choice((0, LARGE_FRAME | LARGE, *TABLES, *TABLES))
        if value:
            value |= PRESENT | rng.choice((0, WRITE, USER, WRITE | USER, WRITE | USER))
        directory = rng.choice(DIRECTORIES)
        self.put(directory + rng.choice(REGIONS) * 4, value)
        if directory == self.directory:
            self.load(directory)

    def toggle_protection(self) -> None:
        self.protect = not self.protect
        self.code.append(f"protect {0x8001_0011 if self.protect else 0x8000_0011:#x}")

    def make(self) -> str:
        """The guest's program."""
        steps: tuple[tuple[Callable[[], None], int], ...] = (
            (self.access, 60), (self.change_page, 20), (self.change_region, 6),
            (lambda: self.load(self.rng.choice(DIRECTORIES)), 10), (self.toggle_protection, 2),
        )  # fmt: skip
        for step in self.rng.choices([step for step, _ in steps], [weight for _, weight in steps], k=STEPS):
            step()
        return START + "\n".join(self.code) + END


@pytest.mark.parametrize("slide", [False, True], ids=["plain", "slide"])
@pytest.mark.parametrize("seed", range(12))
def test_random_page_tables(seed: int, slide: bool, assembled: Callable[[str, bool], Path], monitor: Path) -> None:
    model = Model(Random(seed))
    kernel = assembled(model.make(), True)
    with Domain(DomainConfig(kernel, memory=guests.MEMORY, slide=slide)) as domain:
        domain.build()
        result = limited(SECONDS, domain)
        assert result.ending is Ending.EXIT, result
        data = domain.memory.read(RESULTS, 12 * len(model.expected))
    words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
    found = list(zip(words[::3], words[1::3], words[2::3], strict=True))
    accesses = [line for line in model.code if "probe" in line]
    wrong = [item for item in zip(accesses, found, model.expected, strict=True) if item[1] != item[2]]
    assert not wrong, wrong[0]
