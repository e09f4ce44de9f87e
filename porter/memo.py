"""Results remembered between runs, so that a build imports Lark for new statements only.

A build starts the porter once for each file, and kernels have the same few sensitive statements in all of
them. The file is a sequence of marshalled (key, value) records, appended to by any number of processes;
it is a cache: whatever is wrong with it is as if it were empty.
"""

from __future__ import annotations

import marshal
import os
import zlib

TYPE_CHECKING = False  # as `typing` has it, whose import would cost more than this module does
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    _Value = TypeVar("_Value")

_LIMIT = 1 << 20  # bytes; past that a load would cost more than it saves
_values: dict[object, Any] = {}
_path = ""


def directory() -> str:
    """Where ring3 keeps what it can make again (XDG Base Directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "ring3")


def _fingerprint() -> str:
    """Changes whenever the code or data that results depend on changes."""
    here = os.path.dirname(os.path.abspath(__file__))
    total = 0
    for folder in (here, os.path.join(here, "grammars"), os.path.join(os.path.dirname(here), "hypercalls")):
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda e: e.name):
                if entry.name.endswith((".py", ".lark")):
                    status = entry.stat()
                    total = zlib.crc32(f"{entry.name}{status.st_mtime_ns}{status.st_size}".encode(), total)
    return f"{total:08x}"


def _load() -> None:
    global _path
    _path = os.path.join(directory(), f"memo-{_fingerprint()}")
    try:
        with open(_path, "rb") as file:
            while True:
                key, value = marshal.load(file)
                _values[key] = value
    except (OSError, EOFError, ValueError, TypeError):
        pass  # absent, or ends in a record cut short


def remembered(key: str | tuple[object, ...], make: Callable[[], _Value]) -> _Value:
    """The value of `key`, made by `make()` where it is new. Both must be such as `marshal` takes."""
    if not _path:
        _load()
    if key not in _values:
        value = _values[key] = make()
        try:
            os.makedirs(directory(), exist_ok=True)
            with open(_path, "ab", buffering=0) as file:
                if file.tell() < _LIMIT:
                    file.write(marshal.dumps((key, value)))  # type: ignore[arg-type]
        except OSError:
            pass  # no home, or a read-only one
    known: _Value = _values[key]
    return known
