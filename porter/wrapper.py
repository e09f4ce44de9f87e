"""``ring3 cc COMPILER ...`` and ``ring3 as ...``: a build ports itself.

The compiler driver is run as the build asked, with ``-B`` pointing at an ``as`` of ours. So the driver
keeps doing all that drivers do (sources, dependency files, languages, ``-save-temps``, response files,
linking, clean-up), and each assembly text passes by here on its way to the real assembler. Our ``as`` is
three lines of shell that hand their arguments to this process and wait for the exit status: a second
Python would cost more than all the porting.

The modules that port are imported while the compiler works.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from porter.errors import PortError
from porter.processes import feed, output, spawn, wait

# The driver does not reach its assembler with these.
_NOT_ASSEMBLING = frozenset({"-E", "-S", "-M", "-MM", "-fsyntax-only", "--version", "-dumpversion",
                             "-dumpfullversion", "-dumpmachine", "-dumpspecs", "--help", "-###"})
_USAGE_CC = "ring3 cc: no compiler: write for example `make CC='ring3 cc gcc'`"


def _fail(error: PortError) -> int:
    print(f"ring3: {error}", file=sys.stderr)
    return 2


def _expanded(args: Sequence[str]) -> list[str]:
    """Arguments with response files read in, for looking at only. Files that cannot be read are the compiler's
    to complain about."""
    if not any(arg.startswith("@") for arg in args):
        return list(args)
    import shlex

    out: list[str] = []
    for arg in args:
        try:
            with open(arg[1:], encoding="utf-8", errors="surrogateescape") as file:
                out += _expanded(shlex.split(file.read())) if arg.startswith("@") else [arg]
        except (OSError, ValueError):
            out.append(arg)
    return out


def _refuse_lto(args: Sequence[str]) -> None:
    lto = [arg for arg in args if arg.startswith("-flto") or arg == "-fno-lto"]
    if lto and lto[-1] != "-fno-lto":
        raise PortError(f"{lto[-1]}: the assembler never sees the code of a link-time optimised build: "
                        f"add -fno-lto")


class _Stage:
    """The directory with our ``as``, and the pipes between it and this process."""

    def __init__(self) -> None:
        base = os.environ.get("TMPDIR") or "/tmp"
        self.directory = os.path.join(base, f"ring3-{os.getpid()}-{os.urandom(6).hex()}")
        self.program = os.path.join(self.directory, "as")
        self._requests, self._request_end = os.pipe()
        self._reply_end, self._replies = os.pipe()
        for descriptor in (self._request_end, self._reply_end):
            os.set_inheritable(descriptor, True)
        try:
            os.mkdir(self.directory, 0o700)
            with open(os.open(self.program, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o700), "w") as file:
                file.write(f"#!/bin/sh\nprintf '%s\\0' $# \"$@\" >&{self._request_end}\n"
                           f"read -r status <&{self._reply_end}\nexit \"$status\"\n")
        except OSError as error:
            raise PortError(f"{base}: {error.strerror}: set TMPDIR to a directory that can be written") from None
        if not os.access(self.program, os.X_OK):
            self.remove()
            raise PortError(f"{base}: programs may not run from it: set TMPDIR to a directory mounted without noexec")

    def started(self) -> None:
        """The compiler holds its ends of the pipes: close ours, so that its end is an end of file here."""
        os.close(self._request_end)
        os.close(self._reply_end)

    def requests(self):
        """The argument lists that our ``as`` was called with, until the compiler ends."""
        with open(self._requests, "rb") as pipe:
            buffered: list[bytes] = []
            pending = b""
            while chunk := os.read(pipe.fileno(), 65536):
                *words, pending = (pending + chunk).split(b"\0")
                buffered += words
                while buffered and len(buffered) > int(buffered[0]):
                    count = int(buffered[0])
                    yield [os.fsdecode(word) for word in buffered[1:count + 1]]
                    del buffered[:count + 1]

    def reply(self, status: int) -> None:
        os.write(self._replies, b"%d\n" % status)

    def remove(self) -> None:
        for remove, path in ((os.unlink, self.program), (os.rmdir, self.directory)):
            try:
                remove(path)
            except FileNotFoundError:
                pass


def _assemble(real: str, args: Sequence[str], default_bits: int | None = None) -> int:
    """Port and assemble as `args` say. Returns the assembler's status. Raises PortError."""
    from porter import assembler

    call = assembler.parse_arguments(args)
    if (call.bits or default_bits) == 64:
        return wait(spawn([real, *args]))
    text, sites = assembler.port_call(call)
    assembler.report(sites)
    return wait(spawn([real, *args])) if text is None else feed([real, *call.options, "--"], text)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _compile(compiler: str, args: list[str]) -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)
    stage = _Stage()
    failure: PortError | None = None
    try:
        # Clang assembles by itself unless told otherwise.
        external = ["-fno-integrated-as"] if "clang" in os.path.basename(compiler) else []
        search = f"-B{stage.directory}/"
        pid = spawn([compiler, search, *external, *(arg for arg in args if arg != "-pipe")])
        stage.started()
        real = output([compiler, "-print-prog-name=as"])
        if output([compiler, search, "-print-prog-name=as"]) != stage.program:
            failure = PortError(f"{compiler}: its assembler {real} was fixed when it was built: run the assembler "
                                f"stage by hand with `ring3 as`")
        from porter import asm_port  # noqa: F401  (while the compiler works)

        for request in stage.requests():
            try:
                if failure:
                    raise failure
                if request[-1:] in ([], ["-"]):
                    raise PortError("-pipe in a response file: leave it out, it does not change what is built")
                stage.reply(_assemble(real, request, _default_bits(real, request)))
            except PortError as error:
                failure = error
                stage.reply(2)
        status = wait(pid)
    finally:
        stage.remove()
    if failure:
        raise failure
    return status


def _default_bits(real: str, args: Sequence[str]) -> int | None:
    """The word size of an assembler call that does not say: that of the assembler's own target."""
    if any(arg in ("--32", "--64", "--x32") for arg in args):
        return None
    return 64 if "x86_64" in output([real, "--version"]) else 32


def cc_main(argv: Sequence[str] | None = None) -> int:
    """``ring3 cc COMPILER [ARG...]``: run a compiler, porting all i386 code that it assembles.

    Returns the compiler's exit status, or 2 for what cannot be ported. Never returns where the compiler
    has nothing to assemble: it replaces this process.
    """
    compiler, *args = sys.argv[1:] if argv is None else argv or [""]
    if not compiler:
        return _fail(PortError(_USAGE_CC))
    try:
        seen = _expanded(args)
        if not args or any(arg in _NOT_ASSEMBLING or arg.startswith(("-print-", "--print-")) for arg in seen):
            try:
                os.execvp(compiler, [compiler, *args])
            except OSError as error:
                raise PortError(f"{compiler}: {error.strerror}: check that it is installed and on PATH") from None
        _refuse_lto(seen)
        return _compile(compiler, args)
    except PortError as error:
        return _fail(error)


def as_main(argv: Sequence[str] | None = None) -> int:
    """``ring3 as [ARG...]``: assemble with GAS, porting i386 code first.

    The assembler is ``as``, or what the environment variable RING3_AS names. Returns its exit status, or
    2 for what cannot be ported.
    """
    args = _expanded(sys.argv[1:] if argv is None else argv)
    real = os.environ.get("RING3_AS", "as")
    try:
        if any(arg.startswith(("--version", "--help", "--target-help", "-version")) for arg in args):
            return wait(spawn([real, *args]))
        return _assemble(real, args, _default_bits(real, args))
    except PortError as error:
        return _fail(error)
