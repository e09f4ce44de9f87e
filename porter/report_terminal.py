"""Reports on a terminal: tables; where piped, a check is one plain line for each site."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TextIO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from porter.catalogue_model import Ring3
from porter.report import COSTS, MEANING, TREATMENTS, UNREACHED, Entry, Input, Report, plain, source, symbol

_PLAIN_WIDTH = 1000  # columns where nobody sees a terminal: never wrap
_MOST_FILES = 40  # rows of a table of files
_STYLES = {Ring3.TRAPS.value: "yellow", Ring3.SILENT.value: "red", "native": "green"}


def console(out: TextIO) -> Console:
    """A console that does not wrap what is not for a terminal."""
    made = Console(file=out, highlight=False, emoji=False)
    return made if made.is_terminal else Console(file=out, highlight=False, emoji=False, width=_PLAIN_WIDTH)


def _say(to: Console, text: str) -> None:
    to.print(text, markup=False, soft_wrap=True)


def _classes(report: Report, treatments: Iterable[str]) -> Table:
    table = Table("class", *treatments, *COSTS[:-1])
    costs: dict[str, Counter[str]] = {}
    for entry in report.entries:
        costs.setdefault(entry.group, Counter())[entry.cost] += 1
    for name, counts in report.by_class().items():
        table.add_row(name, *(str(counts[t] or "") for t in treatments),
                      *(str(costs[name][c] or "") for c in COSTS[:-1]))
    return table


def _files(report: Report, treatments: Iterable[str], where: str) -> Table:
    table = Table("file", *treatments)
    counted = report.by_file()
    for name, counts in sorted(counted.items(), key=lambda item: -item[1].total())[:_MOST_FILES]:
        table.add_row(Text(name or "(source not known)"), *(str(counts[t] or "") for t in treatments))
    if len(counted) > _MOST_FILES:
        table.add_row(f"and {len(counted) - _MOST_FILES} more{where}")
    return table


def print_binary(report: Report, out: TextIO, page: str = "") -> None:
    """The report of a binary port: classes, tactics, and what is not ported, with the reason."""
    to = console(out)
    more = f": {page}" if page else ""
    if report.entries:
        to.print(_classes(report, TREATMENTS))
    unported = report.of("left", "refused")
    if unported:
        rest = Table("not ported", "address", "bytes", "at", "why")
        for entry in sorted(unported, key=lambda entry: entry.treatment != "refused")[:_MOST_FILES]:
            assert entry.place
            rest.add_row(Text(entry.text), f"{entry.place.address:#010x}", entry.place.code.hex(" "),
                         Text(source(entry) or symbol(entry)), Text(f"{entry.treatment}: {entry.reason}"))
        if len(unported) > _MOST_FILES:
            rest.add_row(f"and {len(unported) - _MOST_FILES} more{more}")
        to.print(rest)
    tactics = Counter(entry.tactic for entry in report.of("ported"))
    told = ", ".join(f"{count} {tactic}" for tactic, count in tactics.most_common())
    ported, left, refused = (len(report.of(treatment)) for treatment in ("ported", "left", "refused"))
    _say(to, f"{ported} instructions ported{f' ({told})' if told else ''}, {left} left to trap, {refused} refused")


def print_port(report: Report, out: TextIO, page: str = "") -> None:
    """The report of a port: classes, files, what is not ported with the reason, build files, hot places.

    `page` is the file where the rest of long tables is found, if there is one.
    """
    assert report.port
    to, port = console(out), report.port
    treatments = TREATMENTS[:-1]
    more = f": {page}" if page else ""
    if report.entries:
        to.print(_classes(report, treatments))
        to.print(_files(report, treatments, more))
    unported = [entry for entry in report.entries if entry.treatment != "ported"]
    if unported:
        rest = Table("not ported", "sites", "first at", "why", "what to do")
        groups: dict[tuple[str, str], list[Entry]] = {}
        for entry in unported:
            groups.setdefault((entry.file, entry.reason), []).append(entry)
        for (file, reason), group in list(groups.items())[:_MOST_FILES]:
            rest.add_row(Text(" ".join(group[0].text.split())), str(len(group)), Text(f"{file}:{group[0].line}"),
                         Text(reason.partition(": ")[0] if group[0].remedy in reason else reason),
                         Text(group[0].remedy))
        if len(groups) > _MOST_FILES:
            rest.add_row(f"and {len(groups) - _MOST_FILES} more{more}")
        to.print(rest)
    if port.hot:
        table = Table("hot place", "times", "time", "source", "what is done")
        for place in port.hot[:_MOST_FILES]:
            table.add_row(Text(place.what), f"{place.times:,}", f"{place.seconds * 1000:,.1f} ms",
                          Text(f"{place.file}:{place.line}" if place.file else place.symbol), Text(place.action))
        to.print(table)
    for proposal in port.proposals:
        _say(to, f"{proposal.file}:{proposal.line}: {proposal.why}")
        _say(to, f"  - {proposal.before}\n  + {proposal.after}")
    for path in port.kept:
        _say(to, f"{path}: kept as it was changed in the ported tree")
    again = f" ({port.reused} as before)" if port.reused else ""
    _say(to, f"{port.scanned} files read{again}, {len(port.changed)} changed, "
             f"{len(report.of('ported'))} instructions ported, {len(unported)} not")


def print_check(report: Report, everything: bool, out: TextIO) -> None:
    """The report of a check, a verdict for each file last. `everything`: what rightly stays, too."""
    to = console(out)
    by_input: dict[str, list[Entry]] = {}
    for entry in report.entries:
        by_input.setdefault(entry.input, []).append(entry)
    many = len(report.inputs) > 1
    for one in report.inputs:
        _input(to, one, by_input.get(one.name, []), everything, many)
    if to.is_terminal and many and report.of("left"):
        to.print(_classes(report, ("left", "stays", "unreached")))
        to.print(_files(report, ("left", "stays", "unreached"), ""))
    if many:
        left = len(report.of("left"))
        with_code = sum(one.kind == "code" for one in report.inputs)
        _say(to, f"{len(report.inputs)} files, {with_code} with code: "
                 f"{f'{left} left to port' if left else 'nothing left to port'}")


def _input(to: Console, one: Input, entries: list[Entry], everything: bool, many: bool) -> None:
    parts = {name: [entry for entry in entries if entry.treatment == name] for name in TREATMENTS}
    _sites(to, one.name, "left to port", parts["left"], many)
    if everything:
        _sites(to, one.name, "stay as they are", parts["stays"], many)
        _sites(to, one.name, UNREACHED, parts["unreached"], many)
    where = f"{one.name}: " if many else ""
    for section, start, end in one.real_mode:
        _say(to, f"{where}{section} {start:#x}-{end:#x}: 16-bit code, which cannot run in ring 3; not checked "
                 "(the loader enters at the 32-bit entry point)")
    for section, start, end in one.after_real_mode:
        _say(to, f"{where}{section} {start:#x}-{end:#x}: 32-bit code that only 16-bit code leads to; not checked "
                 "(a guest has no real mode to come from)")
    for section, address in one.undecodable:
        _say(to, f"{where}{section} {address:#x}: the code leads here, but this is no known instruction")
    if one.ported and not many:
        counts = ", ".join(f"{name} {count}" for name, count in one.ported.most_common())
        _say(to, f"{one.ported.total()} ported: {counts}")
    if not many or parts["left"] or everything:
        _say(to, _verdict(one, parts, everything))


def _verdict(one: Input, parts: dict[str, list[Entry]], everything: bool) -> str:
    if one.kind != "code":
        return f"{one.name}: no code"
    left = parts["left"]
    verdict = "nothing left to port"
    if left:
        effects = Counter(entry.ring3 for entry in left)
        verdict = f"{len(left)} left to port ({'; '.join(_of(count, name) for name, count in effects.items())})"
    if not everything:
        hidden = ((parts["stays"], "that rightly stay"), (parts["unreached"], UNREACHED))
        counts = [f"{len(sites)} {what}" for sites, what in hidden if sites]
        if counts:
            verdict += f"; not listed: {', '.join(counts)} (--all)"
    return f"{one.name}: {verdict}"


def _of(count: int, ring3: str) -> str:
    if ring3 == Ring3.SILENT.value:
        return f"{count} runs silently wrong" if count == 1 else f"{count} run silently wrong"
    return f"{count} traps and is emulated, slow" if count == 1 else f"{count} trap and are emulated, slow"


def _sites(to: Console, name: str, title: str, entries: list[Entry], many: bool) -> None:
    if not entries:
        return
    if not to.is_terminal:
        for entry in entries:
            _say(to, f"{name}: {plain(entry)}" if many else plain(entry))
        return
    table = Table(title=Text(f"{name}: {title}"), title_justify="left")
    for column in ("address", "instruction", "where", "source", "class", "what happens"):
        table.add_column(column, no_wrap=column == "address", overflow="fold")
    for entry in entries:
        assert entry.place
        table.add_row(
            f"{entry.place.address:#x}", Text.assemble(entry.text, "\n", (entry.place.code.hex(" "), "dim")),
            Text(symbol(entry)), Text(source(entry)), entry.group,
            Text.assemble((MEANING[entry.ring3], _STYLES[entry.ring3]), "\n", (entry.reason, "dim")))
    to.print(table)
