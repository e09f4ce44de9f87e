"""The GAS macros for code in Intel syntax: ``r3i_NAME`` for each ``r3_NAME`` of ``gas``, from the same text.

A macro's body is read in the syntax that is on where the macro is used, and operands of one syntax mean nothing
in the other. So each body of ``gas`` is rewritten here, statement by statement, for Intel syntax. Registers keep
their ``%``, which Intel syntax takes with and without ``noprefix``: one family serves both, and no macro need
switch the syntax and know how to switch back. The bytes are the same.

Arguments are in the order of ``gas`` but for ``r3i_in`` and ``r3i_out``, which have Intel's: their operands then
stay as the author wrote them. An operand may bring its size (``fword ptr [eax]``), as compilers print it.
"""

from __future__ import annotations

import re

from hypercalls import gas

PREFIX = "r3i_"
_SIZES = {"b": "byte ptr ", "w": "word ptr ", "l": "dword ptr "}
# Mnemonics that the bodies have with a size suffix, and those that read the same in both syntaxes.
_SUFFIXED = re.compile(r"(mov|or|push|pop|lea|nop)([bwl])\Z")
_PLAIN = {"jmp": "jmp", "ljmp": "jmp", "jle": "jle", "jno": "jno", "jecxz": "jecxz", "nop": "nop",
          "pushfl": "pushfd", "popfl": "popfd", "call": "call"}
_EXTENDING = re.compile(r"movz([bw])l\Z")
_MEMORY = re.compile(r"(?P<segment>[%\\]\w+:)?(?P<offset>-?\w+)?"
                     r"(?:\((?P<base>%\w+)?(?:,(?P<index>%\w+),(?P<scale>\d))?\))?\Z")
_REGISTER = re.compile(r"%[a-z]{2,3}\Z")

# Whether an argument names a register: with its % or without, as the syntax may have it, and perhaps in parentheses.
_IS = """.macro r3i_is naked:req,prefixed:req,op:vararg
	.set .Lr3i_is,0
	.irp known,\\naked,\\prefixed,(\\naked),(\\prefixed)
	.ifc \\op,\\known
	.set .Lr3i_is,1
	.endif
	.endr
.endm
"""

# For text that the compiler passes on as it is, whichever syntax it writes: `r3_either cli` is r3_cli or r3i_cli. In
# Intel syntax `not` is an operator, in any case of its letters; in AT&T syntax it is a name like others.
_EITHER = """.macro r3_either name:req,operands:vararg
	.set NoT,5
	.if NoT -1
	r3_\\name \\operands
	.else
	r3i_\\name \\operands
	.endif
.endm
"""

# Carries an operand behind a gate, as `r3_carrier`: memory by a NOP of 32 bits, whatever size it says itself.
_CARRIER = """.macro r3i_carrier op:vararg
	.set .Lr3i_register,0
	.irp r,ax,cx,dx,bx,sp,bp,si,di,eax,ecx,edx,ebx,esp,ebp,esi,edi
	r3i_is \\r,%\\r,\\op
	.if .Lr3i_is
	.set .Lr3i_register,1
	.endif
	.endr
	.if .Lr3i_register
	nop \\op
	.else
	nop dword ptr \\op
	.endif
.endm
"""


def _split(operands: str) -> list[str]:
    """Operands at their commas, those in parentheses apart."""
    return [part.strip() for part in re.split(r",(?![^(]*\))", operands)] if operands else []


def _operand(text: str, size: str) -> str:
    """One operand in Intel syntax. Raises ValueError for what no body has had so far."""
    if text.startswith("$"):
        return text[1:]
    if _REGISTER.match(text) or re.fullmatch(r"\\\w+", text) or text.startswith(".L"):
        return text
    match = _MEMORY.match(text)
    if not match:
        raise ValueError(f"operand {text!r} has no Intel form here: extend hypercalls/gas_intel.py")
    index = f"{match['index']}*{match['scale']}" if match["index"] else ""
    address = "+".join(part for part in (match["base"], index, match["offset"]) if part).replace("+-", "-")
    return f"{_SIZES[size]}{match['segment'] or ''}[{address}]"


def _instruction(mnemonic: str, operands: list[str]) -> str:
    """One instruction in Intel syntax. Raises ValueError for what no body has had so far."""
    if mnemonic == "r3_carrier":
        return f"{PREFIX}carrier {operands[0]}"
    if mnemonic == "pushl" and operands[0].startswith("\\"):
        return f"push offset {operands[0]}"  # an immediate, whose symbol alone would be a memory operand
    if mnemonic == "ljmp":
        return "jmp " + ":".join(_operand(operand, "l") for operand in operands)
    if mnemonic == "call" and operands[0].startswith("*"):
        return f"call {_operand(operands[0][1:], 'l')}"
    extending, suffixed = _EXTENDING.match(mnemonic), _SUFFIXED.match(mnemonic)
    if extending:
        name, size = "movzx", extending[1]
    elif suffixed:
        name, size = suffixed[1], suffixed[2]
    elif mnemonic in _PLAIN:
        name, size = _PLAIN[mnemonic], "l"
    else:
        raise ValueError(f"instruction {mnemonic!r} has no Intel form here: extend hypercalls/gas_intel.py")
    return " ".join([name, ",".join(_operand(operand, size) for operand in reversed(operands))]).rstrip()


def _line(line: str) -> list[str]:
    """The lines that stand for one line of a body."""
    compared = re.fullmatch(r"\.ifc (\\\w+),(%\w+|\(%\w+\))", line)
    if compared:
        return [f"r3i_is {compared[2].replace('%', '')},{compared[2]},{compared[1]}", ".if .Lr3i_is"]
    if line.startswith(".") and not line.startswith(".Lr3"):
        return [line.replace("r3_", PREFIX).replace(" %", " ")]
    label, _, statement = line.rpartition(": ") if re.match(r"\.Lr3\w+\\@:", line) else ("", "", line)
    if statement.endswith(":"):
        return [statement]
    mnemonic, _, operands = statement.partition(" ")
    return [(f"{label}: " if label else "") + _instruction(mnemonic, _split(operands))]


def _head(line: str) -> str:
    """The first line of a macro. A last argument may be an expression with blanks in it, so it comes whole."""
    name, _, arguments = line.removeprefix(".macro r3_").partition(" ")
    if name in ("in", "out"):
        arguments = ",".join(reversed(arguments.split(",")))
    first, comma, last = arguments.rpartition(",")
    return f".macro {PREFIX}{name} {first}{comma}{last.replace(':req', ':vararg')}".rstrip()


def macros() -> str:
    """Text of every macro, for GAS in Intel syntax, with ``prefix`` or ``noprefix``."""
    out = []
    for macro in re.findall(r"^\.macro r3_.*?^\.endm$", gas.macros(), re.MULTILINE | re.DOTALL):
        head, *body, end = macro.splitlines()
        if head.startswith(".macro r3_carrier"):
            continue
        lines = [f"\t{line}" for source in body for line in _line(source.strip())]
        out.append("\n".join([_head(head), *lines, end, ""]))
    return gas.guarded(".Lr3i_macros", "\n".join([_IS, _EITHER, _CARRIER, *out]))


def c_header() -> str:
    """Text of the macros for `#include` from C and preprocessed assembly."""
    return gas.as_header("RING3_INTEL_H", macros())
