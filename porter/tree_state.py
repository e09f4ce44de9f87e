"""``OUT.state``: what a port wrote, and from what, so that the next port of the tree does only what is new.

A JSON object: ``schema``, ``source`` (the directory), ``directories`` (those in it) and ``files``, for each path in
the tree the digest of its text there and of what was written; for a source also the context in which it was ported
(see ``tree_port``), what was seen in it, and its entries of the report. Files that the port added have no digest
there.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from porter.errors import PortError
from porter.model import Syntax
from porter.report import Entry
from porter.tree_files import Look, Tree, digest
from porter.tree_port import Known, Result

_SCHEMA = 2
_ENTRY = slice(1, 12)  # fields of an entry that are kept: those of source code


@dataclass
class State:
    """`outputs` are the digests of what was written; `known` is what was recorded of sources."""

    directories: frozenset[str] = frozenset()

    outputs: dict[str, str] = field(default_factory=dict)
    known: dict[str, Known] = field(default_factory=dict)


def load(path: Path) -> State | None:
    """The state that a former port wrote; None where there is none. Raises PortError where it makes no sense."""
    try:
        document = json.loads(path.read_bytes())
        if document["schema"] != _SCHEMA:
            raise ValueError
        state = State(frozenset(document["directories"]))
        for name, record in document["files"].items():
            state.outputs[name] = str(record["output"])
            if "context" in record:
                seen = Look(record["source"], tuple(record["uses"]), tuple(record["includes"]), bool(record["asm"]),
                            tuple(Syntax(*shown) for shown in record["shows"]), bool(record["alternatives"]),
                            str(record["assembler"]), tuple(record["raw"]), str(record["role"]))
                entries = [Entry("", *fields) for fields in record["entries"]]
                state.known[name] = Known(seen, record["context"], record["output"], entries)
        return state
    except FileNotFoundError:
        return None
    except OSError as error:
        raise PortError(f"{path}: cannot be read ({error.strerror}): make it readable, or give --force") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PortError(f"{path}: not what a port of this version of ring3 wrote: give --force to port the whole "
                        f"tree anew") from None


def text(source: Path, tree: Tree, result: Result) -> str:
    """The state after a port."""
    files: dict[str, dict[str, Any]] = {}
    for path, seen in result.looks.items():
        one = result.ported.get(path)
        files[path] = {"source": seen.digest, "output": one.output if one else seen.digest}
        if one:
            files[path] |= {"context": one.context, "uses": seen.uses, "includes": seen.includes, "asm": seen.asm,
                            "shows": seen.shows, "alternatives": seen.alternatives, "assembler": seen.assembler,
                            "raw": seen.raw, "role": seen.role,
                            "entries": [entry[_ENTRY] for entry in one.entries]}
    for path, added in result.added.items():
        files[path] = {"output": digest(added.encode())}
    document = {"schema": _SCHEMA, "source": str(source), "directories": [path for path, _ in tree.directories],
                "files": files}
    return json.dumps(document, separators=(",", ":")) + "\n"
