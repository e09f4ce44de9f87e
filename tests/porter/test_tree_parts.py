"""Files of a tree whose name does not tell what they are: they are what includes them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from porter import tree

FILES = {
    "a.s": '\t.include "entry.inc"\n\t.globl f\nf:\toff\n\tret\n',
    "entry.inc": "\t.macro off\n\tcli\n\tmovl %cr0,%eax\n\t.endm\n",
    "b.S": '#include "sub/parts.def"\n#include <both.tab>\nh:\tON\n\tret\n',
    "sub/parts.def": "#define ON movl %cr2, %eax; hlt\n",
    "c.c": '#include "inline.inc"\n#include "both.tab"\n__asm__(".include \\"raw.mac\\"");\nvoid x(void) { off(); }\n',
    "inline.inc": '#include "deeper.txt"\nstatic void off(void) { __asm__ volatile("cli" : : : "memory"); }\n',
    "deeper.txt": 'static void idle(void) { __asm__ volatile("hlt"); }\n',
    "both.tab": "#ifdef __ASSEMBLER__\n#define STOP movl %eax, %cr3\n#endif\n",
    "raw.mac": "\t.macro stop\n\tmovl %eax, %cr4\n\t.endm\n",
    "alone.asm": "\t.text\n\t.globl z\nz:\tlgdt (%eax)\n\tret\n",
    "notes.txt": "cli is not an instruction here\n",
    "picture.inc": '.include "cli"\nmov cr0, eax\n',
}
PORTED = {
    "entry.inc": ("\tr3_cli\n\tr3_read_cr0 %eax\n", '.include "ring3.inc"'),
    "sub/parts.def": ("#define ON r3_read_cr2 %eax; r3_hlt\n", '#include "../ring3.h"'),
    "inline.inc": ('volatile("r3_cli" : : : "memory")', '#include "ring3.h"'),
    "deeper.txt": ('volatile("r3_hlt")', '#include "ring3.h"'),
    "both.tab": ("#define STOP r3_write_cr3 %eax\n", '#include "ring3.h"'),
    "raw.mac": ("\tr3_write_cr4 %eax\n", '.include "ring3.inc"'),
    "alone.asm": ("z:\tr3_lgdt (%eax)\n", '.include "ring3.inc"'),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    root = tmp_path / "src"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def port(source: Path) -> dict[str, object]:
    out = source.with_name("out")
    assert tree.main([str(source), "-o", str(out), "--jobs", "1"]) == 0
    report: dict[str, object] = json.loads(out.with_name("out.json").read_text())["port"]
    return report


def test_parts_are_ported_as_what_includes_them(source: Path) -> None:
    assert port(source)["changed"] == sorted(PORTED)
    for name, text in FILES.items():
        now = (source.with_name("out") / name).read_text()
        if name in PORTED:
            assert all(part in now for part in PORTED[name]), now
        else:
            assert now == text
    patch = source.with_name("out.patch").read_text()
    assert patch.count("\n+++ b/") + patch.startswith("+++") == len(PORTED) + 2, "and the two files of macros"


def test_a_new_includer_has_its_part_ported(source: Path) -> None:
    (source / "b.S").write_text("h:\tret\n")
    assert "sub/parts.def" not in port(source)["changed"]  # type: ignore[operator]
    (source / "b.S").write_text(FILES["b.S"])
    again = port(source)
    assert again["changed"] == sorted(PORTED) and again["reused"] == 8, "but for b.S and what it includes"
    (source / "c.c").write_text("int y;\n")
    assert port(source)["changed"] == sorted({"entry.inc", "sub/parts.def", "both.tab", "alone.asm", "raw.mac"})


def test_what_is_excluded_is_no_part(source: Path) -> None:
    out = source.with_name("out")
    assert tree.main([str(source), "-o", str(out), "--exclude", "*.inc"]) == 0
    assert (out / "entry.inc").read_text() == FILES["entry.inc"]
    assert (out / "deeper.txt").read_text() == FILES["deeper.txt"], "nobody is known to include it"
