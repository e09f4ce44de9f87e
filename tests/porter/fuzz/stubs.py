"""Stand-ins for the macros that ported text invokes: a mark, and then the instruction that was replaced.

Text ported and assembled with these is, but for the marks, what it was before the port: so every operand, size
and prefix of a replacement can be compared with the original.
"""

from __future__ import annotations

import re

from hypercalls import gas, gas_intel
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


_PORT = "r3i_is dx,%dx,\\port; .if .Lr3i_is; {}; .else; {}; .endif"
_INTEL_SPECIAL = {
    "sti_hlt": f"sti; .byte {_BYTES}; hlt",
    "lret": "retf",
    "lretw": "retfw",
    "lret_n": "retf offset \\n",
    "int": "int offset \\vector",
    "ljmp": "ljmp offset \\sel,offset \\off",
    "lcall": "lcall offset \\sel,offset \\off",
    "ljmp_mem": "jmp fword ptr \\op",
    "lcall_mem": "call fword ptr \\op",
    "in": _PORT.format("in \\reg,dx", "in \\reg,offset \\port"),
    "out": _PORT.format("out dx,\\reg", "out offset \\port,\\reg"),
    "arpl": "arpl \\op,\\reg",
}
_INTEL_PATTERNS = (
    (r"read_([cd]r\d)", r"mov \\dst,%\1"),
    (r"write_([cd]r\d)", r"mov %\1,\\src"),
    (r"load_(\ws)", r"mov %\1,\\op"),
    (r"store_(\ws)", r"mov \\op,%\1"),
    (r"(push|pop|pushw|popw)_(\ws)", r"\1 %\2"),
    (r"(rep_)?ins([bw])", r"\1ins\2"),
    (r"(rep_)?insl", r"\1insd"),
)
_OUTS = re.compile(r"(rep_)?outs([bwl])")
_SIZES = {"b": "byte", "w": "word", "l": "dword"}


def _intel_instruction(name: str, parameters: str) -> str:
    if name in _INTEL_SPECIAL:
        return _INTEL_SPECIAL[name]
    outs = _OUTS.fullmatch(name)
    if outs:
        return f"{'rep; ' if outs[1] else ''}outs dx,{_SIZES[outs[2]]} ptr \\seg:[esi]"
    for pattern, template in _INTEL_PATTERNS:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(template).replace("rep_", "rep; ")
    words = [f"\\{word.partition(':')[0].partition('=')[0]}" for word in parameters.split(",") if word]
    return f"{name} {','.join(words)}"


def intel_macros() -> str:
    """The same for text in Intel syntax."""
    out = []
    real = gas_intel.macros()
    for name, parameters in re.findall(r"^\.macro r3i_(\w+) ?(.*)$", real, re.MULTILINE):
        if name in ("is", "carrier"):
            continue
        if _OUTS.fullmatch(name):
            parameters = "seg=ds"
        instruction = _intel_instruction(name, parameters)
        out.append(f".macro r3i_{name} {parameters}\n\t.byte {_BYTES}\n\t{instruction}\n.endm\n")
    (helper,) = re.findall(r"^\.macro r3i_is .*?^\.endm\n", real, re.MULTILINE | re.DOTALL)
    return helper + "".join(out) + resolve.intel_macros()
