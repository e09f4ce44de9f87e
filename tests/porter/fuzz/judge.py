"""Assembling units as written and ported, and saying what is wrong with the port."""

from __future__ import annotations

import re
import subprocess
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from capstone import CS_ARCH_X86, CS_MODE_32, Cs

from porter.asm_port import port_assembly
from porter.errors import PortError
from porter.model import Site
from porter.quickscan import may_be_sensitive
from tests.porter.fuzz import stubs
from tests.porter.fuzz.generator import Language, Unit
from tests.porter.fuzz.opcode_map import PREFIXES, sensitive
from tests.porter.toolchain import with_intel_macros, with_macros

# Where an error is in a macro, GAS tells the line of its definition, and then that of its use.
_ERROR = re.compile(
    r"^.*?:(\d+): (?:Error|Fatal error): (.*)((?:\n.*?:\d+: +Info: macro invoked from here)*)", re.MULTILINE)
_REFUSED = re.compile(r"x\.s:(\d+):")
_HEAD = ".set SYM,0x34\n"


class Failure(NamedTuple):
    """A unit whose port is wrong, and why."""

    unit: Unit
    why: str

    def __str__(self) -> str:
        return f"{self.why}:\n{self.unit.text}"


class _Instruction(NamedTuple):
    """One instruction: the row it is of if it is sensitive, its text, and whether a stub's mark is before it."""

    key: str | None
    text: str
    marked: bool


def _text(units: Sequence[Unit], head: str) -> str:
    """The units, each behind a label of its own."""
    return _HEAD + head + "".join(f"Unit{number}:\n{unit.text}" for number, unit in enumerate(units))


def _first_lines(units: Sequence[Unit], head: str) -> list[int]:
    """The line of each unit's label in their text, from 1."""
    return list(accumulate((unit.lines + 1 for unit in units), initial=(_HEAD + head).count("\n") + 1))


def _run_assembler(text: str, target: Path) -> str:
    run = subprocess.run(["as", "--32", "-o", str(target), "-"], input=text.encode("latin-1"), capture_output=True,
                         check=False)
    return run.stderr.decode("latin-1") if run.returncode else ""


def _errors(messages: str) -> Iterator[tuple[int, str]]:
    """Line and text of each error."""
    for match in _ERROR.finditer(messages):
        uses = re.findall(r":(\d+): +Info", match[3])
        yield int(uses[-1] if uses else match[1]), match[2]


def assembling(units: Sequence[Unit], folder: Path, head: str) -> list[Unit]:
    """The units that the assembler takes."""
    units = list(units)
    while True:
        errors = _run_assembler(_text(units, head), folder / "first.o")
        if not errors:
            return units
        lines = _first_lines(units, head)
        bad = {bisect_right(lines, line) - 1 for line, _ in _errors(errors)}
        assert bad, errors[:2000]
        units = [unit for number, unit in enumerate(units) if number not in bad]


def _pieces(text: str, count: int, folder: Path) -> list[bytes]:
    """The bytes that the assembler makes of each unit. Fails with its messages."""
    table = ".section .units\n" + "".join(f".long Unit{number}\n" for number in range(count)) + ".long End\n"
    target = folder / "pieces.o"
    errors = _run_assembler(f"{text}End:\n{table}", target)
    if errors:
        raise AssertionError(errors)
    parts = []
    for section in (".units", ".text"):
        out = folder / f"{section[1:]}.bin"
        subprocess.run(["objcopy", "-O", "binary", "-j", section, "--set-section-flags", f"{section}=alloc",
                        str(target), str(out)], check=True)
        parts.append(out.read_bytes())
    bounds = memoryview(parts[0]).cast("I")
    return [parts[1][bounds[number]:bounds[number + 1]] for number in range(count)]


_decoder = Cs(CS_ARCH_X86, CS_MODE_32)


def _instructions(code: bytes) -> list[_Instruction]:
    """A linear reading; what capstone does not know is read byte by byte."""
    found, at, marked = [], 0, False
    while at < len(code):
        if code.startswith(stubs.MARK, at):
            at, marked = at + len(stubs.MARK), True
            continue
        _, size, name, operands = next(_decoder.disasm_lite(code[at:at + 15], 0, 1), (0, 1, "", ""))
        if not name and code[at] in PREFIXES:
            at += 1  # one of several that mean nothing together
            continue
        key = sensitive(code[at:at + size]) if name else None
        text = f"{name} {operands}".strip() if key else code[at:at + size].hex()
        found.append(_Instruction(key, _normal(text) if key else text, marked))
        at, marked = at + size, False
    return found


def _normal(text: str) -> str:
    """Capstone's text without differences that mean nothing to a sensitive instruction."""
    text = re.sub(r"^(?:(?:bnd|notrack) )+", "", re.sub(r"^rep\w* ", "rep ", text))
    own = " ss:" if re.search(r"\[e[bs]p", text) else " ds:"
    text = text.replace(own, " ")
    text = re.sub(r"\bwbnoinvd\b", "wbinvd", text)
    # A load of a segment register takes 16 bits whatever the operand size.
    return re.sub(r"(mov [d-gs]s, )e(\w\w)\b", r"\1\2", text)


def compare(before: bytes, after: bytes, sites: Sequence[Site], expands: bool) -> str:
    """What is wrong with one unit; '' if nothing is."""
    old, new = _instructions(before), _instructions(after)
    if [(one.key, one.text) for one in old] != [(one.key, one.text) for one in new]:
        return f"other instructions: {[one.text for one in old]} became {[one.text for one in new]}"
    ported = sum(site.treatment == "ported" for site in sites)
    left = [one for one in new if one.key and not one.marked]
    if left and len(sites) == ported:
        return f"neither ported nor reported: {left[0].text}"
    if any(one.marked and not one.key for one in new):
        return "ported, but not sensitive"
    doubtful = [site for site in sites if site.treatment != "stays"]  # which a prefix may make another instruction
    if doubtful and not expands and not any(one.key for one in old):
        return f"reported, but not sensitive: {doubtful[0].text}"
    return ""


class Batch:
    """Units that assemble, and what is wrong with their port."""

    def __init__(self, units: Sequence[Unit], folder: Path, language: Language) -> None:
        self._folder, self._language = folder, language
        self._stubs, real = ((stubs.intel_macros(), with_intel_macros("")) if language.head
                             else (stubs.macros(), with_macros("")))
        self.failures: list[Failure] = []
        self.units = assembling(units, folder, language.head)
        self._port()
        while self._drop_what_fails(self._stubs) or self._drop_what_fails(real):
            self._port()
        self._judge()

    @property
    def statements(self) -> int:
        """How many statements were judged."""
        return sum(unit.statements for unit in self.units)

    def _port(self) -> None:
        while True:
            self._text = _text(self.units, self._language.head)
            self._lines = _first_lines(self.units, self._language.head)
            try:
                self.ported = port_assembly(self._text, "x.s")
                return
            except PortError as error:
                match = _REFUSED.match(str(error))
                assert match, error
                self._drop({self._unit_of(int(match[1]))}, f"assembles, but is refused: {error}")

    def _unit_of(self, line: int) -> int:
        return bisect_right(self._lines, line) - 1

    def _drop(self, numbers: Collection[int], why: str) -> None:
        self.failures += [Failure(self.units[number], why) for number in numbers]
        self.units = [unit for number, unit in enumerate(self.units) if number not in numbers]

    def _drop_what_fails(self, macros: str) -> bool:
        """Assemble the ported text with these macros, and drop the units that cannot be."""
        errors = _run_assembler(f'{macros}# 1 "x.s"\n{self.ported.text}', self._folder / "ported.o")
        if not errors:
            return False
        found = {self._unit_of(line): why for line, why in _errors(errors)}
        assert found, errors[:2000]
        self.failures += [Failure(self.units[number], f"does not assemble once ported: {why}")
                          for number, why in found.items()]
        self.units = [unit for number, unit in enumerate(self.units) if number not in found]
        return True

    def _judge(self) -> None:
        count = len(self.units)
        before = _pieces(self._text, count, self._folder)
        after = _pieces(self._stubs + f'# 1 "x.s"\n{self.ported.text}', count, self._folder)
        sites: defaultdict[int, list[Site]] = defaultdict(list)
        for site in self.ported.sites:
            sites[self._unit_of(site.line)].append(site)
        for number, unit in enumerate(self.units):
            why = "" if unit.data else compare(before[number], after[number], sites[number], unit.expands)
            if unit.data and sites[number]:
                why = "data reported as an instruction"
            if sites[number] and not may_be_sensitive(unit.text, not self._language.head):
                why = "the first look at a text does not see it"
            if why:
                self.failures.append(Failure(unit, why))
        self.failures += self._whole()

    def _whole(self) -> Iterator[Failure]:
        """What must hold for the text as a whole."""
        old, new = self._text, self.ported.text
        if new.count("\n") != old.count("\n"):
            yield Failure(Unit(""), "the number of lines changed")
            return
        again = port_assembly(new, "x.s")
        yield from self._different(new, again.text, "a second port changes it", range(0))
        changed = {site.line + step for site in self.ported.sites if site.treatment == "ported" for step in (-1, 0, 1)}
        yield from self._different(old, new, "a line without a site changed", changed)

    @staticmethod
    def _different(first: str, second: str, why: str, but_for: Collection[int]) -> Iterator[Failure]:
        for number, (old, new) in enumerate(zip(first.split("\n"), second.split("\n"), strict=True), 1):
            if old != new and number not in but_for:
                yield Failure(Unit(f"{old}\n"), f"{why}: to {new}")
