"""Results remembered between runs, so that a build imports Lark for new statements only.

A build starts the porter once for each file, and kernels have the same few sensitive statements in all of
them. The file is a sequence of records, appended to by any number of processes: the lengths of key and value
in four bytes each, then the key's `repr` and the value as `marshal` writes it. Values are read when they are
asked for. It is a cache: whatever is wrong with it is as if it were empty.
"""

from __future__ import annotations

import marshal
import os
import zlib

TYPE_CHECKING = False  # as `typing` has it, whose import would cost more than this module does
if TYPE_CHECKING:
    from collections.abc import Callable
    from io import FileIO
    from typing import TypeVar

    _Value = TypeVar("_Value")

_LIMIT = 1 << 20  # bytes; past that a load would cost more than it saves
_values: dict[bytes, bytes] = {}
_path = ""
_file: FileIO | None = None


def directory() -> str:
    """Where ring3 keeps what it can make again (XDG Base Directory specification)."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return os.path.join(base, "ring3")


def sources() -> list[str]:
    """Every file that results depend on."""
    here = os.path.dirname(os.path.abspath(__file__))
    folders = (here, os.path.join(here, "grammars"), os.path.join(os.path.dirname(here), "hypercalls"))
    return [os.path.join(folder, name) for folder in folders for name in sorted(os.listdir(folder))
            if name.endswith((".py", ".lark"))]


def _fingerprint() -> str:
    """Changes whenever the code or data that results depend on changes."""
    total = 0
    for path in sources():
        status = os.stat(path)
        total = zlib.crc32(f"{os.path.basename(path)}{status.st_mtime_ns}{status.st_size}".encode(), total)
    return f"{total:08x}"


# Taken while the porter is imported: a process that outlives a change of its files remembers under their old names.
FINGERPRINT = _fingerprint()


def _load() -> None:
    global _path
    _path = os.path.join(directory(), f"memo-{FINGERPRINT}")
    try:
        with open(_path, "rb") as file:
            data = file.read()
    except OSError:
        return
    position = 0
    while position + 8 <= len(data):
        key = position + 8
        value = key + int.from_bytes(data[position:position + 4], "little")
        position = value + int.from_bytes(data[position + 4:key], "little")
        _values[data[key:value]] = data[value:position]


def _append(key: bytes, value: bytes) -> None:
    global _file
    try:
        if not _file:
            os.makedirs(directory(), exist_ok=True)
            if not os.path.exists(_path):
                _remove_older()
            _file = open(_path, "ab", buffering=0)  # noqa: SIM115 (open until the end: a build has many new statements)
        if _file.tell() < _LIMIT:
            _file.write(len(key).to_bytes(4, "little") + len(value).to_bytes(4, "little") + key + value)
    except OSError:
        pass  # no home, a read-only or a full one


def _remove_older() -> None:
    """What other versions of the porter remembered is of no use any more."""
    for name in os.listdir(directory()):
        if name.startswith("memo-"):
            os.unlink(os.path.join(directory(), name))


def remembered(key: str | tuple[object, ...], make: Callable[[], _Value]) -> _Value:
    """The value of `key`, made by `make()` where it is new. It must be such as `marshal` takes."""
    if not _path:
        _load()
    name = repr(key).encode()  # not marshal: it writes equal values in more than one way
    try:
        known: _Value = marshal.loads(_values[name])
    except (KeyError, EOFError, ValueError, TypeError):  # new, or cut short
        known = make()
        _values[name] = marshal.dumps(known)  # type: ignore[arg-type]
        _append(name, _values[name])
    return known
