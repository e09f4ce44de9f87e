"""``ring3 check FILE...``: what is left to port in compiled code.

The files are i386 ELF executables, object files, or archives of them, thin ones too. Exit status: 0 nothing is
left (or all that is left needs no porting), 1 something is left, 2 a file cannot be checked.

The report is that of ``ring3 port``: see ``report`` and docs/report-format.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from porter.binary import survey_all
from porter.binary.image import NoCode
from porter.binary.survey import Survey
from porter.elf.ported_file import survey_ported
from porter.errors import PortError
from porter.files import write_files
from porter.report import Report, code_report, json_text


def check(files: Iterable[Path | str]) -> Report:
    """Check compiled files, or the members of archives. Raises PortError for what cannot be checked.

    A file without code is none of those: its `Input.kind` says so.
    """
    surveys: list[Survey] = []
    for file in files:
        try:
            ported = survey_ported(Path(file))
            surveys += [ported] if ported else survey_all(file)
        except NoCode:
            surveys.append(Survey(Path(file), has_code=False))
    return code_report(surveys)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command. Returns the exit status; bad input gives one line on standard error."""
    options = _parser().parse_args(argv)
    try:
        report = check(options.file)
        if all(one.kind == "no code" for one in report.inputs):
            raise PortError(f"{options.file[0]}: has no executable section or segment; name the linked kernel")
        outputs = []
        if options.json not in (None, "-"):
            outputs.append((Path(options.json), json_text(report).encode()))
        if options.html:
            from porter.report_html import page

            outputs.append((options.html, page(report).encode("utf-8", "backslashreplace")))
        write_files(outputs)
    except PortError as error:
        print(f"ring3: {error}", file=sys.stderr)
        return 2
    if options.json == "-":
        sys.stdout.write(json_text(report))
    else:
        from porter.report_terminal import print_check  # brings rich, which a build that verifies itself can spare

        print_check(report, options.all, sys.stdout)
    return 1 if report.of("left") else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ring3 check",
        description="List the privileged and sensitive instructions that are left in compiled i386 code.",
        epilog="Exit status: 0 nothing is left, 1 something is, 2 a file cannot be checked.")
    parser.add_argument("file", metavar="FILE", nargs="+", help="i386 ELF executable, object file or archive")
    parser.add_argument("--all", action="store_true",
                        help="also list the instructions that rightly stay and those in unreached bytes")
    parser.add_argument("--json", metavar="FILE",
                        help="also write everything as JSON; - writes only that, to standard output")
    parser.add_argument("--html", metavar="FILE", type=Path, help="also write everything as a page for a browser")
    return parser
