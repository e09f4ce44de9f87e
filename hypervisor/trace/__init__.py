"""Traces of what guests ask for: recorded from the monitor's ring, read back, decoded, summarised, drawn.

``open_trace(path)`` opens a file; the `Trace` that it gives is the way to all that is in it.

Recording: ``selection`` says what, ``ring_filter`` makes the monitor's filter of it, ``recorder`` takes records from
the ring, ``recording`` puts them where they go, ``format`` and ``chunks`` are the file.

Reading: ``reader`` gives typed records and columns, ``stream`` those of a trace that is being made; ``expression``,
``terms`` and ``columns`` are the language in which records are chosen; ``shapes`` and ``names`` say what records hold,
``decode`` one record, ``table`` many; ``callers`` and ``stacks`` tell who asked, ``devices`` whom.

Showing: ``summary`` and ``histogram``, ``difference``, ``tree``, ``lanes``, ``present``, ``top``, ``report`` and
``export``; ``profile`` is for the porter.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hypervisor.trace.format import TraceError
    from hypervisor.trace.reader import Record, Trace, open_trace

__all__ = ["Record", "Trace", "TraceError", "open_trace"]


def __getattr__(name: str) -> Any:
    """What is exported, when somebody asks: a guest that is only run needs no NumPy."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from hypervisor.trace import reader

    return getattr(reader, name)
