"""Porting NASM source: the sensitive lines of a program, and its files with those lines changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any, NamedTuple

from porter.asm_text import lines_with
from porter.errors import PortError
from porter.memo import remembered
from porter.model import ANY, Change, Part, Sensitive, Site
from porter.nasm_program import Copy, Macro, Program
from porter.nasm_reach import NasmReach
from porter.reach import OTHER_BITS
from porter.rewrite import Edit, apply

_NAME = r"[A-Za-z_.?$@][\w.$#@~?]*"
_WORD = re.compile(r"[a-z][a-z0-9]*")
_DIRECTIVE = re.compile(r"[ \t]*%[ \t]*[a-z]", re.IGNORECASE)
_DEFINE = re.compile(
    rf"[ \t]*%[ \t]*i?x?define[ \t]+(?P<name>{_NAME})(?P<parameters>\([^)\n]*\))?[ \t]+(?=[^\s])", re.IGNORECASE)
_FAR = r"(?<![\w.$@?%])(?:jmp|call)[ \t][^\n]*(?::|\bfar\b)"
_PASTED = re.compile(r"[a-z](?:%[-+]?\d|%\{)|(?:%[-+]?\d|\})[a-z]")  # a word of which a macro argument is part
_FAR_NAMED = r"define[ \t][^\n]*(?::|\bfar\b)"
_WITH_PARAMETERS = rf"^[ \t]*%[ \t]*i?x?define[ \t]+{_NAME}\("
_PARAMETER = r"%[-+]?\d|%\{"
_BETWEEN = re.compile(r"[ \t\r]*\n\s*")
_LONE_PREFIX = re.compile(
    r"(?:\A|[\n:])[ \t]*(?:rep(?:n?[ez])?|lock|[oa](?:16|32)|[c-gs]s|xacquire|xrelease|bnd)\s*\n\s*\Z", re.IGNORECASE)
STI_HLT = "r3_sti_hlt"
_LOOK_BACK = 200  # how far in front of an instruction its prefix is looked for, in characters


def _words() -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The mnemonics that are sensitive whatever their operands, and the sensitive registers."""
    from porter.nasm_classify import BY_OPERAND, MNEMONICS, REGISTERS

    return tuple(sorted(set(MNEMONICS) - BY_OPERAND)), tuple(sorted(REGISTERS))


def may_be_sensitive(text: str) -> bool:
    """False: no line of NASM source `text` is sensitive, whatever else it is assembled with."""
    lower = text.lower()
    mnemonics, registers = remembered("nasm words", _words)
    words = set(_WORD.findall(lower))
    if not (words.isdisjoint(mnemonics) and words.isdisjoint(registers)) or _PASTED.search(lower):
        return True
    return not words.isdisjoint(("jmp", "call")) and any(re.search(far, lower) for far in (_FAR, _FAR_NAMED))


def _plain_expressions() -> list[str]:
    """What finds, in lower case, the instructions that are sensitive and are written out."""
    mnemonics, registers = remembered("nasm words", _words)
    return [rf"(?<![\w.$@?])(?:{'|'.join(mnemonics)})(?![\w.$@?:])",
            rf"(?<![\w.$@?])(?:{'|'.join(registers)})(?![\w.$@?]|[ \t]*:)", _FAR]


def plain_lines(text: str) -> Iterator[tuple[int, int]]:
    """The bounds of the lines of a text without comments that may have a sensitive instruction written out."""
    return lines_with(text, _found(_plain_expressions(), text))


def _found(expressions: Iterable[str], text: str) -> list[int]:
    lower = text.lower()
    return sorted(match.start() for expression in expressions
                  for match in re.finditer(expression, lower, re.MULTILINE))


class Shared(NamedTuple):
    """What other programs make of the files of a program: statements by file and offset in it.

    `by_bits` are also code of another size, `apart` are not both there: ``sti`` or the ``hlt`` behind it.
    """

    by_bits: Container[tuple[str, int]] = ()
    apart: Container[tuple[str, int]] = ()


_ALONE = Shared()


class NasmPorted(NamedTuple):
    """A ported program: which lines of which of its files change, and all that is sensitive in it."""

    program: Program
    edits: dict[int, list[Edit]]  # by the identity of the copy
    sites: tuple[Site, ...]

    def changes(self, copy: Copy) -> bool:
        """Whether anything of this file, or of those that it includes, is ported."""
        return bool(self.edits.get(id(copy))) or any(self.changes(child) for _, _, child in copy.includes)

    def text(self, copy: Copy, rename: Callable[[Copy], str] | None = None) -> str:
        """A file's ported text; `rename` gives the names of the ported files that it includes instead."""
        edits = list(self.edits.get(id(copy), ()))
        if rename:
            edits += [Edit(start, end, f'"{rename(child)}"') for start, end, child in copy.includes
                      if self.changes(child)]
        return apply(copy.text, edits) if edits else copy.text


class _Port:
    """One program on its way through a port."""

    def __init__(self, program: Program, shared: Shared) -> None:
        from porter.nasm_classify import REGISTERS

        self._program, self._text, self._shared = program, program.text, shared
        self._reach = NasmReach(program)
        self._multi: dict[str, list[Macro]] = {}
        self._single: dict[str, list[Macro]] = {}
        for macro in program.macros:
            (self._multi if macro.most >= 0 else self._single).setdefault(macro.name.lower(), []).append(macro)
        self._aliases = self._sensitive_aliases(REGISTERS)
        self._passed_by_name = self._passed_words() if self._multi else {}
        self._uses: dict[str, list[int]] | None = None

    def _sensitive_aliases(self, registers: frozenset[str]) -> frozenset[str]:
        """Single-line macros that may stand for a sensitive register, a far target, or a macro argument."""
        found: set[str] = set()
        bodies = {name: {word for macro in macros for word in re.findall(r"[\w.$@?%]+|:", self._text[
            macro.body:macro.end].lower())} for name, macros in self._single.items()}
        while True:
            more = {name for name, words in bodies.items() if name not in found
                    and (words & registers or ":" in words or words & found or "far" in words
                         or any("%" in word for word in words))}
            if not more:
                return frozenset(found)
            found |= more

    def _passed_words(self) -> dict[str, frozenset[str]]:
        """For each multi-line macro the words that it gets as arguments, also by default."""
        words: dict[str, set[str]] = {name: set() for name in self._multi}
        passed_on = set()
        names = "|".join(map(re.escape, self._multi))
        for match in re.finditer(rf"(?<![\w.$@?])({names})(?![\w.$@?])([^\n]*)", self._text.lower()):
            words[match[1]].update(re.findall(r"\w+", match[2]))
            if "%" in match[2]:
                passed_on.add(match[1])
        everything = frozenset().union(*words.values())
        return {name: everything if name in passed_on else frozenset(own) for name, own in words.items()}

    def _passed(self, offset: int) -> frozenset[str]:
        """The words that macro arguments may be at an offset."""
        macro = self._definition(offset, self._multi)
        return self._passed_by_name[macro.name.lower()] if macro else frozenset()

    def _passed_to(self, name: str) -> frozenset[str]:
        """The words that a single-line macro gets as arguments."""
        rests = re.findall(rf"(?<![\w.$@?]){re.escape(name)}[ \t]*\(([^\n]*)", self._text.lower())
        return frozenset(re.findall(r"\w+", " ".join(rests[1:])))  # but for the definition itself

    def _candidates(self) -> list[int]:
        """Offsets, ascending, of lines that may be sensitive."""
        expressions = _plain_expressions()
        if self._aliases:
            expressions.append(rf"(?<![\w.$@?])(?:{'|'.join(map(re.escape, self._aliases))})(?![\w.$@?])")
        if self._multi:
            expressions.append(_PARAMETER)
        if any(macro.least for macros in self._single.values() for macro in macros):
            expressions.append(_WITH_PARAMETERS)
        return _found(expressions, self._text)

    def _decide(self, start: int, end: int) -> Sensitive | None:
        """What is sensitive on a line, with offsets into the whole text."""
        line = self._text[start:end]
        base = 0
        words = frozenset(re.findall(r"[\w.$@?]+", line.lower()))
        aliases = self._aliases & words
        passed = frozenset().union(*self._passed_by_name.values()) if aliases else frozenset()
        passed |= self._passed(start) if "%" in line else frozenset()
        if _DIRECTIVE.match(line):
            define = _DEFINE.match(line)
            if not define:
                return None
            base = define.end()
            if define["parameters"]:
                aliases |= frozenset(re.findall(r"[\w.$@?]+", define["parameters"].lower()))
                passed |= self._passed_to(define["name"].lower())
        names = aliases, words & self._multi.keys(), passed
        key = ("nasm", line, base, *(tuple(sorted(part)) for part in names))
        plain, position = remembered(key, lambda: _parsed(line, base, names))
        if position >= 0 and not base:  # the body of a %define need be no statement
            file, number, column = self._program.place(start + position)
            raise PortError(f"{file}:{number}:{column}: cannot parse `{line.strip()}`: correct the statement, or keep "
                            f"the file out")
        item = _restored(plain) if plain else None
        if item and base and item.macro == ANY and "%" in line[base:]:
            return None  # what that stands for is looked at where it is used
        return item.shifted(start) if item and not self._is_macro_call(item, start, line) else None

    def _is_macro_call(self, item: Sensitive, start: int, line: str) -> bool:
        """Whether the author has a macro of the instruction's name, which this line invokes."""
        word = _WORD.search(line.lower(), item.start)
        known = [*self._multi.get(word[0], ()), *self._single.get(word[0], ())] if word else []
        operands = line[item.start:item.end].count(",") + (" " in line[item.start:item.end].strip())
        called = word is not None and line[word.end():].startswith("(")
        return any(macro.end <= start and (macro.takes(operands) if macro.most >= 0 else called or not macro.least)
                   for macro in known)

    def _definition(self, offset: int, names: Container[str] | None = None) -> Macro | None:
        """The innermost macro, of some names or of any, in whose body an offset is."""
        inside = [macro for macro in self._program.macros if macro.body <= offset < macro.end
                  and (names is None or macro.name.lower() in names)]
        return max(inside, key=lambda macro: macro.start, default=None)

    def _uses_of(self, macro: Macro) -> list[int]:
        """Where a macro's name stands outside of its own body."""
        if self._uses is None:
            self._uses = {}
            wanted = self._multi.keys() | self._single.keys()
            for match in re.finditer(_NAME, self._text):
                if match[0].lower() in wanted:
                    self._uses.setdefault(match[0].lower(), []).append(match.start())
        return [use for use in self._uses.get(macro.name.lower(), ()) if not macro.start <= use < macro.end
                and not self._defines(use)]

    def _defines(self, use: int) -> bool:
        line = self._text[self._text.rfind("\n", 0, use) + 1:use].strip().lower()
        return line.startswith("%") and not re.match(r"%\s*i?x?define\s+\S", line)

    def _obstacles(self, offset: int, seen: frozenset[Macro] = frozenset()) -> set[str]:
        """Why the code at an offset cannot run in a guest, '' for where it can.

        Of code in a macro's body these are the reasons wherever the macro is used.
        """
        macro = self._definition(offset)
        if macro is None:
            return {self._reach.obstacle(offset)}
        if macro in seen:
            return set()
        found = set().union(*(self._obstacles(use, seen | {macro}) for use in self._uses_of(macro)))
        return found or (set() if seen else {""})

    def _with_obstacles(self, item: Sensitive) -> Sensitive:
        obstacles = self._obstacles(item.start)
        if "" not in obstacles:
            return item.left(min(obstacles))
        if not (any(obstacle.endswith(OTHER_BITS) for obstacle in obstacles)
                or self._statement(item) in self._shared.by_bits):
            return item
        from porter.nasm_classify import BY_BITS

        start, end = item.changes[0].start, item.end
        edits = [Edit(change.start - start, change.end - start, _written(change, self._text))
                 for change in item.changes]
        original = self._text[start:end]
        return item._replace(changes=(Change(start, end, (
            Part(f"{BY_BITS} {{{original}}}, {{{apply(original, edits)}}}"),)),))

    def _statement(self, item: Sensitive) -> tuple[str, int]:
        """A statement by its file and the offset there."""
        copy, offset = self._program.source(item.start)
        return copy.path, offset

    def _lone_prefix(self, item: Sensitive) -> Sensitive:
        if item.labels or not _LONE_PREFIX.search(self._text[max(0, item.start - _LOOK_BACK):item.start]):
            return item
        from porter.nasm_classify import PREFIX_ALONE

        return item.left(PREFIX_ALONE)

    def _stand_for(self, mnemonic: str) -> str:
        """What an instruction without operands may be written as, by itself or with a macro: a regular expression."""
        gone = set(re.findall(r"%[ \t]*(?:undef|unmacro|unimacro)[ \t]+(\S+)", self._text.lower()))
        bodies = {macros[0].name: {self._text[macro.body:macro.end].strip() if macro.takes_nothing else ""
                                   for macro in [*macros, *others.get(name, ())]}
                  for names, others in ((self._single, self._multi), (self._multi, self._single))
                  for name, macros in names.items() if name not in gone and len({macro.name for macro in macros}) == 1}
        found: list[str] = []
        for known in (mnemonic, *bodies):  # a macro may stand for one that stands for the instruction
            found += [name for name, texts in bodies.items() if name not in found and len(texts) == 1
                      and (texts == {known} if known in found else {text.lower() for text in texts} == {mnemonic})]
        return "|".join([f"(?i:{mnemonic})", *map(re.escape, found)])

    def _pairs_of_macros(self) -> Iterator[Sensitive]:
        """``sti`` and ``hlt`` behind it, where either is written with a macro, as if they were written out."""
        pair = (rf"^[^\n%]*?(?<![\w.$@?%])(?P<sti>{self._stand_for('sti')})[ \t\r]*\n\s*"
                rf"(?P<hlt>{self._stand_for('hlt')})[ \t\r]*$")
        for match in re.finditer(pair, self._text, re.MULTILINE):
            before = self._text[match.start():match.start("sti")].strip()
            if before and not before.endswith(":"):
                continue
            for key in ("sti", "hlt"):
                start, end = match.span(key)
                if match[key].lower() != key:
                    yield Sensitive(start, end, "", key, f"r3_{key}", (Change(start, end, (Part(f"r3_{key}"),)),))

    def run(self) -> NasmPorted:
        items: list[Sensitive] = []
        for start, end in lines_with(self._text, self._candidates()):
            item = self._decide(start, end)
            if item:
                items.append(self._lone_prefix(item) if item.changes else item)
        by_macro = list(self._pairs_of_macros()) if self._program.macros else []
        macros = {item.start for item in by_macro}
        apart = {item.start for item in [*items, *by_macro] if self._statement(item) in self._shared.apart}
        fused = _fused(sorted([*items, *by_macro], key=lambda item: item.start), self._text, apart)
        edits: dict[int, list[Edit]] = {}
        sites: list[Site] = []
        for item in fused:
            if item.start in macros and item.macro != STI_HLT:
                continue  # the macro itself is ported where it is defined
            item = self._with_obstacles(item) if item.changes else item
            for change in item.changes:
                copy, start = self._program.source(change.start)
                end = start + change.end - change.start
                joints = " \\\n" * copy.text.count("\n", start, end)  # the line goes on as many lines as it did
                edits.setdefault(id(copy), []).append(Edit(start, end, _written(change, self._text) + joints))
            sites.append(Site(*self._program.place(item.start), self._text[item.start:item.end], item))
        return NasmPorted(self._program, edits, tuple(sites))


def _written(change: Change, text: str) -> str:
    return "".join(part.text or text[part.start:part.end] for part in change.parts)


def _parsed(line: str, base: int, names: Iterable[frozenset[str]]) -> tuple[Any, int]:
    """The decision about a line in plain tuples, and where it stops making sense, -1 where it does not."""
    from porter.nasm_classify import Names, classify
    from porter.syntax import UnexpectedInput

    try:
        item = classify(line, base, Names(*names))
    except UnexpectedInput as error:
        return None, max(error.pos_in_stream or 0, 0)
    if item is None:
        return None, -1
    changes = tuple((start, end, tuple(map(tuple, parts))) for start, end, parts in item.changes)
    return (*item[:5], changes, item.reason), -1


def _restored(plain: Any) -> Sensitive:
    start, end, labels, key, macro, changes, reason = plain
    return Sensitive(start, end, labels, key, macro, tuple(
        Change(first, last, tuple(Part(*part) for part in parts)) for first, last, parts in changes), reason)


def _fused(items: list[Sensitive], text: str, apart: Container[int]) -> Iterator[Sensitive]:
    """The items, where ``sti`` and ``hlt`` behind it are one operation: two would lose the wake-up in between.

    Those that begin at offsets in `apart` are left as they are.
    """
    pair = ("r3_sti", "r3_hlt")
    for index, item in enumerate(items):
        before = items[index - 1] if index else item
        after = items[index + 1] if index + 1 < len(items) else item
        for first, second in ((before, item), (item, after)):
            if ((first.macro, second.macro) == pair and first is not second and _plain(first) and _plain(second)
                    and first.start not in apart and second.start not in apart
                    and _BETWEEN.fullmatch(text[first.end:second.start])):
                part = Part(STI_HLT) if item is first else Part()
                item = item._replace(macro=STI_HLT, changes=(Change(item.start, item.end, (part,)),))
                break
        yield item


def _plain(item: Sensitive) -> bool:
    return len(item.changes) == 1 and item.changes[0].parts == (Part(item.macro),)


def port_program(program: Program, shared: Shared = _ALONE) -> NasmPorted:
    """Port a program, some of whose files may be shared. Raises PortError for sensitive lines that do not parse."""
    if not may_be_sensitive(program.text):
        return NasmPorted(program, {}, ())
    return _Port(program, shared).run()


def macro_text() -> str:
    """The NASM macros that ported text needs in front of it."""
    from porter.macro_files import nasm_include

    return remembered("nasm macros", nasm_include)
