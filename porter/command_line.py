"""Compiler command lines, as far as the wrapper must understand them.

The tables serve the program in ``stage/`` too, which gives to Python whatever has a word of `HARD` in it.
"""

from __future__ import annotations

import os

from porter.errors import PortError

C_COMPILERS = ("cc", "gcc", "clang")
CXX_COMPILERS = ("c++", "g++", "clang++")

# What a first word ends in that is a file to compile and no compiler.
INPUT_SUFFIXES = (".c", ".cc", ".cp", ".cpp", ".cxx", ".c++", ".C", ".i", ".ii", ".s", ".S", ".sx", ".h", ".hh", ".hpp",
                  ".o", ".a", ".so", ".lo", ".obj")

# With one of these a compiler does not come to assembling.
NOT_ASSEMBLING = ("-E", "-S", "-M", "-MM", "-fsyntax-only", "--version", "-dumpversion", "-dumpfullversion",
                  "-dumpmachine", "-dumpspecs", "--help", "-###")
TELLING = ("-print-", "--print-", "--help=")  # the beginnings of such

# The beginnings of options that decide where a compiler looks for its assembler.
LOOKUP = ("-B", "--target=", "--gcc-toolchain=")

# Environment variables that decide it too.
LOOKUP_VARIABLES = ("COMPILER_PATH", "GCC_EXEC_PREFIX")

# The beginnings of words that need a closer look than the program in stage/ can give.
HARD = ("@", "-flto", "-fno-lto", "-fintegrated-as", "-integrated-as", "-fno-integrated-as", "-no-integrated-as",
        "-specs", "--specs", "--config", "-target", "-cc1", "--verify", "-wrapper", "-emit-llvm", "-Wa,@")

_OPTIONS_FROM_ELSEWHERE = ("-specs", "--specs", "--config")
_DEEPEST_RESPONSE = 20


def expanded(args: list[str], depth: int = 0) -> list[str]:
    """Arguments with response files read in.

    Files that cannot be read, and those that name themselves, are the compiler's to complain about.
    """
    out: list[str] = []
    for arg in args:
        if arg.startswith("@") and depth < _DEEPEST_RESPONSE:
            import shlex

            try:
                with open(arg[1:], encoding="utf-8", errors="surrogateescape") as file:
                    out += expanded(shlex.split(file.read()), depth + 1)
                continue
            except (OSError, ValueError):
                pass
        out.append(arg)
    return out


def is_not_assembling(args: list[str]) -> bool:
    """Whether a compiler called so runs no assembler."""
    return not args or any(arg in NOT_ASSEMBLING or arg.startswith(TELLING) for arg in args)


def has_options_from_elsewhere(args: list[str]) -> bool:
    """Whether the words leave it to a file of options what is done."""
    return any(arg.startswith(_OPTIONS_FROM_ELSEWHERE) for arg in args)


def refuse_what_hides_code(args: list[str]) -> None:
    """Raise PortError where an option keeps code from the assembler."""
    integrated = [arg for arg in args if arg.endswith("integrated-as")]
    if integrated and "no-" not in integrated[-1]:
        raise PortError(f"{integrated[-1]}: a compiler that assembles by itself leaves nothing to port: "
                        f"leave the option out")
    lto = [arg for arg in args if arg.startswith("-flto") or arg == "-fno-lto"]
    if lto and lto[-1] != "-fno-lto":
        raise PortError(f"{lto[-1]}: the assembler never sees the code of a link-time optimised build: "
                        f"add -fno-lto")
    for arg in args:
        if arg.startswith("-cc1"):
            raise PortError(f"{arg}: what is inside the compiler driver gets past the assembler: call the driver")
        if arg == "-emit-llvm":
            raise PortError(f"{arg}: LLVM's own code never passes an assembler: leave the option out")


def is_compiler(word: str) -> bool:
    """Whether the first word behind ``ring3 cc`` names a compiler, and is no option or file."""
    return not word.startswith(("-", "@")) and os.path.splitext(word)[1] not in INPUT_SUFFIXES


def compiler_words(variable: str, names: tuple[str, ...]) -> list[str]:
    """The compiler where the command line names none. Raises PortError where there is none."""
    chosen = os.environ.get(variable, "").strip()
    if chosen:
        import shlex

        try:
            return shlex.split(chosen)
        except ValueError as error:
            raise PortError(f"{variable}={chosen}: {error}: correct it") from None
    name = next((name for name in names if find_program(name)), "")
    if not name:
        raise PortError(f"no compiler found (looked for {', '.join(names)}): install one or name it in {variable}")
    return [name]


def find_program(name: str) -> str:
    """The path of a program, '' where there is none."""
    places = [name] if os.sep in name else [f"{place}/{name}" for place in os.environ.get("PATH", "").split(":")
                                            if place]
    return next((place for place in places if os.path.isfile(place) and os.access(place, os.X_OK)), "")


def outputs(args: list[str]) -> list[str]:
    """The files that a compiler called with `args` (expanded) writes object code to."""
    if "-o" in args[:-1]:
        return [args[args.index("-o") + 1]]
    joined = [arg[2:] for arg in args if arg.startswith("-o") and len(arg) > 2]
    if joined:
        return joined[-1:]
    if "-c" not in args:
        return ["a.out"]
    sources = [arg for arg in args if os.path.splitext(arg)[1] in INPUT_SUFFIXES and not arg.startswith("-")]
    return [os.path.splitext(os.path.basename(source))[0] + ".o" for source in sources]
