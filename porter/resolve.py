"""``r3_resolve``: for a statement whose register only the assembler gets to know.

``mov %ax, %\\reg`` in a GAS macro, or ``"mov %0, %%" #REG`` in a C macro, is sensitive for some arguments
and ordinary for others. ``r3_resolve mov %ax, %ds`` looks at the operands when it is assembled, and becomes
the macro that the catalogue has for them, or the instruction as it stands.
"""

from __future__ import annotations

from collections.abc import Iterator

from hypercalls import gas
from porter.catalogue import BY_KEY, INVALID
from porter.catalogue_model import CONTROL_REGISTERS, DEBUG_REGISTERS, SEGMENT_REGISTERS, Slot
from porter.model import INTEL, RESOLVE, in_family

_REGISTERS = {
    Slot.SREG: SEGMENT_REGISTERS,
    Slot.CR: CONTROL_REGISTERS,
    Slot.DR: DEBUG_REGISTERS,
}


def targets(keys: tuple[str, ...], position: int, suffix: str = "") -> Iterator[tuple[str, str]]:
    """(register, macro) for rows whose operand at `position` is a segment, control or debug register."""
    for key in keys:
        (form,) = BY_KEY[key].forms
        for register in _REGISTERS[form.slots[position]]:
            template = form.word if suffix == "w" and len(form.slots) == 1 else form.macro
            macro = template.format(*([register.replace("db", "dr")] * len(form.slots)))
            if macro not in INVALID:
                yield register, f"r3_{macro}"


def _if_register(operand: str, targets: Iterator[tuple[str, str]], action: str) -> list[str]:
    lines: list[str] = []
    for register, macro in targets:
        lines += [f".ifc {operand},%{register}", action.format(macro=macro), ".set .Lr3_resolved,1", ".endif"]
    return lines


def _macro(name: str, args: str, lines: list[str]) -> str:
    return "\n".join([f".macro {name} {args}", *(f"\t{line}" for line in lines), ".endm\n"])


def macros() -> str:
    """The GAS text of the macro and its parts."""
    to_register = ("mov-to-sreg", "mov-to-cr", "mov-to-dr")
    from_register = ("mov-from-sreg", "mov-from-cr", "mov-from-dr")
    one = []
    for mnemonics, key, suffix in ((("push", "pushl"), "push-sreg", ""), (("pushw",), "push-sreg", "w"),
                                   (("pop", "popl"), "pop-sreg", ""), (("popw",), "pop-sreg", "w")):
        for mnemonic in mnemonics:
            one += [f".ifc \\op,{mnemonic}", *_if_register("\\ops", targets((key,), 0, suffix), "{macro}"), ".endif"]
    return "".join((
        # A memory operand brings up to three pieces, as the assembler splits at commas.
        _macro("r3_resolve_last", "d:req,a,b,c", _if_register(
            "\\d", targets(to_register, 1),
            ".ifb \\b\n{macro} \\a\n.else\n.ifb \\c\n{macro} \\a,\\b\n.else\n{macro} \\a,\\b,\\c\n.endif\n.endif")),
        # More pieces than four: blanks in a memory operand that comes second.
        _macro("r3_resolve_mov", "a:req,b,c,d,more:vararg", [
            ".ifb \\more", ".ifb \\c", "r3_resolve_last \\b,\\a", ".else",
            ".ifb \\d", "r3_resolve_last \\c,\\a,\\b", ".else", "r3_resolve_last \\d,\\a,\\b,\\c", ".endif",
            ".endif", ".endif"]),
        _macro("r3_resolve_first", "a:req,rest:vararg",
               _if_register("\\a", targets(from_register, 0), "{macro} \\rest")),
        _macro(RESOLVE, "op:req,ops:vararg", [
            ".set .Lr3_resolved,0", *one,
            ".irp m,mov,movl,movw", ".ifc \\op,\\m", "r3_resolve_mov \\ops", ".endif", ".endr",
            ".irp m,mov,movl,movw", ".ifc \\op,\\m", ".if .Lr3_resolved==0", "r3_resolve_first \\ops", ".endif",
            ".endif", ".endr",
            ".if .Lr3_resolved==0", "\\op \\ops", ".endif"]),
    ))


def intel_macros() -> str:
    """The same in Intel syntax, ``r3i_resolve mov, "ds", "word ptr [eax]"``: quoted, since operands have blanks."""

    def if_register(operand: str, targets: Iterator[tuple[str, str]], argument: str) -> list[str]:
        lines: list[str] = []
        for register, macro in targets:
            lines += [f"r3i_is {register},%{register},{operand}", ".if .Lr3i_is",
                      f"{in_family(macro, INTEL)}{argument}", ".set .Lr3i_resolved,1", ".endif"]
        return lines

    one: list[str] = []
    for key, suffix in (("push-sreg", ""), ("push-sreg", "w"), ("pop-sreg", ""), ("pop-sreg", "w")):
        for mnemonic in {f"{key.partition('-')[0]}{suffix}", f"{key.partition('-')[0]}{suffix or 'd'}"}:
            one += [f".ifc \\op,{mnemonic}", *if_register("\\a", targets((key,), 0, suffix), ""), ".endif"]
    to_register = ("mov-to-sreg", "mov-to-cr", "mov-to-dr")
    from_register = ("mov-from-sreg", "mov-from-cr", "mov-from-dr")
    return _macro(in_family(RESOLVE, INTEL), "op:req,a:req,b", [
        ".set .Lr3i_resolved,0", *one,
        ".irp m,mov,movw,movd", ".ifc \\op,\\m",
        *if_register("\\a", targets(to_register, 1), " \\b"), ".if .Lr3i_resolved==0",
        *if_register("\\b", targets(from_register, 0), " \\a"), ".endif", ".endif", ".endr",
        ".if .Lr3i_resolved==0", ".ifb \\b", "\\op \\a", ".else", "\\op \\a,\\b", ".endif", ".endif"])


def c_header() -> str:
    """`macros` for ``#include`` from C and from assembly, to follow the macros that it uses."""
    return gas.as_header("RING3_RESOLVE_H", macros())


def intel_c_header() -> str:
    """`intel_macros` for ``#include`` from C and from assembly, to follow the macros that it uses."""
    return gas.as_header("RING3_INTEL_RESOLVE_H", intel_macros())
