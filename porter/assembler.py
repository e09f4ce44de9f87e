"""The assembler stage: port what an assembler is about to read, then let it read that.

The ported text goes to the assembler's standard input, macros first, so no file is written but the
object. Line markers keep messages and debug information on the author's lines.
"""

from __future__ import annotations

import sys

from porter.errors import PortError
from porter.quickscan import may_be_sensitive

TYPE_CHECKING = False  # as `typing` has it: see wrapper.py on imports
if TYPE_CHECKING:
    from collections.abc import Sequence

    from porter.model import Site

STANDARD_INPUT = "{standard input}"  # the name that GAS itself gives it
WITH_VALUE = (
    "-o", "-I", "--defsym", "--MD", "--debug-prefix-map", "--hash-size", "--listing-lhs-width",
    "--listing-lhs-width2", "--listing-rhs-width", "--listing-cont-lines",
)
BITS_32, BITS_64 = ("--32",), ("--64", "--x32")
TELLING = ("--version", "--help", "--target-help", "-version")  # nothing is assembled
HARD = ("@", "-msyntax", "-mmnemonic", "-mnaked-reg")  # the program in stage/ gives calls with such words to Python
_LINK_TIME_CODE = ".gnu.lto_"  # the beginning of the names of its sections


class Call:
    """An assembler command line (without the program name), taken apart."""

    def __init__(self, args: Sequence[str]) -> None:
        self.options: list[str] = []
        self.inputs: list[str] = []  # "-" is standard input
        self.include_path: list[str] = []  # where `.include` looks
        self.intel = self.naked = False  # the syntax in which the inputs start: see `model.Syntax`
        self.bits: int | None = None  # None: the assembler's default
        rest = iter(args)
        for arg in rest:
            if arg in ("-", "--"):
                self.inputs.append("-")
            elif not arg.startswith("-"):
                self.inputs.append(arg)
            else:
                self._option(arg, next(rest, "") if arg in WITH_VALUE else None)
        self.inputs = self.inputs or ["-"]

    def _option(self, option: str, value: str | None) -> None:
        self.options += [option] if value is None else [option, value]
        if option.startswith("-I"):
            self.include_path.append(value or option[2:])
        if option.startswith("-msyntax="):
            self.intel = option == "-msyntax=intel"
        self.naked = self.naked or option == "-mnaked-reg"
        self.bits = 32 if option in BITS_32 else 64 if option in BITS_64 else self.bits


def read_text(path: str) -> str:
    """The text of an input, a character for each byte. Raises PortError."""
    try:
        if path == "-":
            return sys.stdin.buffer.read().decode("latin-1")
        with open(path, encoding="latin-1", newline="") as file:
            return file.read()
    except OSError as error:
        raise PortError(f"{path}: {error.strerror}: check the path of the assembly file") from None


def _as_gas_reads_it(text: str) -> str:
    """What a compiler wrote, where it relies on another assembler than GAS.

    Clang brackets inline assembly in Intel syntax by ``.intel_syntax`` and ``.att_syntax`` (LLVM:
    X86AsmPrinter). To GAS the first asks for a % in front of registers, and the second ends Intel syntax for all
    that follows, even where that is the syntax of the whole file; Clang means neither.
    """
    first = text.find("#APP\n\t.intel_syntax\n")
    if first < 0:
        return text
    if "\t.intel_syntax noprefix\n" in text[:first]:
        text = text.replace("\t.att_syntax\n\t#NO_APP", "\t.intel_syntax noprefix\n\t#NO_APP")
    return text.replace("#APP\n\t.intel_syntax\n", "#APP\n\t.intel_syntax noprefix\n")


class Input:
    """One input of an assembler call: its name, its text, the text as ported, and what there is to tell."""

    def __init__(self, path: str) -> None:
        self.name = STANDARD_INPUT if path == "-" else path
        self.text = read_text(path)
        self.ported, self.told = _as_gas_reads_it(self.text), ""
        self.sites: Sequence[Site] = ()

    def port(self, call: Call) -> None:
        """Port it. Raises PortError."""
        if _LINK_TIME_CODE in self.text:
            raise PortError(f"{self.name}: made for link-time optimisation, which hides code from the assembler: "
                            f"add -fno-lto")
        if ".include" in self.text or may_be_sensitive(self.text, not (call.intel or call.naked)):
            from porter.asm_includes import port_with_includes
            from porter.model import Syntax

            ported = port_with_includes(self.ported, self.name, call.include_path, Syntax(call.intel, call.naked))
            self.ported, self.told, self.sites = ported.text, report(ported.sites), ported.sites


def port_call(call: Call) -> tuple[str | None, list[Input]]:
    """Port the inputs of an assembler call.

    Returns the text for the assembler's standard input, None where the call can go ahead as it is, and what became of
    each input. Raises PortError.
    """
    inputs = [Input(path) for path in call.inputs]
    for one in inputs:
        one.port(call)
    pieces = [f'# 1 "{_quoted(one.name)}"\n{one.ported}' for one in inputs]
    if all(one.ported == one.text for one in inputs):
        return ("".join(pieces) if "-" in call.inputs else None), inputs
    from porter.statements import macro_text

    # By the option alone, GAS takes no segment override, which the macros have; by the directive it does.
    syntax = f".intel_syntax {'noprefix' if call.naked else 'prefix'}\n" if call.intel else ""
    return macro_text([site for one in inputs for site in one.sites]) + syntax + "".join(pieces), inputs


def _quoted(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def report(sites: Sequence[Site]) -> str:
    """What to tell of instructions that stay and should not: a line for each file and reason."""
    groups: dict[tuple[str, str], list[Site]] = {}
    for site in sites:
        if site.treatment in ("left", "refused"):
            groups.setdefault((site.file, site.item.reason), []).append(site)
    told = ""
    for (file, reason), members in groups.items():
        first = members[0]
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        told += f"{file}:{first.line}: ring3: `{' '.join(first.text.split())}`{more} not ported: {reason}\n"
    return told
