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
_UNPORTABLE_OPTIONS = frozenset({"-msyntax=intel", "-mmnemonic=intel", "-mnaked-reg"})
_LINK_TIME_CODE = ".gnu.lto_"  # the beginning of the names of its sections


class Call:
    """An assembler command line (without the program name), taken apart."""

    def __init__(self, args: Sequence[str]) -> None:
        self.options: list[str] = []
        self.inputs: list[str] = []  # "-" is standard input
        self.include_path: list[str] = []  # where `.include` looks
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


def port_call(call: Call) -> tuple[str | None, list[Site], list[str]]:
    """Port the inputs of an assembler call.

    Returns the text for the assembler's standard input, None where the call can go ahead as it is, the sensitive
    instructions that stay unported, and the inputs' texts. Raises PortError.
    """
    for option in call.options:
        if option in _UNPORTABLE_OPTIONS:
            raise PortError(f"{option}: only AT&T syntax can be ported: leave the option out")
    pieces: list[str] = []
    originals: list[str] = []
    unported: list[Site] = []
    changed = False
    for path in call.inputs:
        name = STANDARD_INPUT if path == "-" else path
        text = read_text(path)
        originals.append(text)
        if _LINK_TIME_CODE in text:
            raise PortError(f"{name}: made for link-time optimisation, which hides code from the assembler: add -fno-lto")
        if ".include" in text or may_be_sensitive(text):
            from porter.asm_includes import port_with_includes

            ported = port_with_includes(text, name, call.include_path)
            changed = changed or ported.text != text
            unported += [site for site in ported.sites if not site.item.changes]
            text = ported.text
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        pieces.append(f'# 1 "{quoted}"\n{text}')
    if not changed:
        return ("".join(pieces) if "-" in call.inputs else None), unported, originals
    from porter.statements import macro_text

    return macro_text() + "".join(pieces), unported, originals


def report(sites: Sequence[Site]) -> None:
    """Tell on standard error what stays unported: one line for each file and reason."""
    groups: dict[tuple[str, str], list[Site]] = {}
    for site in sites:
        if site.treatment in ("left", "refused"):
            groups.setdefault((site.file, site.item.reason), []).append(site)
    for (file, reason), members in groups.items():
        first = members[0]
        more = f" and {len(members) - 1} more" if len(members) > 1 else ""
        print(f"{file}:{first.line}: ring3: `{' '.join(first.text.split())}`{more} not ported: {reason}",
              file=sys.stderr)
