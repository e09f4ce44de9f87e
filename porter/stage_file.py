"""What the porter writes down for the program in ``stage/``, which so needs no Python for most files of a build.

The file lies in the user's cache directory, one for each installed copy of the program. It is a sequence of records:

    bytes 0-15   four 32-bit numbers, little endian: the sizes of key and value, and the CRC-32 of each
    key          a letter, which says what the record is, and more
    value        and zeros up to a multiple of four

    S directory     the files in it that the rest depends on: the name of each, then its time (seconds, nanoseconds) and
                    size, a zero after each of the two. If one has changed, nothing counts
    W name          a list of words, zeros between them
    E               the CRC-32 of all that lies in front of it: S and W are complete
    M               the macros that ported text needs in front, which is in AT&T syntax
    T text          an assembler text that must be seen as a whole: what is told about it, a zero, and the text as it is
                    ported, or nothing where it stays as it is
    L unit          a statement or line of assembler text: a byte of bits, and the text as it is ported (see units.py)
    B assembler     "32" or "64": what it makes of code where no option says so
    C compiler ...  (as found by PATH, with its time and size, PATH, and what options it has for finding programs) the
                    path of its real assembler, then options that it needs, a zero after each

S, W, E, M and the usual statements are written at once with the file, the others appended as they come up, by any
number of processes. Whatever is wrong with the file, the program asks Python instead.
"""

from __future__ import annotations

import os
import struct
import time
import zlib

from porter import memo, prefixes

TYPE_CHECKING = False  # as `typing` has it: see wrapper.py on imports
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MAGIC = b"ring3 stage 1\n\n\n"
_RECORD = struct.Struct("<4I")
_LIMIT = 2 << 20  # bytes, after which the file begins anew
_WHOLE_LIMIT = 64 << 10  # bytes of a text to remember as a whole
_STARTED = time.time_ns()

# Directives after which a line does not speak for itself; of a name with an underscore, its first part.
_HARD_DIRECTIVES = ("code16gcc", "code16", "code32", "code64", "intel", "att", "altmacro", "noaltmacro", "macro",
                    "irp", "irpc", "include")
_SYMBOL_DIRECTIVES = ("set", "equ", "equiv", "eqv")  # see register_symbols.py
_STRINGS = (".string", ".ascii", ".asciz")
# As words, and as the bytes that they are.
_PREFIXES = (*prefixes.ALL, *prefixes.BYTES)
_REGISTERS = ("cs", "ds", "es", "fs", "gs", "ss", "cr#", "dr#", "db#")  # a number sign is any digit
_ENCODINGS = ("s", "d8", "d32")  # behind a dot: see catalogue_model.ENCODING_SUFFIXES
_FAR = tuple(name + suffix for name in ("jmp", "call") for suffix in ("", "w", "l"))


def directory() -> str:
    """Where the program is that runs this, or else the one of this package."""
    return os.environ.get("RING3_STAGE") or os.path.join(os.path.dirname(os.path.abspath(__file__)), "stage")


def _path() -> str:
    return os.path.join(memo.directory(), f"stage-{zlib.crc32(os.fsencode(directory())):08x}")


def _record(key: bytes, value: bytes) -> bytes:
    head = _RECORD.pack(len(key), len(value), zlib.crc32(key), zlib.crc32(value))
    return head + key + value + bytes(-(len(key) + len(value)) % 4)


def _described(status: os.stat_result) -> bytes:
    return b"%d %d %d" % (*divmod(status.st_mtime_ns, 10 ** 9), status.st_size)


def _stamps() -> tuple[bytes, bool]:
    """The beginning of the file, and whether all is older than this process, which so has loaded it as it is."""
    directories: dict[str, bytes] = {}
    newest = 0
    for path in memo.sources():
        directory, name = os.path.split(path)
        status = os.stat(path)
        newest = max(newest, status.st_mtime_ns)
        directories[directory] = directories.get(directory, b"") + b"%s\0%s\0" % (os.fsencode(name), _described(status))
    records = (_record(b"S" + os.fsencode(directory), value) for directory, value in directories.items())
    return _MAGIC + b"".join(records), newest < _STARTED


def _word_lists() -> dict[str, Sequence[str]]:
    from porter import assembler, command_line, prefilter

    return {
        "mnemonics": memo.remembered("mnemonics", prefilter.mnemonics), "prefixes": _PREFIXES,
        "registers": _REGISTERS, "far": _FAR, "encodings": _ENCODINGS,
        "hard directives": _HARD_DIRECTIVES, "symbol directives": _SYMBOL_DIRECTIVES,
        "string directives": _STRINGS,
        "32-bit options": assembler.BITS_32, "64-bit options": assembler.BITS_64,
        "assembler options with a value": assembler.WITH_VALUE, "hard assembler options": assembler.HARD,
        "telling assembler options": assembler.TELLING,
        "C compilers": command_line.C_COMPILERS, "C++ compilers": command_line.CXX_COMPILERS,
        "input suffixes": command_line.INPUT_SUFFIXES, "hard compiler options": command_line.HARD,
        "compiler's own lookup": command_line.LOOKUP, "compiler's own variables": command_line.LOOKUP_VARIABLES,
        "not assembling": command_line.NOT_ASSEMBLING,
        "not assembling, by prefix": command_line.TELLING,
    }


def _header(stamps: bytes) -> bytes:
    from porter.macro_files import include
    from porter.model import RESOLVE
    from porter.units import all_alone
    from porter.usual import statements

    first = b"".join([stamps, *(_record(b"W" + name.encode(), "\0".join(words).encode())
                               for name, words in _word_lists().items())])
    records = [first, _record(b"E", zlib.crc32(first).to_bytes(4, "little")),
               _record(b"M", include(["r3_", RESOLVE]).encode("latin-1"))]
    for unit, found in all_alone(list(dict.fromkeys(statements()))).items():
        records.append(_record(*_unit_record(unit, *found)))
    return b"".join(records)


def _unit_record(unit: str, bits: int, ported: str) -> tuple[bytes, bytes]:
    return b"L" + unit.encode("latin-1"), bytes([bits]) + ported.encode("latin-1")


def _keys(data: bytes) -> set[bytes]:
    """The keys of the records; none where the beginning is not whole."""
    keys, position, complete = set[bytes](), len(_MAGIC), False
    while position + _RECORD.size <= len(data):
        key_size, value_size, _, _ = _RECORD.unpack_from(data, position)
        start = position + _RECORD.size
        key, value = data[start:start + key_size], data[start + key_size:start + key_size + value_size]
        complete = complete or (key == b"E" and int.from_bytes(value, "little") == zlib.crc32(data[:position]))
        keys.add(key)
        position = start + key_size + value_size + -(key_size + value_size) % 4
    return keys if complete else set()


def _write(path: str, data: bytes) -> None:
    """Put a whole file in place."""
    own = f"{path}.{os.getpid()}"
    try:
        with open(own, "wb") as file:
            file.write(data)
        os.replace(own, path)
    except OSError:
        if os.path.exists(own):
            os.unlink(own)
        raise


def write_down(records: Iterable[tuple[bytes, bytes]]) -> bool:
    """Add records (key with its letter, value) that are not there yet. Where that is impossible, nothing happens.

    False: all of them were there.
    """
    try:
        stamps, unchanged = _stamps()
        if not unchanged:
            return True
        path = _path()
        os.makedirs(os.path.dirname(path), exist_ok=True)
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            data = b""
        known = _keys(data) if data.startswith(stamps) and len(data) < _LIMIT else set()
        new = b"".join(_record(key, value) for key, value in records if key not in known)
        if not known:
            _write(path, _header(stamps) + new)
        elif new:
            with open(path, "ab", buffering=0) as file:
                file.write(new)
        return not known or bool(new)
    except OSError:
        return True  # no home, a read-only or a full one


def write_down_text(text: str, name: str, told: str, ported: str) -> None:
    """Remember how `text` was ported: unit by unit where each speaks for itself, else as a whole."""
    from porter.units import units

    if ".include" in text or "_syntax" in text.lower():
        return  # what it brings in may change; the record of the macros has those for AT&T syntax
    found = None if told else units(text, _PREFIXES)
    if found is not None and found.ported == ported and write_down(
            _unit_record(unit, *value) for unit, value in found.parts.items()):
        return
    # Some that are known unit by unit the program still cannot tell to be so.
    if len(text) < _WHOLE_LIMIT and name not in told:  # compilers' temporary files have a new name each time
        write_down([(b"T" + text.encode("latin-1"),
                     os.fsencode(told) + b"\0" + (b"" if ported == text else ported.encode("latin-1")))])
