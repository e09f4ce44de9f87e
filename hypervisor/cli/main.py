"""Entry point of ``ring3``: choose the subcommand, turn errors into one line and an exit status.

Exit statuses: 0 success, 1 a check found something, 2 bad input, 74 the host failed (a full disk, for
example), 130 interrupted, 141 nobody reads the output; ``ring3 run`` adds those of `hypervisor.outcome`.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Callable, Sequence

BAD_INPUT, HOST_FAILURE, INTERRUPTED, BROKEN_PIPE = 2, 74, 130, 141

# name -> (module, function, what it does); the function takes the arguments and returns the exit status
COMMANDS: dict[str, tuple[str, str, str]] = {
    "port": ("hypervisor.cli.port", "main", "port a kernel's source tree, or a linked kernel"),
    "cc": ("porter.wrapper", "cc_main", "compile with a given compiler, porting on the way"),
    "c++": ("porter.wrapper", "cxx_main", "the same for C++"),
    "as": ("porter.wrapper", "as_main", "assemble with a given assembler, porting on the way"),
    "nasm": ("porter.nasm_wrapper", "nasm_main", "assemble with NASM, porting on the way"),
    "check": ("porter.check", "main", "list the sensitive instructions left in compiled code"),
    "run": ("hypervisor.cli.run", "main", "run a kernel"),
    "list": ("hypervisor.cli.list", "main", "list the running guests"),
    "info": ("hypervisor.cli.info", "main", "show the state of a running guest"),
    "screenshot": ("hypervisor.cli.screenshot", "main", "write what a running guest shows on its screen"),
    "stop": ("hypervisor.cli.stop", "main", "end a running guest"),
    "trace": ("hypervisor.cli.trace", "main", "show and summarise what a kernel asked for"),
    "coverage": ("hypervisor.cli.coverage", "main", "show which places of a kernel ran and what they cost"),
    "doctor": ("hypervisor.cli.doctor", "main", "tell whether this host can run guests"),
    "abi": ("hypervisor.cli.abi", "main", "print the reference page of all hypercalls"),
}


def usage() -> str:
    """The list of subcommands."""
    lines = ["usage: ring3 COMMAND [ARGUMENTS]", "", "commands:"]
    lines += [f"  {name:<10} {meaning}" for name, (_, _, meaning) in COMMANDS.items()]
    return "\n".join([*lines, "", "'ring3 COMMAND --help' tells more about one of them."])


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status. Nothing but a bug escapes as an exception."""
    argv = list(sys.argv[1:] if arguments is None else arguments)
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage(), file=sys.stdout if argv else sys.stderr)
        return 0 if argv else BAD_INPUT
    if argv[0] == "--version":
        return _version()
    if argv[0] not in COMMANDS:
        return _complain(f"there is no command '{argv[0]}'; 'ring3 --help' lists them")
    module, function, _ = COMMANDS[argv[0]]
    try:
        command: Callable[[list[str]], int] = getattr(importlib.import_module(module), function)
        status = command(argv[1:])
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        _abandon_output()
        return BROKEN_PIPE
    except OSError as error:
        _abandon_output()
        what = f": {error.filename}" if error.filename else ""
        return _complain(f"the host failed: {error.strerror}{what}", HOST_FAILURE)
    except Exception as error:
        if _is_refusal(error):
            return _complain(str(error))
        raise


def _is_refusal(error: Exception) -> bool:
    """Whether the error is meant for the user. The classes are looked up late, to start fast."""
    refusals = (("hypervisor.errors", "RingError"), ("porter.errors", "PortError"))
    return any(
        module in sys.modules and isinstance(error, getattr(sys.modules[module], name)) for module, name in refusals
    )


def _complain(message: str, status: int = BAD_INPUT) -> int:
    print(f"ring3: {message}", file=sys.stderr)
    return status


def _abandon_output() -> None:
    """Let the interpreter's last flush of standard output go nowhere instead of failing once more."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def _version() -> int:
    from importlib.metadata import PackageNotFoundError, version

    from hypercalls import ABI_VERSION

    try:
        release = version("ring3")
    except PackageNotFoundError:
        release = "(not installed)"
    print(f"ring3 {release}, hypercall ABI {ABI_VERSION}")
    return 0


def raise_again(signum: int) -> int:
    """Die of `signum` after all clean-up, so that the parent sees the true cause."""
    signal.signal(signum, signal.SIG_DFL)
    os.kill(os.getpid(), signum)
    return 128 + signum


if __name__ == "__main__":
    sys.exit(main())
