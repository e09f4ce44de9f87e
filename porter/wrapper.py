"""``ring3 cc COMPILER ...`` and ``ring3 as ...``: a build ports itself.

The compiler driver is run as the build asked, with ``-B``, so that it finds ``ring3-as`` in place of its assembler.
So the driver keeps doing all that drivers do (sources, dependency files, languages, ``-pipe``, ``-save-temps``,
linking, clean-up), and each assembly text passes by ``ring3-as`` on its way to the real assembler.

Most calls never come here: the program in ``stage/`` answers them from what this module wrote down the last time.
Every millisecond here is added to each compilation that does: this module imports next to nothing, and what porting
needs only where there is something to port. No process waits for another, but where the result is verified: each
becomes the next.
"""

from __future__ import annotations

import os
import sys

from porter import command_line
from porter.errors import PortError
from porter.processes import feed_self, not_found, output, replace_process, run

_CACHES = frozenset({"ccache", "sccache"})  # programs that stand in front of a compiler


def fail(error: PortError) -> int:
    print(f"ring3: {error}", file=sys.stderr)
    return 2


def _program(directory: str) -> str:
    """The program that compilers run. Raises PortError where it is missing."""
    path = os.path.join(directory, "ring3-as")
    if not os.access(path, os.X_OK):
        raise PortError(f"{path}: not there, or not executable: install ring3 again (this needs a C compiler), on a "
                        f"file system without noexec")
    return path


def _key(program: str, path: str) -> bytes:
    """A program in the words of the stage file."""
    try:
        status = os.stat(path or program)
    except OSError as error:
        raise not_found(program, error) from None
    seconds, rest = divmod(status.st_mtime_ns, 10 ** 9)
    return os.fsencode(f"{path} {seconds} {rest} {status.st_size}")


def _assembler_of(compiler: list[str], prefix: str, lookup: list[str]) -> tuple[str, list[str]]:
    """The assembler that a compiler runs without `prefix`, and the options that it needs for running ours.

    `lookup` are the options of the call that decide which it is. Raises PortError where there is no such compiler,
    or it would run its own in spite of `prefix`.
    """
    from porter import stage_file

    key = _key(compiler[-1], command_line.find_program(compiler[-1]))
    asked = output([*compiler, *lookup, "-print-prog-name=as"])
    real = command_line.find_program(asked) or asked
    if output([*compiler, f"-B{prefix}", *lookup, "-print-prog-name=as"]) != f"{prefix}as":
        raise PortError(f"{compiler[-1]}: its assembler {real} was fixed when it was built: run the assembler stage by "
                        f"hand with `ring3 as`")
    # Clang must be told to run an assembler, and GCC to end with its exit status.
    clang = "clang" in output([*compiler, "--version"])
    options = ["-fno-integrated-as"] if clang else ["-pass-exit-codes"]
    if len(compiler) == 1 and not any(os.environ.get(name) for name in command_line.LOOKUP_VARIABLES):
        words = b"".join(os.fsencode(word) + b"\0" for word in (real, *options))
        search = os.environ.get("PATH", "")
        stage_file.write_down([(b"C" + b" ".join([key, *map(os.fsencode, (search, *lookup))]), words)])
    return real, options


def _refuse_hidden_options(command: list[str]) -> None:
    """Ask the compiler itself what it would do where options come from files. Raises PortError."""
    import contextlib
    import shlex

    for line in output([*command, "-###"], errors=True).splitlines():
        if "-flto" in line or "-emit-llvm-bc" in line:
            with contextlib.suppress(ValueError):  # not words of a shell: no command
                command_line.refuse_what_hides_code([word for word in shlex.split(line) if "cc1" not in word])


def _cached(compiler: list[str]) -> None:
    """Let a compiler cache see what else its results depend on: the porter."""
    if os.path.basename(compiler[0]) in _CACHES:
        from porter import memo

        more = os.environ.get("CCACHE_EXTRAFILES")
        os.environ["CCACHE_EXTRAFILES"] = os.pathsep.join([*([more] if more else []), *memo.sources()])


def _compile(compiler: list[str], args: list[str], seen: list[str], verify: bool) -> int:
    from porter import stage_file

    prefix = _program(stage_file.directory()).removesuffix("as")
    lookup = [arg for arg in seen if arg.startswith(command_line.LOOKUP)]
    if "-target" in seen[:-1]:
        lookup.append(f"--target={seen[seen.index('-target') + 1]}")
    real, options = _assembler_of(compiler, prefix, lookup)
    os.environ["RING3_AS"] = real
    os.environ["RING3_PYTHON"] = sys.executable
    os.environ.pop("RING3_STAGE", None)
    _cached(compiler)
    command = [*compiler, f"-B{prefix}", *options, *args]
    if command_line.has_options_from_elsewhere(seen):
        _refuse_hidden_options(command)
    if not verify:
        replace_process(command)
    status = run(command)
    if status:
        return status
    from porter.verify import verify_files

    return verify_files(command_line.outputs(seen))


def _default_bits(real: str) -> int:
    """The word size of an assembler call that does not say: that of the assembler's own target."""
    from porter import stage_file

    bits = 64 if "x86_64" in output([real, "--version"]) else 32
    path = command_line.find_program(real)
    if path:
        stage_file.write_down([(b"B" + _key(real, path), b"%d" % bits)])
    return bits


def _assemble(real: str, args: list[str]) -> None:
    """Port and assemble as `args` say. Raises PortError, or does not return."""
    from porter import assembler, stage_file

    path = os.path.realpath(command_line.find_program(real) or real)
    if os.path.basename(path) == "ring3-as":
        raise PortError(f"{real}: is ring3 itself: name the real assembler in RING3_AS")
    call = assembler.Call(args)
    if (call.bits or _default_bits(real)) == 64:
        replace_process([real, *args])
    text, inputs = assembler.port_call(call)
    for one in inputs:
        sys.stderr.write(one.told)
        if not (call.intel or call.naked):
            stage_file.write_down_text(one.text, one.name, one.told, one.ported)
    sys.stderr.flush()
    if text is None:
        replace_process([real, *args])
    else:
        feed_self(text)
        replace_process([real, *call.options, "--"])


def ended(status: int, argv: list[str] | None) -> int:
    """`status`; as a console script, end at once with it: tearing the interpreter down takes milliseconds."""
    if argv is None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


_HELP = """\
usage: ring3 {name} [--verify] [COMPILER] [ARGUMENTS]

Runs a compiler as ARGUMENTS say, and ports all i386 code that it assembles. COMPILER may be left out:
then it is what {variable} names, or the first of {names}. So a makefile takes CC="ring3 cc gcc" or CC=ring3-cc.

--verify, or the environment variable RING3_VERIFY=1: after each object and link, check that nothing is
left to port; if something is, tell what, and end with status 1.
"""


def cc_main(argv: list[str] | None = None) -> int:
    """``ring3 cc [COMPILER] [ARG...]``: run a C compiler, porting all i386 code that it assembles.

    Returns 2 for what cannot be ported. Does not return where all is well, but with ``--verify``: the compiler
    takes this process's place.
    """
    return _compiler_main("cc", "RING3_CC", command_line.C_COMPILERS, argv)


def cxx_main(argv: list[str] | None = None) -> int:
    """``ring3 c++``: the same for C++."""
    return _compiler_main("c++", "RING3_CXX", command_line.CXX_COMPILERS, argv)


def _compiler_main(name: str, variable: str, names: tuple[str, ...], argv: list[str] | None) -> int:
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        verify = os.environ.get("RING3_VERIFY", "0") not in ("", "0")
        if args[:1] == ["--verify"]:
            verify = True
            del args[0]
        if args == ["--help"]:
            print(_HELP.format(name=name, variable=variable, names=", ".join(names)), end="")
            return ended(0, argv)
        if not args:
            raise PortError(f"{name}: nothing to compile: write for example `make CC='ring3 {name} {names[1]}'`; "
                            f"`ring3 {name} --help` tells more")
        if not command_line.is_compiler(args[0]):
            args[:0] = command_line.compiler_words(variable, names)
        compiler = [args.pop(0)]
        while os.path.basename(compiler[-1]) in _CACHES and args and command_line.is_compiler(args[0]):
            compiler.append(args.pop(0))
        seen = command_line.expanded(args)
        if command_line.is_not_assembling(seen):
            from porter import stage_file

            stage_file.write_down([])  # builds begin with such calls: the next one needs no Python
            replace_process([*compiler, *args])
        command_line.refuse_what_hides_code(seen)
        return ended(_compile(compiler, args, seen, verify), argv)
    except PortError as error:
        return ended(fail(error), argv)
    except KeyboardInterrupt:
        return ended(130, argv)  # as a shell tells of SIGINT


def _is_assembler(word: str) -> bool:
    """Whether the first argument of ``ring3 as`` is the assembler to use (as in stage/main.c)."""
    name = os.path.basename(word)
    return name.endswith("as") and name[0] not in "-@" and "." not in name and (
        not os.path.exists(word) or os.access(word, os.X_OK))


def as_main(argv: list[str] | None = None) -> int:
    """``ring3 as [ASSEMBLER] [ARG...]``: assemble with GAS, porting i386 code first.

    Without ASSEMBLER it is ``as``, or what the environment variable RING3_AS names. Returns 2 for what cannot be
    ported, else does not return: the assembler takes this process's place.
    """
    from porter.assembler import TELLING

    args = command_line.expanded(sys.argv[1:] if argv is None else argv)
    real = os.environ.get("RING3_AS") or "as"
    if len(args) > 1 and _is_assembler(args[0]):
        real = args.pop(0)
    try:
        if any(arg in TELLING for arg in args):
            replace_process([real, *args])
        _assemble(real, args)
        raise AssertionError("the assembler was to take the place of this process")
    except PortError as error:
        return ended(fail(error), argv)
    except KeyboardInterrupt:
        return ended(130, argv)
