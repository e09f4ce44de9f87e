"""Stand-ins for the macros that ported text invokes: a mark, and then the instruction that was replaced.

Text ported and assembled with these is, but for the marks, what it was before the port: so every operand, size
and prefix of a replacement can be compared with the original.
"""

from __future__ import annotations

import re

from hypercalls import gas
from porter import resolve

MARK = bytes((0x0F, 0xFF, 0xC5, 0x5A))  # an undefined opcode that no test writes

_BYTES = ",".join(map(str, MARK))
_SPECIAL = {
    "sti_hlt": f"sti; .byte {_BYTES}; hlt",
    "lret_n": "lret \\n",
    "ljmp_mem": "ljmp *\\op",
    "lcall_mem": "lcall *\\op",
}
_PATTERNS = (
    (r"read_([cd]r\d)", r"mov %\1,\\dst"),
    (r"write_([cd]r\d)", r"mov \\src,%\1"),
    (r"load_(\ws)", r"mov \\op,%\1"),
    (r"store_(\ws)", r"mov %\1,\\op"),
    (r"(push|pop|pushw|popw)_(\ws)", r"\1 %\2"),
    (r"(rep_)?(ins[bwl])", r"\1\2"),
    (r"(rep_)?(outs[bwl])", r"\1\2 \\seg:(%esi),%dx"),
)


def _instruction(name: str, parameters: str) -> str:
    if name in _SPECIAL:
        return _SPECIAL[name]
    for pattern, template in _PATTERNS:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(template).replace("rep_", "rep; ")
    words = [f"\\{word.partition(':')[0].partition('=')[0]}" for word in parameters.split(",") if word]
    if name in ("in", "out", "ljmp", "lcall", "arpl"):
        return f"{name} {','.join(words)}"
    return f"{name} {','.join(reversed(words))}"  # as `lar`: the macros take the register first


def macros() -> str:
    """The text to assemble in front of ported text."""
    out = []
    for name, parameters in re.findall(r"^\.macro r3_(\w+) ?(.*)$", gas.macros(), re.MULTILINE):
        if name == "carrier":
            continue
        if name.endswith(("outsb", "outsw", "outsl")):
            parameters = "seg=%ds"
        out.append(f".macro r3_{name} {parameters}\n\t.byte {_BYTES}\n\t{_instruction(name, parameters)}\n.endm\n")
    return "".join(out) + resolve.macros()
