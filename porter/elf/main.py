"""``ring3 port KERNEL.elf -o OUT.elf``: port a linked binary."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from porter import interrupts
from porter.binary import survey
from porter.binary.image import load
from porter.elf.port import Ported, find_port, port
from porter.elf.ran import ran
from porter.elf.report import binary_report
from porter.elf.write import elf_file
from porter.errors import PortError
from porter.files import pending
from porter.profile import Profile
from porter.progress import Bar
from porter.report import Report, json_text
from porter.report_terminal import print_binary

UNSURE = 1
"""Exit status where something was refused: it runs silently wrong, if it is code."""
_OF_TREES = ("exclude", "syntax", "patch")  # options


def port_file(options: argparse.Namespace, read_profile: Callable[[Path], Profile]) -> int:
    """Port the file that `options` name; returns the exit status. Raises PortError and Interrupted, and what
    `read_profile` does."""
    for name in _OF_TREES:
        if getattr(options, name):
            raise PortError(f"--{name} is for source trees, and {options.dir} is a file")
    if options.user and options.profile:
        raise PortError("--profile tells of kernels, and --user is for programs; leave one out")
    bar = Bar()
    with interrupts.watched(), ExitStack() as stack:
        stack.callback(bar.close)
        _check_output(options)
        image = load(options.dir)
        seen = ran(read_profile(options.profile), image) if options.profile else ()
        ported = port(image, progress=bar.show, guesses=options.guesses, user=options.user, ran=seen)
        report = binary_report(ported, str(options.output) if options.output else None)
        written = _write(options, ported, report)
    print_binary(report, sys.stdout, str(written.get("page", "")))
    for label, path in written.items():
        print(f"{label}: {path}")
    if not options.user and ported.looks_like_a_program:
        print(f"ring3: {options.dir} makes system calls and loads no tables, as a program does that runs in ring 3: if "
              "it is one, port it with --user", file=sys.stderr)  # fmt: skip
    return UNSURE if report.of("refused") else 0


def _check_output(options: argparse.Namespace) -> None:
    out: Path | None = options.output
    if out is None:
        return
    if out.exists() and out.samefile(options.dir):
        raise PortError(f"{out}: is the file itself, which stays as it is: choose another file with -o")
    if out.is_dir():
        raise PortError(f"{out}: is a directory: name a file with -o")
    if not out.absolute().parent.is_dir():
        raise PortError(f"{out.absolute().parent}: no such directory: make it first")
    if out.exists() and not options.force and not _is_ported(out):
        raise PortError(f"{out}: exists, and is no ported file: remove it, or give --force to replace it")


def _is_ported(path: Path) -> bool:
    try:
        image = load(path)
        return find_port(image) is not None or bool(survey(path, lines=False).replaced)
    except PortError:
        return False


def _write(options: argparse.Namespace, ported: Ported, report: Report) -> dict[str, Path]:
    """Write what is wanted, all of it or nothing; the files by what they are."""
    out: Path | None = None if options.dry_run else options.output
    wanted = {
        "program" if options.user else "kernel": out,
        "report": options.report or (out and out.with_name(f"{out.name}.json")),
        "page": options.html or (out and out.with_name(f"{out.name}.html")),
    }
    with pending() as files:
        if out:
            files.write(out, elf_file(ported), like=options.dir)
        if wanted["report"]:
            files.write(wanted["report"], json_text(report).encode())
        if wanted["page"]:
            from porter.report_html import page

            files.write(wanted["page"], page(report).encode("utf-8", "backslashreplace"))
        interrupts.checkpoint()
        files.put_in_place()
    return {label: path for label, path in wanted.items() if path}
