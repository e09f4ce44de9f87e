"""Records as tables of a database, for questions that nobody thought of (DuckDB's SQL)."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hypervisor.trace.columns import NONE
from hypervisor.trace.format import KIND_NAMES, TraceError
from hypervisor.trace.table import LATENCY_MAX, UNFINISHED, Decoder

if TYPE_CHECKING:
    from hypervisor.trace.chunks import Records
    from hypervisor.trace.reader import Trace

_MEMORY = "150MB"  # of the database; what does not fit goes to its file
_SCHEMA = """
CREATE TABLE records (
    time DOUBLE, duration_ns DOUBLE, kind VARCHAR, name VARCHAR, what VARCHAR, ring UTINYINT, nesting UTINYINT,
    function VARCHAR, caller VARCHAR, eip UINTEGER, cr3 UINTEGER, esp UINTEGER, device VARCHAR, port INTEGER,
    address BIGINT, value BIGINT, vector INTEGER, result BIGINT, eax UINTEGER, ebx UINTEGER, ecx UINTEGER, edx UINTEGER,
    esi UINTEGER);
CREATE TABLE trace (path VARCHAR, kernel VARCHAR, guest VARCHAR, start TIMESTAMP, seconds DOUBLE, records BIGINT,
    lost BIGINT, damaged BIGINT, starts INTEGER, complete BOOLEAN);
"""


def _duckdb() -> Any:
    try:
        import duckdb
    except ImportError:
        raise TraceError("duckdb is not installed; pip install duckdb") from None
    return duckdb


@contextmanager
def database(trace: Trace, where: str | None, keep: Path | None = None) -> Iterator[Any]:
    """A DuckDB connection to a database that has the tables `records` and `trace`.

    `keep`: where the database stays; one that is there already is used as it is. TraceError where it cannot be made.
    """
    duckdb = _duckdb()
    with tempfile.TemporaryDirectory(prefix="ring3-sql-") as folder:
        path = keep or Path(folder) / "trace.duckdb"
        made = not path.exists()
        part = path.with_name(f"{path.name}.new")
        try:
            if made:
                part.unlink(missing_ok=True)
                connection = duckdb.connect(str(part), config=_settings(folder))
                _fill(connection, trace, where)
                connection.close()
                part.rename(path)
            connection = duckdb.connect(str(path), read_only=True, config=_settings(folder))
        except (duckdb.Error, OSError) as error:
            part.unlink(missing_ok=True)
            raise TraceError(f"database {path} cannot be used ({_first_line(error)}); choose another file") from error
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        with connection:
            yield connection


def _settings(folder: str) -> dict[str, Any]:
    return {"memory_limit": _MEMORY, "threads": 1, "temp_directory": folder}


def query(connection: Any, text: str) -> tuple[list[str], Iterator[tuple[Any, ...]]]:
    """Names of the columns of what `text` asks for, and its rows. TraceError for SQL that makes no sense."""
    duckdb = _duckdb()
    try:
        cursor = connection.execute(text)
        names = [column[0] for column in cursor.description or ()]
    except duckdb.Error as error:
        raise TraceError(f"SQL: {_first_line(error)}; 'DESCRIBE records' shows the columns") from error
    return names, iter(lambda: cursor.fetchone(), None)


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__


def _fill(connection: Any, trace: Trace, where: str | None) -> None:
    connection.execute(_SCHEMA)
    decoder = Decoder(trace)
    for records in trace.ordered(where):
        columns = _columns(trace, decoder, records)
        connection.execute(f"INSERT INTO records SELECT {', '.join(columns)} FROM columns")
    condition, header = trace.condition, trace.header
    connection.execute(
        "INSERT INTO trace VALUES (?, ?, ?, make_timestamp_ns(?), ?, ?, ?, ?, ?, ?)",
        [str(trace.path), header.kernel, header.guest, header.start_ns, trace.seconds, condition.records,
         condition.lost, condition.damaged, condition.boots, condition.complete])  # fmt: skip


def _columns(trace: Trace, decoder: Decoder, records: Records) -> dict[str, Any]:
    columns = trace.columns(records)
    texts = decoder.texts(records)
    took = records["latency"]
    ended = (records["sequence"] != UNFINISHED) & (took != LATENCY_MAX) & (took != 0)

    def known(values: Any) -> Any:
        return np.ma.masked_array(values, values == NONE)

    return {
        "time": columns.time,
        "duration_ns": np.ma.masked_array(columns.latency, ~ended),
        "kind": _texts([KIND_NAMES[kind] for kind in records["kind"].tolist()]),
        "name": _texts([text.partition("(")[0].partition(" = ")[0] for text in texts]),
        "what": _texts(texts),
        "ring": np.ascontiguousarray(records["cpl"]),
        "nesting": records["flags"] >> 4,
        "function": _texts(decoder.functions(records)),
        "caller": _texts(decoder.callers(records)),
        "eip": np.ascontiguousarray(records["eip"]),
        "cr3": np.ascontiguousarray(records["cr3"]),
        "esp": np.ascontiguousarray(records["esp"]),
        "device": _texts(columns.texts("device")),
        "port": known(columns.port),
        "address": known(columns.address),
        "value": known(columns.value),
        "vector": known(columns.vector),
        "result": columns.result,
        **{name: np.ascontiguousarray(records["args"][:, index])
           for index, name in enumerate(("eax", "ebx", "ecx", "edx", "esi"))},
    }  # fmt: skip


def _texts(values: list[str]) -> Any:
    return np.array(values, dtype=object)
