"""``ring3 check FILE``: what is left to port in compiled code.

The file is an i386 ELF executable or object file. Exit status: 0 nothing is left (or all that is left
needs no porting), 1 something is left, 2 the file cannot be checked.

``--json`` writes one object:

``file``         the path as given
``left``         sites that must be ported, in address order
``native``       sensitive instructions that rightly stay, same form
``unreached``    sensitive instructions in bytes of executable sections that nothing shows to be code
``ported``       replacement name -> number of sites
``real_mode``    16-bit code: ``section``, ``start``, ``end``
``after_real_mode``  32-bit code that only 16-bit code leads to, same form
``undecodable``  where the flow led to bytes that are no known instruction: ``section``, ``address``

A site has ``address`` (link address; in an object file the offset in its section), ``section``, ``bytes``
(hex), ``text`` (Intel syntax), ``symbol`` and ``offset``, ``file`` and ``line`` (null without debug
information), ``class``, ``effect`` (traps, silent, native), ``remark``, ``evidence`` (flow, symbol,
reference, adjacent, none), ``physical`` (load address; null in an object file) and ``file_offset``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from porter.binary import Site, Survey, survey
from porter.binary.sensitive import Effect
from porter.errors import PortError

_STYLES = {Effect.SILENT: "red", Effect.TRAPS: "yellow", Effect.NATIVE: "green"}
_UNREACHED = "in bytes that nothing shows to be code"
_PLAIN_WIDTH = 1000  # columns where nobody sees a terminal: never wrap


def main(argv: list[str] | None = None) -> int:
    """Run the command. Returns the exit status; bad input gives one line on standard error."""
    options = _parser().parse_args(argv)
    try:
        result = survey(options.file)
        if options.json:
            _write_json(result, options.file, options.json)
    except PortError as error:
        print(f"ring3: {error}", file=sys.stderr)
        return 2
    if options.json != "-":
        Report(result, options.file, options.all, sys.stdout).print()
    return 1 if result.left else 0


def _parser() -> argparse.ArgumentParser:
    details = (__doc__ or "").partition("\n\n")[2]
    parser = argparse.ArgumentParser(
        prog="ring3 check",
        description="List the privileged and sensitive instructions that are left in compiled i386 code.",
        epilog=details.replace("``", ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("file", help="i386 ELF executable or object file")
    parser.add_argument(
        "--all",
        action="store_true",
        help="also list the instructions that rightly stay and those in unreached bytes",
    )
    parser.add_argument("--json", metavar="FILE", help="also write everything as JSON; - writes only that, to stdout")
    return parser


def as_json(result: Survey, name: str) -> dict[str, Any]:
    """The survey in the form that the module's docstring describes."""
    return {
        "file": name,
        "left": [_site_json(site) for site in result.left],
        "native": [_site_json(site) for site in result.native],
        "unreached": [_site_json(site) for site in result.unreached],
        "ported": dict(sorted(result.ported.items())),
        "real_mode": _ranges_json(result.real_mode),
        "after_real_mode": _ranges_json(result.after_real_mode),
        "undecodable": [{"section": s, "address": address} for s, address in result.undecodable],
    }


def _ranges_json(ranges: list[tuple[str, int, int]]) -> list[dict[str, Any]]:
    return [{"section": section, "start": start, "end": end} for section, start, end in ranges]


def _site_json(site: Site) -> dict[str, Any]:
    symbol, offset = site.symbol or (None, None)
    file, line = site.source or (None, None)
    return {
        "address": site.address,
        "section": site.section,
        "bytes": site.code.hex(),
        "text": site.text,
        "symbol": symbol,
        "offset": offset,
        "file": file,
        "line": line,
        "class": site.kind.name,
        "effect": site.kind.effect.value,
        "remark": site.kind.remark,
        "evidence": site.evidence.name.lower(),
        "physical": site.physical,
        "file_offset": site.file_offset,
    }


def _write_json(result: Survey, name: str, target: str) -> None:
    text = json.dumps(as_json(result, name), indent=1) + "\n"
    if target == "-":
        sys.stdout.write(text)
        return
    try:
        Path(target).write_text(text)
    except OSError as error:
        raise PortError(f"{target}: cannot be written ({error.strerror}); name another file") from None


class Report:
    """The report for people: a table on a terminal, one plain line per site where piped."""

    def __init__(self, result: Survey, name: str, everything: bool, out: TextIO) -> None:
        self._result, self._name, self._everything = result, name, everything
        self._console = Console(file=out, highlight=False, emoji=False)
        if not self._console.is_terminal:
            self._console = Console(file=out, highlight=False, emoji=False, width=_PLAIN_WIDTH)

    def print(self) -> None:
        result = self._result
        self._sites("left to port", result.left)
        if self._everything:
            self._sites("stay as they are", result.native)
            self._sites(_UNREACHED, result.unreached)
        for section, start, end in result.real_mode:
            self._say(
                f"{section} {start:#x}-{end:#x}: 16-bit code, which cannot run in ring 3; not checked "
                "(the loader enters at the 32-bit entry point)"
            )
        for section, start, end in result.after_real_mode:
            self._say(
                f"{section} {start:#x}-{end:#x}: 32-bit code that only 16-bit code leads to; not checked "
                "(a guest has no real mode to come from)"
            )
        for section, address in result.undecodable:
            self._say(f"{section} {address:#x}: the code leads here, but this is no known instruction")
        if result.ported:
            counts = ", ".join(f"{name} {count}" for name, count in result.ported.most_common())
            self._say(f"{result.ported.total()} ported: {counts}")
        self._say(self._verdict())

    def _verdict(self) -> str:
        result = self._result
        parts = []
        if result.left:
            effects = Counter(site.kind.effect for site in result.left)
            parts += [f"{count} {_of(count, effect)}" for effect, count in effects.items()]
            verdict = f"{len(result.left)} left to port ({'; '.join(parts)})"
        else:
            verdict = "nothing left to port"
        if not self._everything:
            hidden = ((result.native, "that rightly stay"), (result.unreached, _UNREACHED))
            counts = [f"{len(sites)} {what}" for sites, what in hidden if sites]
            if counts:
                verdict += f"; not listed: {', '.join(counts)} (--all)"
        return f"{self._name}: {verdict}"

    def _sites(self, title: str, sites: list[Site]) -> None:
        if not sites:
            return
        if not self._console.is_terminal:
            for site in sites:
                self._say(
                    f"{_place(site)}: {site.text}  [{site.code.hex(' ')}]  {_symbol(site)}  "
                    f"{site.kind.name}: {site.kind.effect.meaning} ({site.kind.remark})"
                )
            return
        table = Table(title=Text(f"{self._name}: {title}"), title_justify="left")
        for column in ("address", "instruction", "where", "source", "class", "what happens"):
            table.add_column(column, no_wrap=column == "address", overflow="fold")
        for site in sites:
            effect = site.kind.effect
            table.add_row(
                f"{site.address:#x}",
                Text.assemble(site.text, "\n", (site.code.hex(" "), "dim")),
                Text(_symbol(site)),
                Text(_source(site)),
                site.kind.name,
                Text.assemble((effect.meaning, _STYLES[effect]), "\n", (site.kind.remark, "dim")),
            )
        self._console.print(table)

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, soft_wrap=True)


def _of(count: int, effect: Effect) -> str:
    if effect is Effect.SILENT:
        return "runs silently wrong" if count == 1 else "run silently wrong"
    return "traps and is emulated, slow" if count == 1 else "trap and are emulated, slow"


def _place(site: Site) -> str:
    source = _source(site)
    return f"{site.address:#010x} {source}" if source else f"{site.address:#010x} {site.section}"


def _source(site: Site) -> str:
    return f"{site.source[0]}:{site.source[1]}" if site.source else ""


def _symbol(site: Site) -> str:
    if site.symbol is None:
        return "(no symbol)"
    name, offset = site.symbol
    return f"{name}+{offset:#x}" if offset else name
