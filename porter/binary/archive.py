"""The members of an archive that `ar` made, thin or not.

Source of facts: GNU binutils, include/aout/ar.h and bfd/archive.c; ar(5). A thin archive holds names only: the
members lie where they lay, by paths relative to the archive.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from porter.errors import PortError

_MAGIC, _THIN = b"!<arch>\n", b"!<thin>\n"
_HEADER_SIZE = 60
_SYMBOL_TABLES = ("/", "/SYM64/", "__.SYMDEF", "__.SYMDEF SORTED")
_NAMES = "//"


class Member(NamedTuple):
    """`name` is as the archive gives it: base name, or in a thin archive the path."""

    name: str
    content: bytes


def is_archive(content: bytes) -> bool:
    """Whether a file begins as archives do."""
    return content.startswith((_MAGIC, _THIN))


def members(path: Path, content: bytes) -> Iterator[Member]:
    """The members in the archive's order, without symbol tables. Raises PortError where it is damaged."""
    thin = content.startswith(_THIN)
    names = b""
    at = len(_MAGIC)
    while at < len(content):
        raw, size = _header(path, content, at)
        at += _HEADER_SIZE
        stored = not thin or raw in _SYMBOL_TABLES or raw == _NAMES
        if stored and at + size > len(content):
            raise PortError(f"{path}: truncated: member {raw} ends at {at + size:#x}, the file at {len(content):#x}; "
                            f"build or copy it again")
        body = content[at : at + size] if stored else b""
        at += size + size % 2 if stored else 0
        if raw == _NAMES:
            names = body
        elif raw not in _SYMBOL_TABLES:
            name, body = _named(path, raw, body, names)
            if name not in _SYMBOL_TABLES:
                yield Member(name, body if stored else _outside(path, raw, name))


def _header(path: Path, content: bytes, at: int) -> tuple[str, int]:
    """Name field and size of the member whose header is at an offset."""
    header = content[at : at + _HEADER_SIZE]
    try:
        if len(header) < _HEADER_SIZE or header[58:] != b"`\n":
            raise ValueError
        return header[:16].decode("latin-1").rstrip(" "), int(header[48:58])
    except ValueError:
        raise PortError(f"{path}: damaged archive: no member header at {at:#x}; make it again with ar") from None


def _named(path: Path, raw: str, body: bytes, names: bytes) -> tuple[str, bytes]:
    """Name and content of a member: long names are in a table of the archive, or (BSD) in front of the content."""
    if raw.startswith("#1/") and raw[3:].isdigit():
        length = int(raw[3:])
        return body[:length].rstrip(b"\0").decode("utf-8", "replace"), body[length:]
    number = raw[1:].partition(":")[0]
    if raw.startswith("/") and number.isdigit():
        start = int(number)
        end = names.find(b"\n", start)
        if not 0 <= start < len(names) or end < 0:
            raise PortError(f"{path}: damaged archive: it has no name number {start}; make it again with ar")
        return names[start:end].decode("utf-8", "replace").removesuffix("/"), body
    return raw.removesuffix("/"), body


def _outside(path: Path, raw: str, name: str) -> bytes:
    """The content of a thin archive's member; `raw` says where in another archive, if it is in one."""
    place = path.parent / name
    try:
        content = place.read_bytes()
    except OSError as error:
        raise PortError(f"{path}: its member {place} cannot be read ({error.strerror}); build it again") from None
    offset = raw.partition(":")[2]
    if not offset:
        return content
    _, size = _header(place, content, int(offset))
    return content[int(offset) + _HEADER_SIZE :][:size]
