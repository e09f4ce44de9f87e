"""Statements that are in most kernels, so that the first build need not ask for each of them.

They are the catalogue's own spellings with the operands that compilers and people write: the general registers, and
memory that one of them points to.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from porter.catalogue import SPELLINGS
from porter.catalogue_model import CONTROL_REGISTERS, SEGMENT_REGISTERS, Form, Slot, Treatment

_GENERAL = ("ax", "cx", "dx", "bx")
_LONG, _WORD = tuple(f"%e{name}" for name in _GENERAL), tuple(f"%{name}" for name in _GENERAL)
_CONTROL = (*_LONG, "%esi", "%edi")  # what control registers are read to and written from
_ACCUMULATORS = {"b": ("%al",), "w": ("%ax",), "l": ("%eax",), "": ("%al", "%ax", "%eax")}
_MEMORY = tuple(f"({name})" for name in _LONG)
_IMMEDIATE = ("$0x80", "$128", "$3")
# With the string instructions, what is usually on their line.
_STRINGS = ("rep {}", "rep; {}", "cld; rep {}", "cld; rep; {}")


def _operands(slot: Slot, form: Form, suffix: str) -> tuple[str, ...]:
    """What to write for a slot of a form; nothing for those that are rare."""
    general = {"w": _WORD, "l": _LONG, "b": ()}.get(suffix, _LONG + _WORD) if Slot.CR not in form.slots else _CONTROL
    return {
        Slot.ACC: _ACCUMULATORS[suffix], Slot.PORT: ("%dx",), Slot.RM: general, Slot.REG: general, Slot.MEM: _MEMORY,
        Slot.IMM: _IMMEDIATE, Slot.SREG: tuple(f"%{name}" for name in SEGMENT_REGISTERS),
        Slot.CR: tuple(f"%{name}" for name in CONTROL_REGISTERS),
    }.get(slot, ())


def _is_rare(form: Form) -> bool:
    """Forms with so many combinations, or so seldom used, that they are not worth it."""
    common = {Slot.SREG, Slot.CR, Slot.PORT}
    return len(form.slots) > 2 or (len(form.slots) == 2 and common.isdisjoint(form.slots))


def statements() -> Iterator[str]:
    """Each statement, in AT&T syntax."""
    for name, spelling in SPELLINGS.items():
        for row in spelling.rows:
            if row.treatment is not Treatment.PORT:
                continue
            if row.string and spelling.suffix:
                yield from (text.format(name) for text in _STRINGS)
            for form in row.forms:
                if _is_rare(form):
                    continue
                for operands in product(*(_operands(slot, form, spelling.suffix) for slot in form.slots)):
                    yield from (f"{name} {separator.join(operands)}".rstrip() for separator in (",", ", "))
