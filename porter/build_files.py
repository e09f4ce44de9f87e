"""The lines of build files that a ported tree needs changed, where its build does one of the few things that do.

A ported file brings the macros by an include that is relative to the file itself, so most builds need nothing.
What can stand in the way, each found where a line of a build file shows it:

* an assembler that is run in another directory than the top one does not find ``ring3.inc``;
* a ``.S`` file that goes to the assembler without the C preprocessor does not get ``ring3.h``;
* a preprocessor that reads standard input looks for includes in the directory that it runs in;
* a linker script that includes a ported header gets its macros, which are no linker script;
* link-time optimisation spreads code over several assembler runs, of which one has the macros.

Nothing is proposed for what no line shows.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from porter.report import Proposal
from porter.tree_files import ASSEMBLY, HEADER, SOURCE, SOURCES, read_text

_MAKEFILES = frozenset({"Makefile", "makefile", "GNUmakefile"})
_OTHERS = frozenset({"CMakeLists.txt", "meson.build", "meson_options.txt", "SConstruct", "SConscript", "Kbuild",
                     "configure.ac", "BUILD", "build.ninja"})
_SUFFIXES = frozenset({".mk", ".mak", ".make", ".cmake", ".ninja"})
_SCRIPT = re.compile(r"\.(?:lds?|x|ld)(?:\.S|\.h|\.in|\.c)?\Z")

_COMMENT = re.compile(r"[ \t]*#")
_LTO = re.compile(r"(?<![\w-])-flto(?:=(?:\$[({]\w+[)}]|[\w-]+))?(?![\w-])")
_CMAKE_LTO = re.compile(r"(INTERPROCEDURAL_OPTIMIZATION\w*[ \t]+)(?:ON|TRUE|1|YES)\b", re.IGNORECASE)
_MESON_LTO = re.compile(r"\bb_lto=true\b")
_RULE = re.compile(r"^(?![\t#])([^:=\n]+):(?!=)([^=\n]*)$")
_AS = re.compile(r"^(\t[@+-]*[ \t]*)(\$[({]AS[)}]|(?:[\w-]+-)?as)(?=[ \t])(.*)$")
_ASSEMBLES = re.compile(r"^(\t[@+-]*[ \t]*)(\$[({](?:AS|CC)[)}]|(?:[\w-]+-)?(?:as|gcc|cc|clang))(?=[ \t])")
_FLAGS = re.compile(r"^ASFLAGS[ \t]*[:+?]?=")
_STDIN = re.compile(r"(\$[({]CPP[)}]|\bcpp\b|[ \t]-E\b)([^|;<]*)<[ \t]*(?=\$<|[\w./]+\.S\b)")
_CPP = re.compile(r"(\$[({](?:CPP|CC|HOSTCC)[)}]|\bcpp\b|\bgcc\b|\bclang\b)")


class BuildFile(NamedTuple):
    path: str
    lines: list[str]

    @property
    def folder(self) -> str:
        return os.path.dirname(self.path)

    def proposal(self, index: int, after: str, why: str) -> Proposal:
        return Proposal(self.path, index + 1, self.lines[index], after, why)


def is_build_file(path: str) -> bool:
    """Whether a file of this name says how a tree is built."""
    name = os.path.basename(path)
    return name in _MAKEFILES | _OTHERS or os.path.splitext(name)[1] in _SUFFIXES or (
        name.startswith("Makefile.") and os.path.splitext(name)[1] not in SOURCES)


def proposals(root: Path, paths: Iterable[str], changed: Mapping[str, str],
              includes: Mapping[str, Collection[str]]) -> list[Proposal]:
    """What to change for a port that changed some files. `includes`: base names that a file includes.

    `changed` has the suffix of what each was treated as.

    Raises PortError for a build file that cannot be read.
    """
    paths = list(paths)
    files = [BuildFile(path, read_text(root / path).split("\n")) for path in paths
             if is_build_file(path) and (root / path).is_file()]
    if not changed:
        return []
    found: list[Proposal] = []
    for file in files:
        for index, line in enumerate(file.lines):
            if not _COMMENT.match(line):
                found += _in_line(file, index, line, changed)
        found += _plain_assembler(file, changed)
    found += _other_directory(files, changed)
    found += _linker_scripts(root, files, paths, changed, includes)
    return sorted(set(found))


def _of(suffixes: Collection[str], changed: Mapping[str, str]) -> list[str]:
    return [path for path in sorted(changed) if changed[path] in suffixes]


def _in_line(file: BuildFile, index: int, line: str, changed: Mapping[str, str]) -> Iterator[Proposal]:
    changes: tuple[tuple[re.Pattern[str], str | Callable[[re.Match[str]], str]], ...] = (
        (_LTO, "-fno-lto"), (_CMAKE_LTO, r"\1OFF"), (_MESON_LTO, "b_lto=false"))
    after = line
    for pattern, new in changes:
        after = pattern.sub(new, after)
    if after != line:
        yield file.proposal(index, after, "link-time optimisation spreads inline assembly over several assembler "
                                          "runs, of which one has the macros")
    after = _STDIN.sub(r"\1\2", line)
    if after != line and _of(SOURCE, changed):
        yield file.proposal(index, after, f"a preprocessor that reads standard input does not find {HEADER} beside "
                                          f"the source: name the file")


def _rules(file: BuildFile) -> Iterator[tuple[str, int]]:
    """The recipe lines of a makefile, each with the prerequisites (and targets) of its rule."""
    rule = ""
    for index, line in enumerate(file.lines):
        if line.startswith("\t"):
            yield rule, index
        elif match := _RULE.match(line):
            rule = f"{match[1]} {match[2]} "
        elif line.strip() and not _COMMENT.match(line):
            rule = ""


def _names(rule: str, suffix: str) -> bool:
    return re.search(rf"[\w%*]{re.escape(suffix)}(?=[ \t)]|$)", rule) is not None


def _plain_assembler(file: BuildFile, changed: Mapping[str, str]) -> Iterator[Proposal]:
    below = [path for path in _of(SOURCE, changed) if not file.folder or path.startswith(file.folder + "/")]
    for rule, index in _rules(file) if below else ():
        match = _AS.match(file.lines[index])
        if match and (_names(rule, ".S") or _names(match[3] + " ", ".S")):
            yield file.proposal(index, f"{match[1]}{_compiler(match[2])} -m32 -c{_through_compiler(match[3])}",
                                f"assembles .S without the C preprocessor, which brings {HEADER}: let the compiler "
                                f"assemble")


def _compiler(assembler: str) -> str:
    return "$(CC)" if "$" in assembler else re.sub(r"as\Z", "gcc", assembler)


def _through_compiler(arguments: str) -> str:
    """Arguments of the assembler as those of the compiler that runs it."""
    words = re.split(r"([ \t]+)", arguments)
    out, value = [], False
    for word in words:
        if value and word.strip():
            value = False
        elif word == "-o":
            value = True
        elif flags := re.fullmatch(r"\$([({])(\w*FLAGS)([)}])", word):
            word = f"${flags[1]}{flags[2]}:%=-Wa,%{flags[3]}"
        elif word.startswith("-") and not word.startswith("-I") and word != "-":
            word = f"-Wa,{word}"
        out.append(word)
    return "".join(out)


def _other_directory(files: list[BuildFile], changed: Mapping[str, str]) -> Iterator[Proposal]:
    makefiles = {file.folder: file for file in files if os.path.basename(file.path) in _MAKEFILES}
    folders: dict[str, list[str]] = {}
    for path in _of(ASSEMBLY, changed):
        folder = os.path.dirname(path)
        while folder and folder not in makefiles:
            folder = os.path.dirname(folder)
        if folder and _runs_itself(makefiles[folder], files):
            folders.setdefault(folder, []).append(path)
    for folder in sorted(folders):
        file, option = makefiles[folder], f"-I{os.path.relpath('.', folder)}"
        why = f"assembles {', '.join(folders[folder][:3])} in a directory where ring3.inc is not"
        recipes = [index for rule, index in _rules(file)
                   if _ASSEMBLES.match(file.lines[index]) and _names(rule + file.lines[index] + " ", ".s")]
        flags = [index for index, line in enumerate(file.lines) if _FLAGS.match(line)]
        for index in recipes:
            if option not in file.lines[index]:
                yield file.proposal(index, _ASSEMBLES.sub(rf"\1\2 {option}", file.lines[index]), why)
        if not recipes:
            if flags:
                yield file.proposal(flags[-1], f"{file.lines[flags[-1]]} {option}", why)
            else:  # make's own rule takes this
                last = len(file.lines) - (file.lines[-1] == "")
                yield Proposal(file.path, last + 1, "", f"ASFLAGS += {option}", why)


def _runs_itself(file: BuildFile, files: list[BuildFile]) -> bool:
    """Whether a makefile is run in its own directory, and is no part of another one."""
    included = re.compile(rf"^[ \t-]*s?include\b.*{re.escape(os.path.basename(file.path))}\b")
    return (any(line.startswith("\t") for line in file.lines)
            and not any(line.startswith("obj-") for line in file.lines)
            and not any(included.match(line) for other in files if other is not file for line in other.lines))


def _linker_scripts(root: Path, files: list[BuildFile], paths: list[str], changed: Mapping[str, str],
                    includes: Mapping[str, Collection[str]]) -> Iterator[Proposal]:
    """Preprocessed linker scripts whose includes lead to a ported header: its include guard, set, empties ours."""
    by_name: dict[str, list[str]] = {}
    for path in paths:
        by_name.setdefault(os.path.basename(path), []).append(path)
    for script in (path for path in paths if _SCRIPT.search(path) and (root / path).is_file()):
        own = includes.get(script) or re.findall(r'^[ \t]*#[ \t]*include[ \t]+[<"](?:[^>"\n]*/)?([^/>"\n]+)[>"]',
                                                 read_text(root / script), re.MULTILINE)
        if not _leads_to(own, changed, by_name, includes):
            continue
        name = re.escape(os.path.basename(script))
        for file in files:
            for rule, index in _rules(file):
                line = file.lines[index]
                if (re.search(rf"(?<![\w.]){name}(?![\w.])", rule + line) and _CPP.search(line)
                        and not re.search(r"[ \t]-[cT]\b", line) and "-DRING3_H" not in line):
                    yield file.proposal(index, _CPP.sub(r"\1 -DRING3_H", line, count=1),
                                        f"{script} includes a ported header, and macros are no linker script")


def _leads_to(names: Iterable[str], changed: Mapping[str, str], by_name: Mapping[str, list[str]],
              includes: Mapping[str, Collection[str]]) -> bool:
    seen: set[str] = set()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in seen:
            seen.add(name)
            for path in by_name.get(name, ()):
                if path in changed:
                    return True
                pending += includes.get(path, ())
    return False
