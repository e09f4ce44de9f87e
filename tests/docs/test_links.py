"""Documents point at things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(path for pattern in ("*.md", "docs/*.md", "sample_kernels/**/*.md") for path in ROOT.glob(pattern))
_LINK = re.compile(r"\[[^]]*\]\(([^)#\s]+)?(?:#([^)\s]+))?\)")
_PATH = re.compile(r"`((?:hypercalls|porter|hypervisor|sample_kernels|tests|bench|docs)/[\w./-]*)`")


def anchors(path: Path) -> set[str]:
    """The fragment identifiers of a Markdown page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    for target, anchor in _LINK.findall(document.read_text()):
        if target.startswith("http"):
            continue
        path = document.parent / target if target else document
        assert path.exists(), f"{target} does not exist"
        assert not anchor or anchor in anchors(path), f"{target}#{anchor} does not exist"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_named_exist(document: Path) -> None:
    missing = [name for name in _PATH.findall(document.read_text()) if not (ROOT / name).exists()]
    assert missing == []


def test_the_reading_order_leaves_out_no_room_of_the_monitor() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    unmentioned = [path.name for path in (ROOT / "hypervisor" / "monitor").glob("*.[cS]") if path.name not in text]
    assert unmentioned == []
