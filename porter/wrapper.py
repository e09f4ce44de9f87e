"""``ring3 cc COMPILER ...`` and ``ring3 as ...``: a build ports itself.

The compiler driver is run as the build asked, with ``-B`` pointing at an ``as`` of ours. So the driver
keeps doing all that drivers do (sources, dependency files, languages, ``-save-temps``, response files,
linking, clean-up), and each assembly text passes by here on its way to the real assembler. Our ``as`` is
three lines of shell that hand their arguments to this process and wait for the exit status: a second
Python would cost more than all the porting.

Every millisecond here is added to each compilation: this module imports next to nothing, the first look at
a text is imported while the compiler works, and what porting needs only where that look finds something.
"""

from __future__ import annotations

import os
import sys

from porter.errors import PortError
from porter.processes import feed, not_found, output, replace_process, spawn, wait

# The driver does not reach its assembler with these.
_NOT_ASSEMBLING = frozenset({"-E", "-S", "-M", "-MM", "-fsyntax-only", "--version", "-dumpversion",
                             "-dumpfullversion", "-dumpmachine", "-dumpspecs", "--help", "-###"})

_DEEPEST_RESPONSE = 20


def _fail(error: PortError) -> int:
    print(f"ring3: {error}", file=sys.stderr)
    return 2


def _expanded(args: list[str], depth: int = 0) -> list[str]:
    """Arguments with response files read in.

    Files that cannot be read, and those that name themselves, are the compiler's to complain about.
    """
    out: list[str] = []
    for arg in args:
        if arg.startswith("@") and depth < _DEEPEST_RESPONSE:
            import shlex

            try:
                with open(arg[1:], encoding="utf-8", errors="surrogateescape") as file:
                    out += _expanded(shlex.split(file.read()), depth + 1)
                continue
            except (OSError, ValueError):
                pass
        out.append(arg)
    return out


def _refuse_what_hides_code(args: list[str]) -> None:
    """Raise PortError where an option keeps code from the assembler."""
    integrated = [arg for arg in args if arg.endswith("integrated-as")]
    if integrated and "no-" not in integrated[-1]:
        raise PortError(f"{integrated[-1]}: a compiler that assembles by itself leaves nothing to port: "
                        f"leave the option out")
    lto = [arg for arg in args if arg.startswith("-flto") or arg == "-fno-lto"]
    if lto and lto[-1] != "-fno-lto":
        raise PortError(f"{lto[-1]}: the assembler never sees the code of a link-time optimised build: "
                        f"add -fno-lto")


class _Stage:
    """The pipes between our ``as``, which the compiler runs, and this process."""

    directory = os.path.join(os.path.dirname(os.path.abspath(__file__)), "stage")
    program = os.path.join(directory, "as")

    def __init__(self) -> None:
        if not os.access(self.program, os.X_OK):
            raise PortError(f"{self.program}: not executable: install ring3 again, on a file system without "
                            f"noexec")
        self._words: list[bytes] = []
        self._pending = b""
        self._requests, self._request_end = os.pipe()
        self._reply_end, self._replies = os.pipe()
        for descriptor in (self._request_end, self._reply_end):
            os.set_inheritable(descriptor, True)
        self.environment = {**os.environ, "RING3_STAGE_REQUEST": str(self._request_end),
                            "RING3_STAGE_REPLY": str(self._reply_end)}

    def started(self) -> None:
        """The compiler holds its ends of the pipes: close ours, so that its end is an end of file here."""
        os.close(self._request_end)
        os.close(self._reply_end)

    def request(self) -> list[str] | None:
        """The arguments that our ``as`` is called with next; None once the compiler has ended."""
        while not self._words or len(self._words) <= int(self._words[0]):
            chunk = os.read(self._requests, 1 << 16)
            if not chunk:
                return None
            *complete, self._pending = (self._pending + chunk).split(b"\0")
            self._words += complete
        count = int(self._words[0])
        request = [os.fsdecode(word) for word in self._words[1:count + 1]]
        del self._words[:count + 1]
        return request

    def reply(self, status: int) -> None:
        os.write(self._replies, b"%d\n" % status)


def _assemble(real: str, args: list[str]) -> int:
    """Port and assemble as `args` say. Returns the assembler's status. Raises PortError."""
    from porter import assembler

    call = assembler.Call(args)
    if (call.bits or _default_bits(real)) == 64:
        return wait(spawn([real, *args]))
    text, sites = assembler.port_call(call)
    assembler.report(sites)
    return wait(spawn([real, *args])) if text is None else feed([real, *call.options, "--"], text)


def _real_assembler(compiler: str, search: str, more: list[str]) -> tuple[str, bool]:
    """The assembler that a compiler would run without the option `search`; `more` are such options of the build's.

    The second result tells whether it must be asked to run one, as Clang must.
    Raises PortError where there is no such compiler, or it would run that one in spite of `search`.
    """
    from porter.memo import remembered

    places = [] if os.sep in compiler else [os.path.join(directory, compiler) for directory in os.get_exec_path()]
    path = next((place for place in places if os.access(place, os.X_OK)), compiler)
    try:
        status = os.stat(path)
    except OSError as error:
        raise not_found(compiler, error) from None

    def ask() -> tuple[str, bool, bool]:
        real = output([compiler, *more, "-print-prog-name=as"])
        fixed = output([compiler, search, "-print-prog-name=as"]) != _Stage.program
        return real, fixed, "clang" in output([compiler, "--version"])

    real, fixed, integrated = remembered(("as", path, status.st_mtime_ns, status.st_size, search, *more), ask)
    if fixed:
        raise PortError(f"{compiler}: its assembler {real} was fixed when it was built: run the assembler stage by "
                        f"hand with `ring3 as`")
    return real, integrated


def _compile(compiler: str, args: list[str]) -> int:
    stage = _Stage()
    search = f"-B{stage.directory}/"
    real, integrated = _real_assembler(compiler, search, [arg for arg in args if arg.startswith("-B")])
    external = ["-fno-integrated-as"] if integrated else []
    ours = [compiler, search, *external, *(arg for arg in args if arg != "-pipe")]
    pid = spawn(ours, env=stage.environment)
    stage.started()
    from porter import assembler  # noqa: F401  (what every file needs is imported while the compiler works)

    failure: PortError | None = None
    while (request := stage.request()) is not None:
        try:
            stage.reply(_assemble(real, request))
        except PortError as error:
            failure = error
            stage.reply(2)
    status = wait(pid)
    if failure:
        raise failure
    return status


def _default_bits(real: str) -> int:
    """The word size of an assembler call that does not say: that of the assembler's own target."""
    return 64 if "x86_64" in output([real, "--version"]) else 32


def _ended(status: int, argv: list[str] | None) -> int:
    """`status`; as a console script, end at once with it: tearing the interpreter down takes milliseconds."""
    if argv is None:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def cc_main(argv: list[str] | None = None) -> int:
    """``ring3 cc COMPILER [ARG...]``: run a compiler, porting all i386 code that it assembles.

    Returns the compiler's exit status, or 2 for what cannot be ported. Does not return where the compiler
    has nothing to assemble, whose place it takes, nor without `argv`, where it is the whole process.
    """
    compiler, *args = (sys.argv[1:] if argv is None else argv) or [""]
    try:
        if not compiler:
            raise PortError("cc: no compiler: write for example `make CC='ring3 cc gcc'`")
        seen = _expanded(args)
        if not args or any(arg in _NOT_ASSEMBLING or arg.startswith(("-print-", "--print-")) for arg in seen):
            replace_process([compiler, *args])
        _refuse_what_hides_code(seen)
        # A -pipe is taken out, and so looked for in response files: our ``as`` reads files only.
        return _ended(_compile(compiler, seen if "-pipe" in seen else args), argv)
    except PortError as error:
        return _ended(_fail(error), argv)
    except KeyboardInterrupt:
        return _ended(130, argv)  # as a shell tells of SIGINT


def as_main(argv: list[str] | None = None) -> int:
    """``ring3 as [ARG...]``: assemble with GAS, porting i386 code first.

    The assembler is ``as``, or what the environment variable RING3_AS names. Returns its exit status, or
    2 for what cannot be ported. Does not return without `argv`, where it is the whole process.
    """
    args = _expanded(sys.argv[1:] if argv is None else argv)
    real = os.environ.get("RING3_AS", "as")
    try:
        if any(arg in ("--version", "--help", "--target-help", "-version") for arg in args):
            replace_process([real, *args])
        return _ended(_assemble(real, args), argv)
    except PortError as error:
        return _ended(_fail(error), argv)
    except KeyboardInterrupt:
        return _ended(130, argv)
