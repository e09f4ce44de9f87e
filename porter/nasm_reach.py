"""What of a NASM program a guest can reach: `reach`, with NASM's lines in GAS's words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from porter.nasm_program import Program
from porter.nasm_syntax import NasmStatement, parse_line
from porter.reach import Reach
from porter.real_mode import Line
from porter.syntax import Atom, Statement, UnexpectedInput

_DIRECTIVE = re.compile(r"[ \t]*%[ \t]*(?P<word>[a-z]\w*)[ \t]*(?P<rest>[^\n]*)", re.IGNORECASE)
_BRACKETED = re.compile(r"[ \t]*\[[ \t]*(\w+[ \t]*[^\]\n]*)\]")
_WORD = re.compile(r"[\w.$@?~#]+")
_BODIES = {"macro": ".macro", "imacro": ".macro", "rmacro": ".macro", "irmacro": ".macro", "rep": ".rept",
           "endmacro": ".endm", "endm": ".endm", "endrep": ".endr"}
_DIRECTIVES = {"section": ".section", "segment": ".section", "absolute": ".section", "global": ".globl",
               "struc": ".pushsection", "endstruc": ".popsection"}
_NO_CONTENT = frozenset({"bits", "use16", "use32", "org", "align", "alignb", "default", "cpu", "extern", "common",
                         "static", "required", "istruc", "iend", "float", "warning", "list"})
_DATA = re.compile(r"(?:d[bwdqtoyz]|res[bwdqtoyz]|incbin|at)\Z")
_RETURNS = {"retn": "ret", "retd": "ret", "retnd": "ret", "retfd": "retf", "retfw": "retf", "iretd": "iret"}
_SIZES = frozenset({"byte", "word", "dword", "qword", "tword", "oword", "near", "short", "far", "strict", "ptr", "seg",
                    "wrt", "rel", "abs", "to", "not"})
_NO_OPERANDS = frozenset(re.findall(r"\S+", """
    ret retn retf iret iretd nop hlt cli sti cld std clc stc cmc leave cdq cwde cbw cwd pusha popa pushad popad pushf
    popf pushfd popfd lodsb lodsw lodsd stosb stosw stosd movsb movsw movsd scasb scasw scasd cmpsb cmpsw cmpsd insb
    insw insd outsb outsw outsd xlat xlatb aaa aas daa das lahf sahf wait fwait cpuid rdtsc rdmsr wrmsr ud2 int3
    into"""))


def _names(atoms: Iterable[Atom]) -> Iterator[str]:
    for atom in atoms:
        if atom.type == "group":
            yield from _names(atom.members)
        elif atom.type == "NAME" and atom.text.strip("$") and atom.text.lower() not in _SIZES:
            yield atom.text.lstrip("$")


def _is_label(line: NasmStatement) -> bool:
    """Whether the first word is a label without colon."""
    if not line.head or not line.operands or line.leads:
        return False
    first = line.operands[0]
    if first[0].type == "TIMES" or first[0].text.lower() in _NO_OPERANDS:
        return True
    if first[0].type == "PREFIX":
        return len(first) > 1
    return (first[0].type == "NAME" and first[0].text.lower() not in _SIZES
            and (first[0].text.lower() == "equ" or (len(first) > 1 and first[1].type not in ("OPERATOR", "COLON")
                 and first[1].text != "(")))


class NasmReach(Reach):
    """What of a program a guest, which starts in 32-bit code, can reach."""

    def __init__(self, program: Program) -> None:
        super().__init__(program.text, "", program.states)
        self._program = program
        self._parent = ""  # the label that local ones belong to

    def _lines(self) -> Iterator[Line]:
        for _, _, name in self._program.unknown:
            yield self._as(".include", [name], 0)  # whatever may be in files that are not here
        start = 0
        for text in self._program.text.split("\n"):
            if text.strip():
                yield from self._line(text, start)
            start += len(text) + 1

    @staticmethod
    def _as(head: str, names: Iterable[str], start: int, labels: Iterable[str] = ()) -> Line:
        operands = tuple((Atom("NAME", name, 0, 0),) for name in names)
        return Line(start, head, Statement(tuple(Atom("LABEL", f"{label}:", 0, 0) for label in labels), (),
                                           Atom("NAME", head, 0, 0) if head else None, operands))

    def _line(self, text: str, start: int) -> Iterator[Line]:
        directive = _DIRECTIVE.match(text)
        if directive:
            yield from self._preprocessor(directive["word"].lower(), directive["rest"], text, start)
            return
        bracketed = _BRACKETED.match(text)
        try:
            line = parse_line(bracketed[1] if bracketed else text)
            labels = [label.text.rstrip(": \t") for label in line.labels]
            while _is_label(line) and line.head:
                labels.append(line.head.text)
                line = parse_line(text, line.head.end)
        except UnexpectedInput:
            yield Line(start, text, None)
            return
        if line.head and not line.operands and not labels and line.head.text.lower() not in _NO_OPERANDS:
            labels.append(line.head.text)  # perhaps: a label alone on its line looks like an instruction
        yield from self._statement(line, [self._label(label) for label in labels], start)

    def _statement(self, line: NasmStatement, labels: list[str], start: int) -> Iterator[Line]:
        head = line.head.text.lower() if line.head else ""
        names = [self._resolved(name) for atoms in line.operands for name in _names(atoms)]
        if head in _NO_CONTENT:
            head, names = "", []
        elif head == "equ" and labels:
            yield self._as(".set", [labels[-1], *names], start)
            return
        elif head in _DIRECTIVES:
            names = [atom.text for atoms in line.operands for atom in atoms[:1]]
            head = _DIRECTIVES[head]
        elif _DATA.match(head):
            head = ".long"
        yield self._as(_RETURNS.get(head, head), names, start, labels)

    def _preprocessor(self, word: str, rest: str, text: str, start: int) -> Iterator[Line]:
        words = _WORD.findall(rest)
        if word in _BODIES:
            yield self._as(_BODIES[word], words[:1], start)
        elif word.startswith("if"):
            yield self._as(".if", words, start)
        elif word.startswith(("el", "endif")):
            yield self._as(".endif" if word == "endif" else ".else", words, start)
        elif word in ("define", "xdefine", "idefine", "ixdefine", "assign", "iassign"):
            yield self._as(".set", [words[0], *map(self._resolved, words[1:])] if words else [], start)
        elif word != "include":
            yield Line(start, text, None)

    def _label(self, name: str) -> str:
        name = self._resolved(name)
        if not name.startswith((".", "%")):
            self._parent = name.partition(".")[0]
        # A label made of macro arguments is one that whatever the macro is called with may refer to.
        return name.replace("%", "\\")

    def _resolved(self, name: str) -> str:
        """A local label's whole name."""
        return self._parent + name if name.startswith(".") and not name.startswith("..") else name
