"""The macros for Intel syntax: the bytes of those for AT&T syntax, whatever the syntax says of registers."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest

from hypercalls import gas, gas_intel
from tests.porter.toolchain import assemble, contents

SYMBOLS = ".set CONSTANT,0x34\n"
# Operands in both syntaxes; each in Intel syntax with the sizes that compilers print.
REGISTERS = [(f"%{name}", (f"%{name}",)) for reg in ("ax", "cx", "dx", "bx", "si", "di", "bp", "sp")
             for name in (reg, f"e{reg}")]
MEMORY = [
    ("(%eax)", ("[%eax]", "fword ptr [%eax]", "WORD PTR [%eax]", "byte ptr [%eax]", "dword ptr [%eax]")),
    ("4(%eax,%ebx,8)", ("[%eax+%ebx*8+4]", "4[%eax+%ebx*8]", "QWORD PTR 4[%eax][%ebx*8]", "[%eax + %ebx * 8 + 4]")),
    ("outside", ("outside", "[outside]", "fword ptr outside", "%ds:outside")),
    ("outside+4(,%ecx,2)", ("outside[%ecx*2+4]", "[outside+%ecx*2+4]")),
    ("%fs:8(%esp)", ("%fs:[%esp+8]", "dword ptr %fs:[%esp+8]", "%fs:fword ptr [%esp+8]")),
    ("%gs:0x1234", ("%gs:0x1234", "%gs:[0x1234]", "WORD PTR %gs:0x1234")),
]
IMMEDIATES = [("$8", ("8",)), ("$0x80", ("0x80",)), ("$CONSTANT", ("CONSTANT",)), ("$outside+4", ("outside+4",)),
              ("$outside", ("outside", "offset outside", "OFFSET FLAT:outside"))]
GENERAL = [REGISTERS[0], REGISTERS[3], *MEMORY]


def _signatures() -> list[tuple[str, list[str]]]:
    """Each AT&T macro with the names of its parameters."""
    found = re.findall(r"^\.macro r3_(\w+)(?: (.*))?$", gas.macros(), re.MULTILINE)
    return [(name, [word.partition(":")[0] for word in arguments.split(",") if word]) for name, arguments in found
            if name != "carrier"]


def _choices(macro: str, parameter: str) -> list[tuple[str, tuple[str, ...]]]:
    if parameter == "port":
        return [REGISTERS[4], ("(%dx)", ("(%dx)",)), *IMMEDIATES]
    if macro in ("in", "out"):
        return [("%al", ("%al",)), *REGISTERS[:2]]
    if parameter.startswith("seg="):
        return [(f"%{seg}", (f"%{seg}",)) for seg in ("ds", "es", "fs", "gs", "ss", "cs")]
    if parameter in ("sel", "off", "n", "vector"):
        return IMMEDIATES
    if parameter in ("src", "dst"):
        return [REGISTERS[1], REGISTERS[7], REGISTERS[15]]
    if parameter == "reg":
        return REGISTERS if macro == "lar" else [REGISTERS[1], REGISTERS[6]]
    assert parameter == "op"
    return [*REGISTERS, *MEMORY]


def _uses(macro: str, parameters: list[str]) -> list[tuple[str, str]]:
    """Uses of a macro: in AT&T syntax, and the same in Intel syntax."""
    uses = []
    for chosen in itertools.product(*(_choices(macro, parameter) for parameter in parameters)):
        for form in range(max((len(forms) for _, forms in chosen), default=1)):
            att = [text for text, _ in chosen]
            intel = [forms[min(form, len(forms) - 1)] for _, forms in chosen]
            if macro in ("in", "out"):
                intel.reverse()
            last = len(intel) - 1
            quoted = [f'"{text}"' if " " in text and i < last else text for i, text in enumerate(intel)]
            uses.append((f"r3_{macro} {','.join(att)}", f"r3i_{macro} {', '.join(quoted)}"))
    if parameters and parameters[0].startswith("seg="):
        uses.append((f"r3_{macro}", f"r3i_{macro}"))
    return uses


@pytest.mark.parametrize("naked", [False, True])
def test_every_macro_is_the_same_bytes(naked: bool, tmp_path: Path) -> None:
    uses = [use for macro, parameters in _signatures() for use in _uses(macro, parameters)]
    assert len(uses) > 1000
    att = "".join(f"{text}\n" for text, _ in uses)
    intel = "".join(f"{text}\n" for _, text in uses)
    if naked:
        intel = re.sub("%", "", intel)
    mode = "noprefix" if naked else "prefix"
    ours = assemble(f"{gas_intel.macros()}.intel_syntax {mode}\n{SYMBOLS}{intel}", tmp_path, "intel")
    theirs = assemble(f"{gas.macros()}{SYMBOLS}{att}", tmp_path, "att")
    assert contents(ours) == contents(theirs)


def test_both_families_have_the_same_macros() -> None:
    intel = set(re.findall(r"^\.macro r3i_(\w+)", gas_intel.macros(), re.MULTILINE)) - {"is"}
    assert intel == set(re.findall(r"^\.macro r3_(\w+)", gas.macros(), re.MULTILINE))


def test_what_has_no_intel_form_is_not_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for body in ("xaddl %eax,%ebx", "movl foo-bar(%eax),%ebx"):
        monkeypatch.setattr(gas, "macros", lambda body=body: f".macro r3_x\n\t{body}\n.endm\n")
        with pytest.raises(ValueError, match="gas_intel"):
            gas_intel.macros()


def test_port_macros_refuse_other_registers(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="r3i_in: bl is none of al, ax, eax"):
        assemble(f"{gas_intel.macros()}.intel_syntax noprefix\nr3i_in bl, dx\n", tmp_path)
