"""Mnemonics that GAS macros get as arguments: ``.macro twice insn`` and ``twice cli``.

What such a macro's body does is not known before it is assembled, and its operands need not suit the macro
that would replace the instruction. So these are told and not ported.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from porter.asm_state import States
from porter.memo import remembered
from porter.model import ATT, Sensitive, Syntax
from porter.prefilter import mnemonics
from porter.statements import Unparsable, decide

REASON = "the mnemonic is a macro argument: write the instruction out, or see what `ring3 check` finds of it"

_LINES = re.MULTILINE | re.DOTALL | re.IGNORECASE
_MACRO = re.compile(
    r"^[ \t]*\.macro[ \t]+([\w.$]+)[ \t,]*([^\n]*)\n(.*?)^[ \t]*\.endm\b", _LINES)
_LOOP = re.compile(r"^[ \t]*(\.irp[ \t]+([\w.$]+)[ \t,]+([^\n]*))\n(.*?)^[ \t]*\.endr\b", _LINES)
_AS_MNEMONIC = re.compile(r"(?:^|[;:])[ \t]*(?:(?:rep\w*|lock|data16|addr16)[ \t]+)*\\(\w+)", re.MULTILINE)
_PARAMETER = re.compile(r"([\w.$]+)(?::\w+)?(?:[ \t]*=[ \t]*[^\s,]+)?")
_CALLS = re.MULTILINE | re.IGNORECASE  # names of macros are, too
_QUOTED = re.compile(r'"([^"\n]*)"')
_ARGUMENT = re.compile(r"(?:\A|[\s,=\"])([a-z][a-z0-9]*)(?=[\s,\"]|\Z)", re.IGNORECASE)


class _Use(NamedTuple):
    start: int
    end: int
    arguments: str


def _uses(text: str) -> Iterator[_Use]:
    """The loops and macro invocations whose arguments stand for mnemonics."""
    names = []
    for macro in _MACRO.finditer(text):
        if not set(_PARAMETER.findall(macro[2])).isdisjoint(_AS_MNEMONIC.findall(macro[3])):
            names.append(re.escape(macro[1]))
            yield _Use(macro.start(1), macro.end(2), macro[2])  # for the arguments' defaults
    for loop in _LOOP.finditer(text):
        if loop[2] in _AS_MNEMONIC.findall(loop[4]):
            yield _Use(loop.start(1), loop.end(1), loop[3])
    if names:
        for call in re.finditer(rf"(?:^|[;:])[ \t]*((?:{'|'.join(names)})[ \t]+([^\n;]+))", text, _CALLS):
            yield _Use(call.start(1), call.end(1), call[2])


def _key(arguments: str, known: frozenset[str], syntax: Syntax) -> str | None:
    """The catalogue's row of the first sensitive instruction among arguments: a mnemonic, or a whole statement."""
    words = [word.lower() for word in _ARGUMENT.findall(arguments) if word.lower() in known]
    if words:
        from porter.catalogue import ALL_SPELLINGS

        return ALL_SPELLINGS[words[0]].rows[0].key
    for statement in (arguments, *_QUOTED.findall(arguments)) if "%" in arguments or syntax != ATT else ():
        with contextlib.suppress(Unparsable):
            for item in decide(statement, syntax=syntax):
                return item.key
    return None


def passed_mnemonics(text: str, states: States) -> list[Sensitive]:
    """Each use of a macro or loop of `text` that a sensitive instruction is an argument of, in order."""
    if not _AS_MNEMONIC.search(text):
        return []
    known = frozenset(remembered("mnemonics", mnemonics))
    found = []
    for use in _uses(text):
        key = _key(use.arguments, known, states.at(use.start).syntax)
        if key:
            end = use.start + len(text[use.start:use.end].rstrip())
            found.append(Sensitive(use.start, end, "", key, "", (), REASON))
    return sorted(found)
