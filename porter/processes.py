"""Running a child without `subprocess`, whose import costs more than the porter's own work on most files."""

from __future__ import annotations

import os

from porter.errors import PortError


def spawn(args: list[str], *, stdout: int | None = None, stderr: int | None = None) -> int:
    """Start a program found on PATH, with these descriptors in place of ours. Returns its process id.

    Raises PortError where there is no such program.
    """
    actions = [(os.POSIX_SPAWN_DUP2, source, target) for source, target in ((stdout, 1), (stderr, 2))
               if source is not None]
    try:
        return os.posix_spawnp(args[0], args, os.environ, file_actions=actions)
    except OSError as error:
        raise not_found(args[0], error) from None


def run(args: list[str]) -> int:
    """Run a program to its end; its exit status. Signals that ask us to end are passed on, so that it is not left
    behind. Raises PortError where there is no such program."""
    import signal

    asking = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, asking)  # until the program is there to take them
    try:
        pid = os.posix_spawnp(args[0], args, os.environ, setsigmask=mask)
        handlers = {one: signal.getsignal(one) for one in asking}
        for one, handler in handlers.items():
            if handler != signal.SIG_IGN:
                signal.signal(one, lambda number, _: os.kill(pid, number))
    except OSError as error:
        raise not_found(args[0], error) from None
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)  # until it is waited for, its number is its own
    for one, handler in handlers.items():
        signal.signal(one, handler)
    return wait(pid)


def replace_process(args: list[str]) -> None:
    """Become another program. Raises PortError where there is no such program."""
    try:
        os.execvp(args[0], args)
    except OSError as error:
        raise not_found(args[0], error) from None


def not_found(program: str, error: OSError) -> PortError:
    """What to say of a program that does not start."""
    return PortError(f"{program}: {error.strerror}: check that it is installed and on PATH")


def wait(pid: int) -> int:
    """Exit status of a child as a shell gives it: 128 + n where signal n ended it."""
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return 128 - code if code < 0 else code


def feed_self(text: str) -> None:
    """Make `text` (a byte for each character) the standard input of this process, and of the program it becomes."""
    data = memoryview(text.encode("latin-1"))
    descriptor = os.memfd_create("ported", 0)
    while data:
        data = data[os.write(descriptor, data):]
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.dup2(descriptor, 0)
    os.close(descriptor)


def output(args: list[str], *, errors: bool = False) -> str:
    """What a program prints on its standard output, or standard error, without the last line feed."""
    reader, writer = os.pipe()
    pid = spawn(args, stderr=writer) if errors else spawn(args, stdout=writer)
    os.close(writer)
    with open(reader, encoding="utf-8", errors="surrogateescape") as pipe:
        text = pipe.read()
    wait(pid)
    return text.rstrip("\n")
