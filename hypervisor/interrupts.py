"""Signals that end a guest's run: they take effect where that leaves nothing half done.

A handler that raised wherever it found the program would break into the starting of threads, the closing of files or
a finaliser, where the exception is lost or the clearing up is. So handlers `post` what is to be raised; it is raised
while a guest is being served, at once or as soon as that begins.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator


class _State:
    serving = False
    posted: BaseException | None = None


def post(error: BaseException) -> None:
    """Called by signal handlers, so in the main thread: raise `error` now or when a guest is served next."""
    if _State.serving:
        raise error
    _State.posted = _State.posted or error


@contextlib.contextmanager
def taken() -> Iterator[None]:
    """Within this, what is posted is raised. What was posted before is raised on entry."""
    _State.serving = True
    try:
        if _State.posted:
            error, _State.posted = _State.posted, None
            raise error
        yield
    finally:
        _State.serving = False
