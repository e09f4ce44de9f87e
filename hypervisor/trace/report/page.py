"""The page: HTML, style and script, with the data in it as JSON in which no character can end its element."""

from __future__ import annotations

import base64
import hashlib
import html
import json
from pathlib import Path
from typing import TYPE_CHECKING

from hypervisor.trace.report.data import page_data

if TYPE_CHECKING:
    from hypervisor.trace.reader import Trace

_PARTS = Path(__file__).with_name("page")
_SCRIPTS = ("data.js", "timeline.js", "flame.js", "heat.js", "tables.js", "main.js")
_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}


def page(trace: Trace, where: str | None = None, title: str = "") -> str:
    """The page of a trace, or of the records for which `where` holds, as HTML text."""
    title = title or f"{trace.header.guest or 'trace'}: {Path(trace.header.kernel).name}"
    text = json.dumps(page_data(trace, where, title), separators=(",", ":"))
    for character, escape in _ESCAPES.items():
        text = text.replace(character, escape)
    script = "\n".join((_PARTS / name).read_text() for name in _SCRIPTS)
    values = {
        "TITLE": html.escape(title),
        "STYLE": (_PARTS / "page.css").read_text(),
        "HASH": "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "DATA": text,
        "SCRIPT": script,
    }
    pieces = (_PARTS / "page.html").read_text().split("@")  # the page's own text has no other use for it
    return "".join(values[piece] if at % 2 else piece for at, piece in enumerate(pieces))
