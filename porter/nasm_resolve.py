"""Macros for what only NASM gets to know: whether an operand is a sensitive register, a mnemonic, the code size.

``mov ax, %1`` is sensitive for some arguments of the macro that it is in, and ordinary for others: it becomes
``r3_resolve_mov ax, %1``. ``%1`` alone may be a sensitive instruction: ``r3_any %1``. Macros and what they are written
with may serve 16-bit code as well: ``r3_by_bits {cli}, {r3_cli}``. And since ``times`` repeats instructions only,
``times 3 cli`` is ``r3_times 3, r3_cli``.
"""

from __future__ import annotations

from collections.abc import Iterator

from porter.catalogue import BY_KEY, SPELLINGS
from porter.catalogue_model import Treatment
from porter.model import ANY, RESOLVE
from porter.nasm_classify import BY_BITS, MNEMONICS, TIMES, macro_name
from porter.resolve import targets

_DO, _END = f"{ANY}_do", f"{ANY}_end"
# Mnemonics whose macros do not take the operands as NASM has them: parameters and body of a macro in between.
_BETWEEN = {
    "arpl": ("2", "r3_arpl %2, %1"),
    "retf": ("0-1", "%if %0\n\tr3_lret_n %1\n%else\n\tr3_lret\n%endif"),
    "monitor": ("0-3", "r3_monitor"),
    "mwait": ("0-2", "r3_mwait"),
}
_BRANCHES = frozenset({"jmp", "call"})


def _macro(name: str, count: str, *lines: str) -> str:
    body = "\n".join(f"\t{line}" for text in lines for line in text.splitlines())
    return f"%macro {name} {count}.nolist\n{body}\n%endmacro\n"


def _chosen(choices: Iterator[tuple[str, str, str]], otherwise: str) -> str:
    """The text that takes the first choice whose parameter is its register."""
    lines, keyword = [], "%ifidni"
    for parameter, register, action in choices:
        lines += [f"{keyword} {parameter},{register}", action]
        keyword = "%elifidni"
    return "\n".join([*lines, "%else", otherwise, "%endif"])


def _mov() -> Iterator[tuple[str, str, str]]:
    for register, macro in targets(("mov-from-sreg", "mov-from-cr", "mov-from-dr"), 0):
        yield "%2", register, f"{macro} %1"
    for register, macro in targets(("mov-to-sreg", "mov-to-cr", "mov-to-dr"), 1):
        yield "%1", register, f"{macro} %2"


def _stack(mnemonic: str) -> str:
    choices = (("%1", register, macro) for register, macro in targets((f"{mnemonic}-sreg",), 0))
    return _macro(f"{RESOLVE}_{mnemonic}", "1-2", _chosen(choices, f"{mnemonic} %2 %1"))


def _replacements() -> Iterator[tuple[str, str]]:
    """(mnemonic, macro that takes its operands) for all mnemonics that may be sensitive."""
    for name, (mnemonic, suffix) in MNEMONICS.items():
        row = SPELLINGS[mnemonic + suffix].rows[0]
        if name in _BETWEEN:
            yield name, f"{ANY}_{name}"
        elif mnemonic in ("mov", "push", "pop"):
            yield name, f"{RESOLVE}_{mnemonic}"
        elif row.treatment is Treatment.PORT and mnemonic not in _BRANCHES:
            yield name, f"r3_{macro_name(BY_KEY[row.key].forms[0], (), suffix)}"


def macros() -> str:
    """The text that follows ``ring3.nasm``'s other macros."""
    replacements = list(_replacements())
    text = "".join((
        _macro(f"{RESOLVE}_mov", "2-4", _chosen(_mov(), "mov %3 %1,%4 %2")), _stack("push"), _stack("pop"),
        _macro(TIMES, "2+", "%rep %1\n%2\n%endrep"),
        _macro(BY_BITS, "2", "%if __BITS__ == 32\n%2\n%else\n%1\n%endif"),
        *(_macro(f"{ANY}_{name}", count, body) for name, (count, body) in _BETWEEN.items()),
        # While the line is expanded its mnemonic is a macro, which is gone again before that macro's own code.
        _macro(_END, "0", *(f"%undef {name}" for name, _ in replacements)),
        _macro(_DO, "1+", _END, "%1"),
        _macro(ANY, "1+", *(f"%idefine {name} {_DO} {macro}" for name, macro in replacements), "%1", _END),
    ))
    return f"%ifndef R3_RESOLVE\n%define R3_RESOLVE\n{text}%endif\n"
