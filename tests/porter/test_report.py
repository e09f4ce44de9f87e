"""The reports of ``ring3 port`` and ``ring3 check``: one schema, and a page that hostile text cannot break."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from porter import check, tree
from porter.catalogue_model import Treatment
from porter.catalogue_rows import ROWS
from porter.remedies import remedy
from porter.report import SCHEMA, Entry, Input, PortResult, Report, as_json, json_text
from porter.report_html import page
from tests.porter import compiled

SOURCE = "start:\tcli\n\tmovl %eax, %cr3\n\tint1\n\t.code16\n\thlt\n\t.code32\n\tlgdtw 4\n\tswapgs\n"
HOSTILE = '</script><script>alert(1)</script>&<!--\u2028"\'\\'


@pytest.fixture(scope="module")
def schema(request: pytest.FixtureRequest) -> dict[str, Any]:
    path = Path(request.config.rootpath) / "docs" / "report.schema.json"
    loaded: dict[str, Any] = json.loads(path.read_text())
    jsonschema.Draft202012Validator.check_schema(loaded)
    return loaded


def valid(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    jsonschema.Draft202012Validator(schema).validate(document)
    return document


@pytest.fixture
def ported(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "boot.S").write_text(SOURCE)
    (tmp_path / "src" / "é.c").write_text('void f(void) { asm("cli; wbinvd"); }\n')
    assert tree.main([str(tmp_path / "src"), "-o", str(tmp_path / "out")]) == 0
    document: dict[str, Any] = json.loads((tmp_path / "out.json").read_text())
    return document


def test_a_port_s_report_has_every_treatment_and_is_valid(ported: dict[str, Any], schema: dict[str, Any]) -> None:
    valid(ported, schema)
    treatments = {site["text"]: site["treatment"] for site in ported["sites"]}
    assert treatments == {"cli": "ported", "movl %eax, %cr3": "ported", "int1": "stays", "hlt": "left",
                          "lgdtw 4": "left", "swapgs": "refused", "wbinvd": "ported"}
    for counts in (ported["classes"], ported["files"]):
        for name, total in ported["totals"].items():
            assert sum(count.get(name, 0) for count in counts.values()) == total
    assert sum(ported["totals"].values()) == len(ported["sites"])


def test_a_report_of_nasm_sources_is_valid(tmp_path: Path, schema: dict[str, Any]) -> None:
    (tmp_path / "a.asm").write_text("bits 32\n\tcli\n\tint1\n")
    (tmp_path / "b.asm").write_text("format ELF\n\tmov cr3, eax\n\trdpid eax\n")
    assert tree.main([str(tmp_path), "--dry-run", "--report", str(tmp_path / "report")]) == 0
    document = valid(json.loads((tmp_path / "report").read_text()), schema)
    assert {site["text"]: site["treatment"] for site in document["sites"]} == {
        "cli": "ported", "int1": "stays", "mov cr3, eax": "left", "rdpid eax": "stays"}
    assert document["port"]["added"] == ["ring3.nasm"]


def test_a_check_s_report_is_valid(tmp_path: Path, schema: dict[str, Any]) -> None:
    source = ".globl start\nstart: cli\nrdtsc\ncall 1f\nret\n.byte 0xc3\nlgdt 4\n1: .code16\nhlt\n"
    linked = compiled.kernel(tmp_path, source, "-g")
    part = compiled.compile_object(tmp_path, "int a[3] = {1};\n", name="data.c")
    report = valid(as_json(check.check([linked, part])), schema)
    assert report["inputs"][0]["kind"] == "code"
    assert report["totals"]["left"] >= 1 and report["totals"]["stays"] == 1
    assert json.loads(json_text(check.check([linked, part]))) == report


def test_the_schema_refuses_what_is_no_report(ported: dict[str, Any], schema: dict[str, Any]) -> None:
    def broken(change: Any) -> None:
        document = json.loads(json.dumps(ported))
        change(document)
        with pytest.raises(jsonschema.ValidationError):
            valid(document, schema)

    broken(lambda d: d.pop("port"))
    broken(lambda d: d["sites"][0].pop("remedy"))
    broken(lambda d: d["sites"][0].update(cost="dear"))
    broken(lambda d: d["sites"][0].update(surplus=1))
    broken(lambda d: d.update(command="check"))
    broken(lambda d: next(s for s in d["sites"] if s["treatment"] == "left").update(remedy=""))


def test_the_documents_name_every_field(ported: dict[str, Any], schema: dict[str, Any], root: Path) -> None:
    text = (root / "docs" / "report-format.md").read_text()
    assert f"layout: {SCHEMA}" in text and schema["properties"]["schema"]["const"] == SCHEMA
    fields = set(schema["properties"]) | set(schema["$defs"]["site"]["properties"])
    fields |= set(schema["$defs"]["input"]["properties"]) | set(schema["$defs"]["port"]["properties"])
    for field in fields:
        assert f"`{field}`" in text, field


def test_every_reason_has_something_to_do() -> None:
    for row in ROWS:
        if row.treatment is not Treatment.PORT:
            assert remedy(row.treatment.value, row.why, compiled=False)
    assert remedy("left", "its like is not known", compiled=False)
    assert remedy("left", "not so: write it out", compiled=False) == "write it out"
    assert remedy("ported", "", compiled=False) == ""


# --- the page -----------------------------------------------------------------------------------------------


def data_of(text: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    document: dict[str, Any] = json.loads(found[1])
    return document


def hostile_report() -> Report:
    entry = Entry("", HOSTILE, 3, 1, HOSTILE, "cli", HOSTILE, "left", "", "none", "traps", HOSTILE)
    return Report("port", [Input(HOSTILE, "tree")], [entry], PortResult(scanned=1, kept=[HOSTILE]),
                  {HOSTILE: {3: HOSTILE}})


def test_hostile_text_stays_text() -> None:
    text = page(hostile_report())
    assert text.count("<script") == 2 and text.count("</script>") == 2
    assert "<!--" not in text
    data = data_of(text)
    assert data["words"][data["sites"][0][data["fields"].index("text")]] == HOSTILE
    assert data["lines"] == {HOSTILE: {"3": HOSTILE}}
    title = re.search(r"<title>(.*?)</title>", text, re.DOTALL)
    assert title and html.unescape(title[1]) == f"ring3 port: {HOSTILE}"


def test_only_the_page_s_own_script_may_run_and_nothing_is_loaded() -> None:
    text = page(hostile_report())
    script = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    assert len(script) == 1
    allowed = base64.b64encode(hashlib.sha256(script[0].encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{allowed}'" in text
    assert "innerHTML" not in script[0] and "insertAdjacentHTML" not in script[0]
    assert not re.search(r"\b(?:src|href)\s*=|url\(|@import|https?://", text)


def test_the_page_shows_each_site_with_its_lines(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "boot.S").write_text("\tnop # größe\n" * 5 + SOURCE)
    assert tree.main([str(tmp_path / "src"), "-o", str(tmp_path / "out")]) == 0
    data = data_of((tmp_path / "out.html").read_text())
    report = json.loads((tmp_path / "out.json").read_text())
    rows = [dict(zip(data["fields"], fields, strict=True)) for fields in data["sites"]]
    for row in rows:
        row |= {name: data["words"][row[name]] for name in data["indexed"]}
    assert [(row["line"], row["text"], row["macro"], row["cost"], row["reason"], row["remedy"]) for row in rows] == [
        tuple(site[name] for name in ("line", "text", "macro", "cost", "reason", "remedy")) for site in report["sites"]]
    assert data["lines"]["boot.S"]["6"] == "start:\tcli"
    assert data["lines"]["boot.S"]["3"] == "\tnop # größe" and "2" not in data["lines"]["boot.S"]


def test_a_check_s_page(tmp_path: Path) -> None:
    linked = compiled.kernel(tmp_path, ".globl start\nstart: cli\nret\n", "-g")
    target = tmp_path / "page.html"
    assert check.main([str(linked), "--html", str(target)]) == 1
    data = data_of(target.read_text())
    row = dict(zip(data["fields"], data["sites"][0], strict=True))
    assert (row["address"], row["bytes"], row["symbol"]) == (0x100000, "fa", "start")
