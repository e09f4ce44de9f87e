"""What the porter decides about a sensitive statement. Kept apart so that it can be had without Lark."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from porter.catalogue_model import Row


class Syntax(NamedTuple):
    """How operands are written: GAS's ``.intel_syntax`` or ``.att_syntax``, the latter ``prefix`` unless told.

    `naked`: ``noprefix``, by which registers need no ``%``.
    """

    intel: bool = False
    naked: bool = False


ATT = Syntax()
INTEL = Syntax(intel=True, naked=True)  # what compilers print with -masm=intel

RESOLVE = "r3_resolve"  # the macro that leaves the decision to the assembler: see resolve.py
ANY = "r3_any"  # the same for a line of NASM source whose mnemonic is a macro argument: see nasm_resolve.py
EITHER = "r3_either"  # the macro that stands for that of the syntax which is on where it is assembled


def in_family(macro: str, syntax: Syntax) -> str:
    """The macro that stands for `macro`, whose name begins with ``r3_``, in text of this syntax."""
    return macro.replace("r3_", "r3i_", 1) if syntax.intel else macro


class Part(NamedTuple):
    """A piece of replacement text: literal `text`, or the source between two offsets, kept verbatim."""

    text: str = ""
    start: int = 0
    end: int = 0


class Change(NamedTuple):
    """Replace the source between `start` and `end` by `parts`."""

    start: int
    end: int
    parts: tuple[Part, ...]

    def shifted(self, by: int) -> Change:
        parts = (part if part.text else Part("", part.start + by, part.end + by) for part in self.parts)
        return Change(self.start + by, self.end + by, tuple(parts))


class Sensitive(NamedTuple):
    """A sensitive statement, from its first prefix or mnemonic to its last operand.

    `labels` is the text of the labels in front; `key` is that of the catalogue's row. `changes` are in ascending order,
    and empty where `reason` says why the statement is not ported. `syntax` is the one that the statement is written in.
    """

    start: int
    end: int
    labels: str
    key: str
    macro: str
    changes: tuple[Change, ...] = ()
    reason: str = ""
    syntax: Syntax = ATT

    @property
    def row(self) -> Row:
        """The row of the catalogue."""
        from porter.catalogue import BY_KEY  # most builds never ask

        return BY_KEY[self.key]

    @property
    def is_for_the_assembler(self) -> bool:
        """Whether the replacement is ``r3_resolve``, which leaves the decision to the assembler."""
        return self.macro == in_family(RESOLVE, self.syntax)

    def left(self, reason: str) -> Sensitive:
        """The same, not ported for a reason; with none, itself."""
        return self._replace(macro="", changes=(), reason=reason) if reason else self

    def shifted(self, by: int) -> Sensitive:
        """The same, in a text that has `by` more characters in front."""
        return self._replace(start=self.start + by, end=self.end + by,
                             changes=tuple(change.shifted(by) for change in self.changes))


class Site(NamedTuple):
    """A sensitive statement in its file; `line` and `column` count from 1."""

    file: str
    line: int
    column: int
    text: str
    item: Sensitive

    @property
    def treatment(self) -> str:
        """``ported``, ``left`` (should be, but cannot here), ``stays`` or ``refused``."""
        if self.item.changes:
            return "ported"
        return "left" if self.item.row.treatment.value == "ported" else self.item.row.treatment.value

    @property
    def cost(self) -> str:
        """What the replacement costs each time it runs: see ``catalogue_model.Cost``."""
        return self.item.row.cost.value if self.item.changes else "none"
