"""What to do about an instruction that is not ported, by why it is not.

A reason that the porter gives may bring its own remedy, behind a colon. The others have theirs here, by words
that the reason has in it; docs/porting.md explains them.
"""

from __future__ import annotations

_NOTHING = "nothing to do: "

# Words of the reason, what to do. The first that fits counts.
_BY_REASON: tuple[tuple[str, str], ...] = (
    ("16-bit code does not run", _NOTHING + "a guest enters at its 32-bit entry point"),
    ("64-bit code does not run", "build the kernel for i386"),
    ("that only 16-bit code leads to", _NOTHING + "it cannot be reached; export its label if 32-bit code enters it"),
    ("names no i386 register", _NOTHING + "where it is another processor's; otherwise build it with ring3's "
                               "wrapper"),
    ("operands are written in a C macro", "build with `ring3 cc`, which sees the macro expanded"),
    ("C macro that is not known", "build with `ring3 cc`, which sees the macro expanded"),
    ("16-bit addressing", "use the 32-bit form: %esi and %edi instead of %si and %di"),
    ("16-bit operand size", "use the 32-bit form, without the w suffix or the data16 prefix"),
    ("lock makes it", "take the lock prefix away"),
)
_BY_TREATMENT = {
    "left": "write it in one of the forms of the table in docs/porting.md, or let it trap",
    "stays": _NOTHING + "left alone it does what the guest expects",
    "refused": "build the kernel for i386",
    "unreached": "if this is code, give it a function symbol (.type NAME,@function); if it is data, nothing",
}
_BINARY = {
    "left": _NOTHING + "it traps and is emulated",
    "refused": "if this is data, nothing; if it is code, port a kernel with symbols, or from its source",
}
_COMPILED = "build with `ring3 cc` or port the source; bytes written as data must be written as instructions"


def remedy(treatment: str, reason: str, *, compiled: bool, binary: bool = False) -> str:
    """What the author of an instruction can do; '' for one that is ported. `compiled`: it was found by a check, or
    (`binary`) by a port of what is compiled."""
    if treatment == "ported":
        return ""
    if binary and treatment in _BINARY:
        return _BINARY[treatment]
    if compiled:
        return _COMPILED if treatment == "left" else _BY_TREATMENT[treatment]
    for words, what in _BY_REASON:
        if words in reason:
            return what
    _, colon, own = reason.partition(": ")
    return own if colon and treatment == "left" else _BY_TREATMENT[treatment]
