"""``ring3 nasm [ARG...]``: assemble with NASM, porting i386 code first.

NASM reads its input more than once, so ported files are handed over in memory, under names in ``/proc/self/fd``: no
file is written but the object. ``%line`` keeps messages and debug information on the author's lines.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence

from porter import command_line
from porter.errors import PortError
from porter.processes import replace_process, spawn, wait
from porter.wrapper import ended, fail

TYPE_CHECKING = False  # as `typing` has it: see wrapper.py on imports
if TYPE_CHECKING:
    from porter.nasm_program import Copy
    from porter.nasm_text import NasmPorted

_WITH_VALUE = frozenset("oOdDiIlfFXxuUpPZ") - {"O"}
_LONG_WITH_VALUE = frozenset({"include", "pragma", "before", "prefix", "postfix", "gprefix", "gpostfix", "lprefix",
                              "lpostfix", "limit", "debug"})
_DEPENDENCIES = frozenset({"-MF", "-MT", "-MQ", "-MD"})
_64_BIT = frozenset({"elf64", "elfx32", "win64", "macho64"})
_16_BIT = frozenset({"bin", "ith", "srec", "obj"})
_EXTENSIONS = {"bin": "", "ith": ".ith", "srec": ".srec", "obj": ".obj", "win": ".obj", "win32": ".obj"}
_DEEPEST_RESPONSE = 20
_FIRST_DESCRIPTOR = 100  # beyond what a build hands down, so that objects do not depend on that


class NasmCall:
    """A NASM command line (without the program name), taken apart: options with their values, and inputs."""

    def __init__(self, args: Sequence[str]) -> None:
        self.options: list[tuple[str, str | None]] = []
        self.inputs: list[str] = []
        self._take(list(args), 0)

    def _take(self, args: list[str], depth: int) -> None:
        only_inputs = False
        while args:
            arg = args.pop(0)
            if arg == "--":
                only_inputs = True
            elif only_inputs or not arg.startswith("-") or arg == "-":
                self.inputs.append(arg)
            elif arg.startswith("-@") and depth < _DEEPEST_RESPONSE:
                path = arg[2:] or (args.pop(0) if args else "")
                self._take([line.strip() for line in _lines_of(path)], depth + 1)
            elif arg.startswith("--"):
                name, equals, value = arg[2:].partition("=")
                if equals:
                    self.options.append((f"--{name}", value))
                else:
                    takes = name.partition("-")[0] in _LONG_WITH_VALUE
                    self.options.append((arg, args.pop(0) if takes and args else None))
            elif arg[:3] in _DEPENDENCIES:
                optional = arg[:3] == "-MD" and bool(args) and args[0].startswith("-")
                self.options.append((arg[:3], arg[3:] or (args.pop(0) if args and not optional else None)))
            elif arg[1] in _WITH_VALUE:
                self.options.append((arg[:2], arg[2:].lstrip() or (args.pop(0) if args else "")))
            else:
                self.options.append((arg, None))

    def values(self, *names: str) -> list[str]:
        """The values of some options, in the order in which they are given."""
        return [value or "" for name, value in self.options if name in names]

    def has(self, *names: str) -> bool:
        return any(name in names for name, _ in self.options)

    @property
    def format(self) -> str:
        return (self.values("-f") or ["bin"])[-1].lower()

    @property
    def only_looks(self) -> bool:
        """Whether nothing is assembled: help, preprocessing, dependencies."""
        return not self.inputs or self.has("-h", "-v", "-E", "-e", "-M", "-MG", "--help", "--v", "--version")

    @property
    def output(self) -> str:
        """The file that NASM writes where no option names one."""
        return os.path.splitext(self.inputs[0])[0] + _EXTENSIONS.get(self.format, ".o")


def _lines_of(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return [line for line in file if line.strip()]
    except OSError as error:
        raise PortError(f"{path}: {error.strerror}: check the path of the response file") from None


def _from_environment() -> list[str]:
    """The options that the variable NASMENV adds (NASM manual, section 2.1.33)."""
    text = os.environ.get("NASMENV", "").strip()
    if not text or text.startswith("-"):
        return text.split()
    return [word for word in text[1:].split(text[0]) if word]


def _found(name: str, include_path: Sequence[str]) -> str | None:
    """The file that an include names: NASM takes directories as they stand, or, newer versions, as directories."""
    places = [name, *(place for path in include_path for place in (path + name, os.path.join(path, name)))]
    return next((place for place in places if os.path.isfile(place)), None)


def _reader(include_path: Sequence[str]) -> Callable[[str, str], tuple[str, str] | None]:
    known: dict[str, tuple[str, str] | None] = {}

    def find(name: str, _: str) -> tuple[str, str] | None:
        if name not in known:
            from porter.assembler import read_text

            path = _found(name, include_path)
            known[name] = (path, read_text(path)) if path else None
        return known[name]

    return find


class _Handed:
    """Ported files in memory, for NASM to open."""

    def __init__(self, ported: NasmPorted) -> None:
        self._ported = ported
        self._paths: dict[str, str] = {}

    def text(self, name: str, text: str) -> str:
        """The path under which NASM finds `text`; the same text has one path."""
        if text not in self._paths:
            descriptor = os.memfd_create(os.path.basename(name))
            number = _FIRST_DESCRIPTOR + len(self._paths)
            os.dup2(descriptor, number, inheritable=True)
            os.close(descriptor)
            with open(number, "wb", closefd=False) as file:
                file.write(text.encode("latin-1"))
            self._paths[text] = f"/proc/self/fd/{number}"
        return self._paths[text]

    def file(self, copy: Copy) -> str:
        """The path of a ported file."""
        return self.text(copy.path, f"%line 0+1 {copy.path}\n{self._ported.text(copy, self.file)}")


# The command line as NASM source: what it defines and includes comes before the input.
_COMMAND_LINE = "command line"
_BEFORE = {"-P": "include", "-p": "include", "--include": "include", "-D": "define", "-d": "define", "--before": ""}


def _words(name: str, value: str | None) -> list[str]:
    """An option as words of a command line."""
    return [name] if value is None else [f"{name}={value}"] if name.startswith("--") else [name, value]


def _command_line(call: NasmCall) -> str:
    lines = []
    for name, value in call.options:
        directive = _BEFORE.get(name)
        if directive == "include":
            lines.append(f'%include "{value}"')
        elif directive == "define":
            symbol, _, body = (value or "").partition("=")
            lines.append(f"%define {symbol} {body}")
        elif directive is not None:
            lines.append(value or "")
    return "\n".join([*lines, f'%include "{call.inputs[0]}"\n'])


def _ported_options(call: NasmCall, ported: NasmPorted, handed: _Handed) -> list[str]:
    """The options for NASM, with what they define and include ported, and without those for dependencies."""
    out: list[str] = []
    root = ported.program.root
    lines = iter(ported.text(root).splitlines())
    files = {root.text.count("\n", 0, start): child for start, _, child in root.includes}
    number = -1
    for name, value in call.options:
        directive = _BEFORE.get(name)
        if directive is None:
            if not name.startswith("-M"):
                out += _words(name, value)
            continue
        number += 1
        line = next(lines)
        if directive == "include":
            child = files.get(number)
            out += ["-P", handed.file(child) if child and ported.changes(child) else value or ""]
        elif directive == "define":
            symbol, equals, _ = (value or "").partition("=")
            out += ["-D", symbol + equals + line.removeprefix(f"%define {symbol} ")]
        else:
            out += [f"--before={line}"]
    return out


def _dependencies(real: str, call: NasmCall) -> int:
    """Write the dependency file, of the files that the author has. Returns NASM's status."""
    mode = ["-M"]
    if not call.has("-MF"):
        output = (call.values("-o") or [call.output])[-1]
        mode += ["-MF", call.values("-MD")[-1] or f"{output}.d"]
    options = [word for name, value in call.options if name != "-MD" for word in _words(name, value)]
    return wait(spawn([real, *mode, *options, *call.inputs]))


def _assemble(real: str, args: list[str]) -> int:
    """Port and assemble. Returns NASM's status, or takes its place. Raises PortError."""
    if os.path.basename(os.path.realpath(command_line.find_program(real))) in ("ring3", "ring3-nasm"):
        raise PortError(f"{real}: is ring3 itself: name the real assembler in RING3_NASM")
    given, call = NasmCall(args), NasmCall([*_from_environment(), *args])
    if call.only_looks or len(call.inputs) != 1 or call.format in _64_BIT or not os.path.exists(call.inputs[0]):
        replace_process([real, *args])
    if not os.path.isfile(call.inputs[0]):
        raise PortError(f"{call.inputs[0]}: NASM reads its input several times, which only a file allows: write one")
    from porter import assembler
    from porter.nasm_program import Program
    from porter.nasm_text import macro_text, port_program

    include_path = call.values("-I", "-i")
    program = Program(_COMMAND_LINE, _command_line(given), "16" if call.format in _16_BIT else "32",
                      _reader(include_path))
    ported = port_program(program)
    sys.stderr.write(assembler.report(ported.sites))
    for copy, offset, name in program.unknown:
        if copy.text[offset - 1] not in "\"'`":  # a file that is not there is for NASM to complain about
            file, line, _ = program.place_in(copy, offset)
            print(f"{file}:{line}: ring3: what `%include {name}` names is not ported: write the file's name",
                  file=sys.stderr)
    if not ported.changes(program.root):
        replace_process([real, *args])
    if call.has("-a"):
        raise PortError("-a: what is ported needs NASM's preprocessor: leave the option out")
    handed = _Handed(ported)
    options = ["-P", handed.text("ring3.nasm", macro_text()), *_ported_options(given, ported, handed)]
    if not call.has("-o"):
        options += ["-o", call.output]
    if call.has("-MD"):
        status = _dependencies(real, given)
        if status:
            return status
    _, _, main = program.root.includes[-1]
    replace_process([real, *options, handed.file(main) if ported.changes(main) else call.inputs[0]])
    return 0


def nasm_main(argv: list[str] | None = None) -> int:
    """``ring3 nasm [ARG...]``: assemble with NASM, porting i386 code first.

    NASM is ``nasm``, or what the environment variable RING3_NASM names. Returns its exit status, or 2 for what
    cannot be ported; mostly it does not return, for NASM takes the place of this process.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        return ended(_assemble(os.environ.get("RING3_NASM") or "nasm", args), argv)
    except PortError as error:
        return ended(fail(error), argv)
    except KeyboardInterrupt:
        return ended(130, argv)  # as a shell tells of SIGINT
