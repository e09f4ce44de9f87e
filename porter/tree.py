"""``ring3 port DIR -o OUT``: port a whole source tree, for review and for building without the wrapper.

The tree, the patch, the reports and the state are made beside their places and put there together at the end, so
that whatever ends the command leaves all of them or none.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from porter import interrupts, tree_output, tree_state
from porter.build_files import proposals
from porter.errors import PortError
from porter.files import Pending, pending
from porter.model import ATT, INTEL
from porter.patch import file_patch, new_file_patch
from porter.profile import Place, Profile, accesses, find, told
from porter.progress import Bar
from porter.report import Input, PortResult, Report, json_text
from porter.report_terminal import print_port
from porter.tree_files import Tree, read_text, walk
from porter.tree_output import Former
from porter.tree_port import Result, port_tree
from porter.workers import Workers, processors

_SYNTAXES = {"att": (ATT,), "intel": (INTEL,), "both": (ATT, INTEL)}


def _checked(root: Path, out: Path | None) -> None:
    if not root.is_dir():
        raise PortError(f"{root}: no such directory or file: name the tree of its sources, or the linked kernel")
    if out is None:
        return
    if out.resolve().is_relative_to(root.resolve()) or root.resolve().is_relative_to(out.resolve()):
        raise PortError(f"{out}: lies in the tree that is ported, or holds it: choose another place with -o")
    if not out.absolute().parent.is_dir():
        raise PortError(f"{out.absolute().parent}: no such directory: make it first")


def _beside(out: Path, suffix: str) -> Path:
    return out.with_name(out.name + suffix)


def _former(out: Path | None, force: bool, workers: Workers) -> Former | None:
    """The tree of a former port in the place of the new one. Raises PortError where another one is there."""
    if out is None or force or not (out.exists() or out.is_symlink()):
        return None
    state = tree_state.load(_beside(out, ".state"))
    if state is None or not out.is_dir():
        raise PortError(f"{out}: exists, and {_beside(out, '.state')} does not: remove it, or give --force to "
                        f"replace it")
    return tree_output.former(out, state, workers)


def _report(options: argparse.Namespace, tree: Tree, result: Result, kept: list[str], hot: list[Place]) -> Report:
    entries, places = told(hot, list(result.entries), result.nasm)
    includes = {path: seen.includes for path, seen in result.looks.items()}
    of_gas = {path: result.ported[path].suffix for path in result.changed
              if path not in result.nasm}  # NASM's find their macros everywhere
    build = proposals(options.dir, [file.path for file in tree.files], of_gas, includes)
    port = PortResult(str(options.output) if options.output else None, len(result.ported),
                      sum(one.reused for one in result.ported.values()), result.changed, sorted(result.added), kept,
                      build, places)
    lines = {path: one.lines for path, one in result.ported.items() if one.lines}
    return Report("port", [Input(str(options.dir), "tree")], entries, port, lines)


def _patch(root: Path, result: Result) -> bytes:
    parts = [one.patch for one in result.ported.values()]
    for path, text in result.added.items():  # of a tree that was ported before, with one that is there already
        parts.append(file_patch(path, read_text(root / path), text) if path in result.looks
                     else new_file_patch(path, text))
    return "".join(parts).encode("latin-1")


class _Places:
    """Where each output goes; None where it is not wanted."""

    def __init__(self, options: argparse.Namespace) -> None:
        out: Path | None = None if options.dry_run else options.output
        self.tree = out
        self.patch: Path | None = options.patch or (out and _beside(out, ".patch"))
        self.report: Path | None = options.report or (out and _beside(out, ".json"))
        self.page: Path | None = options.html or (out and _beside(out, ".html"))
        self.state = out and _beside(out, ".state")

    def write(self, files: Pending, options: argparse.Namespace, tree: Tree, result: Result,
              report: Report) -> None:
        if self.patch:
            files.write(self.patch, _patch(options.dir, result))
        if self.report:
            files.write(self.report, json_text(report).encode())
        if self.page:
            from porter.report_html import page

            files.write(self.page, page(report).encode("utf-8", "backslashreplace"))
        if self.state:
            files.write(self.state, tree_state.text(options.dir, tree, result).encode())


def _port(options: argparse.Namespace, profile: Profile | None, bar: Bar,
          stack: ExitStack) -> tuple[Report, _Places]:
    """Everything up to the finished result in its place. Raises PortError and Interrupted."""
    out: Path | None = options.output
    places = _Places(options)
    _checked(options.dir, out)
    workers = stack.enter_context(Workers(options.jobs))
    before = _former(out, options.force, workers) if out else None
    tree = walk(options.dir, options.exclude)
    stage = stack.enter_context(tree_output.stage(places.tree)) if places.tree else None
    files = stack.enter_context(pending())
    known = before.state.known if before else None
    hot = find(profile, [file.path for file in tree.files if file.source]) if profile else []
    result = port_tree(options.dir, tree, workers, bar, known, before and before.out, stage,
                       _SYNTAXES.get(options.syntax, ()), accesses(hot))
    kept = tree_output.kept(before, tree_output.wanted(tree, result)) if before else []
    report = _report(options, tree, result, kept, hot)
    places.write(files, options, tree, result, report)
    if places.tree and stage:
        _fill(stage, options.dir, tree, result, before, bar)
        interrupts.checkpoint()
        tree_output.put_in_place(stage, places.tree)
    files.put_in_place()
    return report, places


def _fill(stage: Path, root: Path, tree: Tree, result: Result, before: Former | None, bar: Bar) -> None:
    for _ in bar.over("writing", tree_output.fill(stage, root, tree, result, before), len(tree.files)):
        pass


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ring3 port",
        description="Port a kernel's source tree (C, and assembly for GAS and NASM): a ported copy, a patch, a report. "
                    "Where a former port wrote OUT, only what changed since is ported, and what else is found there is "
                    "kept. Or port a linked kernel, an ELF file, without its source: a ported file, a report. Exit "
                    "status 1: of a linked kernel something was refused, since it may be data.")
    parser.add_argument("dir", metavar="DIR|KERNEL", type=Path,
                        help="the source tree, or the linked kernel; it is not changed")
    parser.add_argument("-o", "--output", metavar="OUT", type=Path, help="where the ported tree, or kernel, goes")
    parser.add_argument("--force", action="store_true", help="replace OUT, whatever it holds")
    parser.add_argument("--exclude", metavar="PATTERN", action="append", default=[],
                        help="leave files alone whose path in the tree matches, such as 'arch/arm/*'; repeatable")
    parser.add_argument("--syntax", choices=_SYNTAXES,
                        help="the syntax of assembly that would do in either, by what the build says with -masm "
                             "(default: as the rest of the file, or of the tree)")
    parser.add_argument("--jobs", metavar="N", type=_positive, default=processors(),
                        help="processors to use (default: all)")
    parser.add_argument("--profile", metavar="FILE", type=Path,
                        help="a trace or a coverage file of the kernel: the places that trapped are named in the "
                             "report, and accesses to device memory in assembly sources, but NASM's, become gates; "
                             "give it at each port. Of a linked kernel: what trapped is code")
    parser.add_argument("--guesses", action="store_true",
                        help="of a linked kernel: port what looks like code, too, where nothing proves that it is "
                             "(docs/porting-binaries.md)")
    parser.add_argument("--user", action="store_true",
                        help="the linked file is no kernel, but a program that one runs in ring 3")
    parser.add_argument("--dry-run", action="store_true",
                        help="write no tree; a patch, report or page only where named")
    parser.add_argument("--patch", metavar="FILE", type=Path, help="where the patch goes (default OUT.patch)")
    parser.add_argument("--report", metavar="FILE", type=Path, help="where the JSON report goes (default OUT.json)")
    parser.add_argument("--html", metavar="FILE", type=Path,
                        help="where the report as a page for a browser goes (default OUT.html)")
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text} is no number of processors")
    return int(text)


def _no_profile(path: Path) -> Profile:
    raise PortError(f"{path}: only the command `ring3 port` can read a trace")


def main(argv: Sequence[str] | None = None, read_profile: Callable[[Path], Profile] = _no_profile) -> int:
    """``ring3 port DIR -o OUT``. Returns 0, or 2 with one line on standard error for bad input.

    `read_profile` reads a trace, of whose form the porter knows nothing; what it raises, `main` lets pass.
    """
    parser = _arguments()
    options = parser.parse_args(argv)
    if options.output is None and not options.dry_run:
        parser.error("where to? give -o OUT, or --dry-run to see what would be done")
    bar = Bar()
    try:
        if options.dir.is_file():
            from porter.elf.main import port_file

            return port_file(options, read_profile)
        for name in ("guesses", "user"):
            if getattr(options, name):
                raise PortError(f"--{name} is for linked files, and {options.dir} is none")
        profile = read_profile(options.profile) if options.profile else None
        with interrupts.watched():
            try:
                with ExitStack() as stack:
                    report, places = _port(options, profile, bar, stack)
            finally:
                bar.close()
    except PortError as error:
        print(f"ring3: {error}", file=sys.stderr)
        return 2
    except interrupts.Interrupted as signal:
        signal.die()
    print_port(report, sys.stdout, str(places.page or ""))
    for label in ("tree", "patch", "report", "page"):
        if path := getattr(places, label):
            print(f"{label}: {path}")
    return 0
