"""What a site is: a sequence of instructions in every syntax, and the states that it is tried in.

The steps of a site are the places between its instructions that an exception or a single-step trap may point
to. Most sites are one instruction, and one step. The sites themselves are in ``table``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from tests.proof.machine import Devices


class Need(Enum):
    """What a register or a word of memory is to hold, so that the site does more than fault."""

    SELECTOR = auto()  # in the low 16 bits
    POINTER = auto()  # into the arena, at its edges, or an offset in a small segment
    FLAGS = auto()
    PORT = auto()
    SCRATCH = auto()  # the serial port's scratch register
    COUNT = auto()
    CR0 = auto()
    CR3 = auto()
    CR4 = auto()
    DR6 = auto()
    DR7 = auto()
    MSR = auto()
    FAR_STACK = auto()  # away from the stack that the site begins with
    LAND = auto()  # where code waits that ends the site
    ANY = auto()
    ARENA_STACK = auto()
    TABLE_BASE = auto()
    IDT_BASE = auto()
    WHOLE_POINTER = auto()  # to what can be written as a whole, or not at all
    TABLE_POINTER = auto()
    BYTE_PORT = auto()
    TABLE_LIMIT = auto()
    CODE = auto()  # a selector that is often one of code
    RETURN_STACK = auto()  # a selector for the stack of an outer ring
    STACK_SELECTOR = auto()  # as SELECTOR, but none with which ring 0 could not be interrupted
    GOOD_STACK_SELECTOR = auto()
    ZERO = auto()
    STRING = auto()  # as POINTER, where words may follow downwards
    FPU_IMAGE = auto()  # where 512 bytes may be, most often aligned as fxsave asks
    MXCSR = auto()  # often one without reserved bits


MEMORY = "memory"  # in `ignore`: whatever the site leaves there

@dataclass(frozen=True)
class Site:
    """`row` is the catalogue's row that the site is an example of; `texts` are the steps by syntax, where it has it.

    `needs` are by register, `words` by "register+offset" of what lies there. `rings` are those to try it in;
    `stack_edges`: with the stack at the edges of pages and segments, in ring 3. `masked` keeps interrupts off
    at the start. `flat`, `user_data`: data segments are flat, or the user's in ring 0, too. `half_push`: a
    selector was pushed, of which the processor may write 16 bits or 32 (SDM vol. 2, PUSH). `cr2_page`: which part
    of the operand is accessed first is not said, so only the page of a page fault's address is compared.
    `ignore` names what the site leaves undefined (see ``compare``), MEMORY included, `undefined` bits of it,
    `clear_flags` what EFLAGS must not have.
    """

    key: str
    row: str
    texts: Mapping[str, tuple[str, ...]]
    needs: Mapping[str, Need] = field(default_factory=dict)
    words: Mapping[str, Need] = field(default_factory=dict)
    rings: tuple[int, ...] = (0, 0, 3)
    stack_edges: bool = False
    devices: tuple[Devices, ...] = (Devices.NONE,)
    masked: bool = False
    trap_flag: bool = True
    flat: bool = False
    user_data: bool = False
    half_push: bool = False
    cr2_page: bool = False
    ignore: frozenset[str] = frozenset()
    undefined: Mapping[str, int] = field(default_factory=dict)
    clear_flags: int = 0

    @property
    def steps(self) -> tuple[str, ...]:
        """The steps in AT&T syntax."""
        return self.texts["att"]
