"""The catalogue as a table for people: `python -m porter.reference` prints what docs/porting.md holds."""

from __future__ import annotations

from porter.catalogue_model import NO_MACRO, SAME, Form, Row, Slot, Treatment
from porter.catalogue_rows import ROWS

_REGISTERS = {Slot.SREG: "SEG", Slot.CR: "crN", Slot.DR: "drN"}
_SIZES = "bwl"


def _macros(form: Form) -> list[str]:
    names = [_REGISTERS.get(slot, "") for slot in form.slots]
    templates = [form.macro] if form.word in (SAME, NO_MACRO) else [form.macro, form.word]
    return [f"`r3_{template.format(*names, size=f'[{_SIZES}]')}`" for template in templates]


def replacements(row: Row) -> list[str]:
    """The names of the macros that may stand for a row, in backquotes, with SEG, crN, drN and [bwl] for the choices."""
    found = dict.fromkeys(macro for form in row.forms for macro in _macros(form))
    if row.string:
        found |= dict.fromkeys(macro.replace("r3_", "r3_rep_") for macro in [*found])
    return list(found)


def table() -> str:
    """A Markdown table, one line for each row of the catalogue."""
    lines = ["| class | instruction | becomes | runs as | left alone, in ring 3 |", "|---|---|---|---|---|"]
    for row in ROWS:
        names = " ".join(f"`{name}`" for name in row.mnemonics)
        if row.key.startswith(("mov-", "push-", "pop-")):
            names += f" ({row.key.partition('-')[2].replace('-', ' ')})"
        if row.key.endswith("-far"):
            names += " (far)"
        cost = row.cost.value if row.treatment is Treatment.PORT else ""
        becomes = ", ".join(replacements(row)) if row.treatment is Treatment.PORT else row.treatment.value
        lines.append(f"| {row.group} | {names} | {becomes} | {cost} | {row.ring3.value}: {row.why} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
