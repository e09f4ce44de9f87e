"""Random changes of page tables, each flushed as the SDM demands, and accesses between them: the guest must
see exactly what a plain walk of its tables says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pytest

from hypercalls.layout import HOLE
from hypervisor.domain import Domain, DomainConfig
from hypervisor.outcome import Ending
from tests.hypervisor.engine import guests
from tests.hypervisor.hostile.processes import limited

STEPS = 250
SECONDS = 10.0
PRESENT, WRITE, USER, LARGE, NO_EXECUTE, FETCH = 1, 2, 4, 0x80, 1 << 63, 0x10
ACCESSED, DIRTY = 0x20, 0x40
NO_TRAP, SOFTWARE, PAGE_FAULT = 0xFFFF_FFFF, 0x40, 14

TABLES = (0x40_4000, 0x40_5000, 0x40_6000, 0x40_7000)
FRAMES = tuple(range(0x80_0000, 0x80_8000, 0x1000))  # also within a large page
LARGE_FRAME = 0x80_0000
PAGES = tuple(range(8))
RESULTS = 0x50_0000  # words: EAX, vector, error code
RETURN = 0xC3


@dataclass(frozen=True)
class Format:
    """Where tables lie, and how wide their entries are."""

    name: str
    directories: tuple[int, ...]  # values of CR3
    regions: tuple[int, ...]  # page directory entries that change
    shift: int  # pages of a region, as a power of two
    entry_size: int
    fixed: tuple[tuple[int, int], ...]  # entries that do not change: address, value
    cr4: int

    def directory_entry(self, directory: int, region: int) -> int:
        """Address of the directory entry of `region`."""
        if self.entry_size == 4:
            return directory + region * 4
        return 0x41_0000 + directory % 0x1000 * 0x200 + region * 8  # as `_wide` lays them out


def _wide() -> Format:
    """Three tables of four pointers in one page; each pointer has its directory."""
    pointers = tuple(0x40_3000 + 0x20 * number for number in range(3))
    fixed = [(table + 8 * i, 0x41_0000 + table % 0x1000 * 0x200 + i * 0x1000 | PRESENT)
             for table in pointers for i in range(4)]  # fmt: skip
    fixed += [(0x41_0000 + table % 0x1000 * 0x200 + 8 * i, i << 21 | LARGE | USER | WRITE | PRESENT)
              for table in pointers for i in range(4)]  # fmt: skip
    return Format("pae", pointers, (0x04, 0x07, 0x200, 0x680, 0x7F8), 9, 8, tuple(fixed), 0xA0)


NARROW = Format(
    "two-level", (0x40_0000, 0x40_1000, 0x40_2000), (0x02, 0x03, 0x100, 0x340, 0x3FC), 10, 4,
    tuple((at + 4 * i, i << 22 | LARGE | USER | WRITE | PRESENT)
          for at in (0x40_0000, 0x40_1000, 0x40_2000) for i in range(2)), 0x90,
)  # fmt: skip
FORMATS = (NARROW, _wide())

PRELUDE = r"""
.macro probe instruction:vararg
	movl %esp,trap_esp
	movl $1f,trap_resume
	movl $-1,trap_vector
	movl $0,trap_error
	movl $0,%eax
	\instruction
1:	movl $0,trap_resume
	call note
.endm
.macro user_probe instruction:vararg
	movl %esp,trap_esp
	movl $1f,trap_resume
	movl $0,trap_error
	user $2f
2:	movl $0,%eax
	\instruction
	r3_int $0x40
1:	movl $0,trap_resume
	call note
.endm
.macro put address:req, value:req
	movl $\value,\address
.endm
.macro load_cr3 directory:req
	movl $\directory,%ecx
	r3_write_cr3 %ecx
.endm
.macro protect value:req
	movl $\value,%ecx
	r3_write_cr0 %ecx
.endm
.macro call_address address:req
	movl $\address,%ecx
	call *%ecx
.endm
test:	movl $0x400000,%edi
	xorl %eax,%eax
	movl $0x20000/4,%ecx
	cld
	rep stosl
"""


def start(form: Format) -> str:
    """Make the tables and turn paging on."""
    lines = [f"put {at:#x},{value:#x}" for at, value in form.fixed]
    lines += [f"put {frame:#x},{frame:#x}\n put {frame + 8:#x},{RETURN:#x}" for frame in FRAMES]
    if form.entry_size == 8:
        lines += ["movl $0xc0000080,%ecx", "movl $0x800,%eax", "xorl %edx,%edx", "r3_wrmsr"]
    lines += [f"movl ${form.cr4:#x},%eax", "r3_write_cr4 %eax", f"load_cr3 {form.directories[0]:#x}"]
    return PRELUDE + "\n".join([*lines, "protect 0x80000011", ""])


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
    form: Format
    code: list[str] = field(default_factory=list)
    expected: list[tuple[int, int, int]] = field(default_factory=list)
    entries: dict[int, int] = field(default_factory=dict)
    memory: dict[int, int] = field(default_factory=lambda: {frame: frame for frame in FRAMES})
    protect: bool = False

    def __post_init__(self) -> None:
        self.directory = self.form.directories[0]

    def put(self, address: int, value: int) -> None:
        self.entries[address] = value
        self.code.append(f"put {address:#x},{value & 0xFFFF_FFFF:#x}")
        if self.form.entry_size == 8:
            self.code.append(f"put {address + 4:#x},{value >> 32:#x}")

    def walk(self, linear: int, write: bool, user: bool, fetch: bool) -> tuple[int, int]:
        """Physical address and 0, or 0 and an error code with bit 31 set."""
        form = self.form
        error = 1 << 31 | write << 1 | user << 2 | (FETCH if fetch and form.entry_size == 8 else 0)
        slot = used = form.directory_entry(self.directory, linear >> 12 >> form.shift)
        pde = self.entries.get(slot, 0)
        if not pde & PRESENT:
            return 0, error
        offset = (1 << form.shift + 12) - 1
        rights, execute, physical = pde, not pde & NO_EXECUTE, pde & 0xFFFF_FFFF & ~offset | linear & offset
        if not pde & LARGE:
            index = linear >> 12 & (1 << form.shift) - 1
            used = (pde & 0xFFFF_F000) + index * form.entry_size
            pte = self.entries.get(used, 0)
            if not pte & PRESENT:
                return 0, error
            rights, execute = pde & pte, execute and not pte & NO_EXECUTE
            physical = pte & 0xFFFF_F000 | linear & 0xFFF
        if (user and not rights & USER) or (write and not rights & WRITE and (user or self.protect)):
            return 0, error | 1
        if fetch and not execute:
            return 0, error | 1
        self.entries[slot] |= ACCESSED
        self.entries[used] |= ACCESSED | (DIRTY if write else 0)
        return physical, 0

    def access(self) -> None:
        """Read, write or fetch somewhere, in ring 0 or 3."""
        rng = self.rng
        linear = rng.choice(self.form.regions) << 12 + self.form.shift | rng.choice(PAGES) << 12
        kind, user = rng.choices(("read", "write", "fetch"), (4, 4, 2))[0], rng.random() < 0.4
        if linear > HOLE:
            user = user and kind != "fetch"  # user code cannot run behind what belongs to ring3
        write, fetch = kind == "write", kind == "fetch"
        value = rng.getrandbits(32)
        physical, error = self.walk(linear, write, user, fetch)
        instruction = {"write": f"movl ${value:#x},{linear:#x}", "read": f"movl {linear:#x},%eax",
                       "fetch": f"call_address {linear + 8:#x}"}[kind]  # fmt: skip
        self.code.append(f"{'user_probe' if user else 'probe'} {instruction}")
        if error:
            self.expected.append((0, PAGE_FAULT, error & 0x1F))
            return
        if fetch:
            self.expected.append((0, SOFTWARE if user else NO_TRAP, 0))
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
        self.put(table + page * self.form.entry_size, self.no_execute(rng.choice(FRAMES) | flags) if flags else 0)
        for region in self.form.regions:
            if self.entries.get(self.form.directory_entry(self.directory, region), 0) & 0xFFFF_F000 == table:
                self.flush(region << 12 + self.form.shift | page << 12)

    def change_region(self) -> None:
        """One page directory entry: another table, a large page, nothing."""
        rng = self.rng
        value = rng.choice((0, LARGE_FRAME | LARGE, *TABLES, *TABLES))
        if value:
            value = self.no_execute(value | PRESENT | rng.choice((0, WRITE, USER, WRITE | USER, WRITE | USER)))
        directory = rng.choice(self.form.directories)
        self.put(self.form.directory_entry(directory, rng.choice(self.form.regions)), value)
        if directory == self.directory:
            self.load(directory)

    def no_execute(self, entry: int) -> int:
        """Sometimes with the bit that only wide entries have."""
        return entry | NO_EXECUTE if self.form.entry_size == 8 and self.rng.random() < 0.2 else entry

    def toggle_protection(self) -> None:
        self.protect = not self.protect
        self.code.append(f"protect {0x8001_0011 if self.protect else 0x8000_0011:#x}")

    def make(self) -> str:
        """The guest's program."""
        steps: tuple[tuple[Callable[[], None], int], ...] = (
            (self.access, 60), (self.change_page, 20), (self.change_region, 6),
            (lambda: self.load(self.rng.choice(self.form.directories)), 10), (self.toggle_protection, 2),
        )  # fmt: skip
        for step in self.rng.choices([step for step, _ in steps], [weight for _, weight in steps], k=STEPS):
            step()
        return start(self.form) + "\n".join(self.code) + END


@pytest.mark.parametrize("exact", [False, True], ids=["early", "exact"])
@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
@pytest.mark.parametrize("slide", [False, True], ids=["plain", "slide"])
@pytest.mark.parametrize("seed", range(12))
def test_random_page_tables(
    form: Format, seed: int, slide: bool, exact: bool, assembled: Callable[[str, bool], Path], monitor: Path
) -> None:
    model = Model(Random(seed), form)
    kernel = assembled(model.make(), True)
    with Domain(DomainConfig(kernel, memory=guests.MEMORY, slide=slide, exact_dirty=exact)) as domain:
        domain.build()
        result = limited(SECONDS, domain)
        assert result.ending is Ending.EXIT, result
        data = domain.memory.read(RESULTS, 12 * len(model.expected))
        entries = {at: int.from_bytes(domain.memory.read(at, form.entry_size), "little") for at in model.entries}
    words = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
    found = list(zip(words[::3], words[1::3], words[2::3], strict=True))
    accesses = [line for line in model.code if "probe" in line]
    wrong = [item for item in zip(accesses, found, model.expected, strict=True) if item[1] != item[2]]
    assert not wrong, wrong[0]
    # Accessed and dirty bits: exact, or early.
    bits = ACCESSED | DIRTY
    for at, value in model.entries.items():
        found_value = entries[at]
        assert (found_value ^ value) & ~bits == 0 and (found_value & value & bits) == value & bits, hex(at)
        assert not exact or found_value == value, (hex(at), hex(found_value), hex(value))
