"""The assembler stage: port what an assembler is about to read, then let it read that.

The ported text goes to the assembler's standard input, macros first, so no file is written but the
object. Line markers keep messages and debug information on the author's lines.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

from porter.asm_port import port_assembly
from porter.errors import PortError
from porter.model import Site
from porter.rewrite import Ported
from porter.statements import macro_text

STANDARD_INPUT = "{standard input}"  # the name that GAS itself gives it
_WITH_VALUE = frozenset({
    "-o", "-I", "--defsym", "--MD", "--debug-prefix-map", "--hash-size", "--listing-lhs-width",
    "--listing-lhs-width2", "--listing-rhs-width", "--listing-cont-lines",
})
_UNPORTABLE_OPTIONS = frozenset({"-msyntax=intel", "-mmnemonic=intel", "-mnaked-reg"})
_LINE_MARKER = re.compile(r'^[ \t]*#[ \t]*(?:line[ \t]+)?(\d+)[ \t]+"((?:\\.|[^"\\])*)"', re.MULTILINE)
_INCLUDE = re.compile(r'^[ \t]*\.include[ \t]+"([^"\n]+)"[^\n]*', re.MULTILINE)


class Call(NamedTuple):
    """An assembler command line: its options, its inputs, and where `.include` looks."""

    options: tuple[str, ...]
    inputs: tuple[str, ...]  # "-" is standard input
    include_path: tuple[str, ...]
    bits: int | None  # None: the assembler's default


def parse_arguments(args: Sequence[str]) -> Call:
    """Split an assembler's arguments (without the program name)."""
    options: list[str] = []
    inputs: list[str] = []
    include_path: list[str] = []
    bits = None
    rest = iter(args)
    for arg in rest:
        if arg in ("-", "--"):
            inputs.append("-")
        elif not arg.startswith("-"):
            inputs.append(arg)
        else:
            options.append(arg)
            value = arg[2:] if arg.startswith("-I") else ""
            if arg in _WITH_VALUE:
                value = next(rest, "")
                options.append(value)
            if arg.startswith("-I"):
                include_path.append(value)
            bits = {"--32": 32, "--64": 64, "--x32": 64}.get(arg, bits)
    return Call(tuple(options), tuple(inputs) or ("-",), tuple(include_path), bits)


def read_text(path: str) -> str:
    """The text of an input, a character for each byte. Raises PortError."""
    try:
        if path == "-":
            return sys.stdin.buffer.read().decode("latin-1")
        with open(path, encoding="latin-1", newline="") as file:
            return file.read()
    except OSError as error:
        raise PortError(f"{path}: {error.strerror}: check the path of the assembly file") from None


def _with_includes(text: str, name: str, include_path: Sequence[str], port: Callable[[str, str], Ported],
                   depth: int = 0) -> Ported:
    """Port a text, and in place of each `.include` whose file needs porting, the ported file."""
    ported = port(text, name)
    if ".include" not in text or depth > 20:  # GAS gives up on nested includes far later; a cycle ends here
        return ported
    sites = list(ported.sites)

    def include(match: re.Match[str]) -> str:
        candidates = [match[1], *(os.path.join(directory, match[1]) for directory in include_path)]
        path = next((c for c in candidates if os.path.isfile(c)), None)
        if path is None:
            return match[0]  # the assembler says so itself
        inner = _with_includes(read_text(path), path, include_path, port, depth + 1)
        sites.extend(inner.sites)
        if not any(site.item.macro for site in inner.sites):
            return match[0]
        line = ported.text.count("\n", 0, match.start()) + 2
        return f'# 1 "{path}"\n{inner.text}\n# {line} "{name}"'

    return Ported(_INCLUDE.sub(include, ported.text), tuple(sites))


def port_call(call: Call) -> tuple[str | None, list[Site]]:
    """Port the inputs of an assembler call.

    Returns the text for the assembler's standard input, None where the call can go ahead as it is, and
    the sensitive instructions that were found. Raises PortError.
    """
    unportable = _UNPORTABLE_OPTIONS.intersection(call.options)
    if unportable:
        raise PortError(f"{unportable.pop()}: only AT&T syntax can be ported: leave the option out")
    pieces: list[str] = []
    sites: list[Site] = []
    changed = False
    for path in call.inputs:
        name = STANDARD_INPUT if path == "-" else path
        text = read_text(path)
        ported = _with_includes(text, name, call.include_path, port_assembly)
        changed = changed or ported.text != text
        sites += [_located(site, text) for site in ported.sites if not site.item.changes]
        pieces.append(f'# 1 "{name}"\n{ported.text}')
    if not changed and "-" not in call.inputs:
        return None, sites
    return (macro_text() if changed else "") + "".join(pieces), sites


def _located(site: Site, text: str) -> Site:
    """A site with the file and line that the author knows, as told by the line marker above it."""
    lines = text.split("\n")
    for index in range(site.line - 2, -1, -1):
        marker = _LINE_MARKER.match(lines[index])
        if marker:
            return site._replace(file=marker[2], line=int(marker[1]) + site.line - index - 2)
    return site


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
