"""The GAS macros that ported i386 code invokes, generated from the contract.

Each sensitive instruction has one macro ``r3_NAME``. Rules that all of them keep:

* no flag and no register changes but those that the instruction itself changes;
* data in the hole is reached through SS: at trap entry DS may still be the user's;
* a gate is ``call *%cs:TABLE``: boot code may run at another address than it is linked at;
* an operand follows the gate in a multi-byte NOP, so that its text is kept as the author wrote it;
  immediates follow in a push, which the monitor skips.
"""

from __future__ import annotations

from hypercalls import layout
from hypercalls.structs import SHARED
from hypercalls.table import HYPERCALLS, Operand, by_name

_C_ESCAPES = str.maketrans({"\\": r"\\", '"': r'\"'})
_GENERAL = ("ax", "cx", "dx", "bx", "bp", "si", "di")


def _shared(field: str) -> str:
    return f"%ss:{layout.HOLE + layout.SHARED_OFFSET + SHARED.offset(field):#x}"


_MASK, _NOT_PENDING = _shared("upcall_mask"), _shared("not_pending")
_FLAGS_OUT = f"%ss:{layout.HOLE + layout.FLAGS_OUT_OFFSET:#x}"
_FLAGS_IN = f"%ss:{layout.HOLE + layout.FLAGS_IN_OFFSET:#x}"
_SELMAP = f"%ss:{layout.HOLE + layout.SELMAP_OFFSET:#x}"
_REVMAP = f"%ss:{layout.HOLE + layout.REVMAP_OFFSET:#x}"


def gate_address(number: int) -> int:
    """Guest-virtual address of the pointer that the gate of hypercall `number` calls through."""
    return layout.HOLE + layout.GATES_OFFSET + 4 * number


def landing_address(number: int) -> int:
    """Linear address that a far jump to selector 0x33 names to make hypercall `number`."""
    return layout.LANDING + layout.LANDING_STUB_SIZE * number


def _gate(name: str) -> str:
    return f"call *%cs:{gate_address(by_name[name].number):#x}"


def _macro(name: str, args: str, *body: str) -> str:
    lines = "\n".join(f"\t{line}" for part in body for line in part.splitlines())
    return f".macro r3_{name}{' ' + args if args else ''}\n{lines}\n.endm\n"


def _by_register(operand: str, word: str, long: str, other: str) -> str:
    """Choose by the operand's text: `word` and `long` are templates with {r} for the register's name."""
    out = [".set .Lr3_done,0"]
    for reg in _GENERAL:
        out += [f".ifc \\{operand},%{reg}", *word.format(r=reg).splitlines(), ".set .Lr3_done,1", ".endif",
                f".ifc \\{operand},%e{reg}", *long.format(r=reg).splitlines(), ".set .Lr3_done,1", ".endif"]
    return "\n".join([*out, ".if .Lr3_done==0", *other.splitlines(), ".endif"])


# Carries an operand behind a gate. A register's width is the NOP's operand size.
_CARRIER = _macro(
    "carrier", "op:vararg",
    ".set .Lr3_word,0", ".irp r,%ax,%cx,%dx,%bx,%sp,%bp,%si,%di", ".ifc \\op,\\r", ".set .Lr3_word,1", ".endif",
    ".endr", ".if .Lr3_word", "nopw \\op", ".else", "nopl \\op", ".endif",
)

_SLOW_SUFFIX = {"b": 8, "w": 16, "l": 32}


def _interrupt_macros() -> list[str]:
    pending = _gate("deliver_pending")
    return [
        _macro("cli", "", f"movb $1,{_MASK}"),
        _macro("sti", "", f"movb $0,{_MASK}", "pushl %ecx", f"movzbl {_NOT_PENDING},%ecx", "jecxz .Lr3a\\@",
               "popl %ecx", "jmp .Lr3b\\@", ".Lr3a\\@: popl %ecx", pending, ".Lr3b\\@:"),
        _macro("sti_hlt", "", _gate("safe_halt")),
        _macro("hlt", "", _gate("halt")),
        # Two registers rather than a byte store into the pushed flags: the pop that follows would
        # wait for a failed store forwarding.
        _macro("pushf", "", "pushfl", "pushl %eax", "pushl %ecx", "movl 8(%esp),%eax", "movzbl %ah,%ecx",
               f"movb {_MASK},%ch", f"movb {_FLAGS_OUT}(%ecx),%ah", "movl %eax,8(%esp)", "popl %ecx", "popl %eax"),
        _macro("pushfw", "", _gate("pushf16")),
        # Flags may be used freely before the popfl. The table gives 0x80 where IOPL changes: "less".
        _macro("popf", "", "pushl %eax", "movl 4(%esp),%eax", "movzbl %ah,%eax", f"movb {_FLAGS_IN}(%eax),%al",
               f"movb %al,{_MASK}", f"orb {_NOT_PENDING},%al", "popl %eax", "jle .Lr3a\\@", "popfl", "jmp .Lr3b\\@",
               ".Lr3a\\@: popfl", pending, ".Lr3b\\@:"),
        _macro("popfw", "", _gate("popf16")),
    ]


def _port_macros() -> list[str]:
    out = []
    dx = ".ifc \\port,%dx\n{dx}\n.else\n.ifc \\port,(%dx)\n{dx}\n.else\n{imm}\npushl \\port\n.endif\n.endif"
    for direction in ("in", "out"):
        body = []
        for reg, width in (("al", 8), ("ax", 16), ("eax", 32)):
            body += [f".ifc \\reg,%{reg}",
                     dx.format(dx=_gate(f"{direction}{width}"), imm=_gate(f"{direction}{width}_imm")), ".else"]
        body.append(f'.error "r3_{direction}: \\reg is none of %al, %ax, %eax"')
        body += [".endif"] * 3
        out.append(_macro(direction, "port:req,reg:req" if direction == "in" else "reg:req,port:req", *body))
    for rep in ("", "rep_"):
        for suffix, width in _SLOW_SUFFIX.items():
            out.append(_macro(f"{rep}ins{suffix}", "", _gate(f"{rep}ins{width}")))
            # The carrier's segment prefix is the source segment; plain means DS.
            out.append(_macro(f"{rep}outs{suffix}", "seg=%ds", _gate(f"{rep}outs{width}"),
                              ".ifc \\seg,%ds", "nopl (%esi)", ".else", "nopl \\seg:(%esi)", ".endif"))
    return out


def _control_macros() -> list[str]:
    out = []
    for reg in (0, 2, 3, 4):
        out.append(_macro(f"read_cr{reg}", "dst:req", f"movl {_shared(f'cr{reg}')},\\dst"))
        out.append(_macro(f"write_cr{reg}", "src:req", _gate(f"write_cr{reg}"), "nopl \\src"))
    for reg in range(8):
        out.append(_macro(f"read_dr{reg}", "dst:req", _gate(f"read_dr{reg}"), "nopl \\dst"))
        out.append(_macro(f"write_dr{reg}", "src:req", _gate(f"write_dr{reg}"), "nopl \\src"))
    return out


def _segment_macros() -> list[str]:
    out = []
    for seg in ("ds", "es", "fs", "gs"):
        load = f"pushl %e{{r}}\nmovzwl %{{r}},%e{{r}}\nmovw {_SELMAP}(,%e{{r}},2),%{seg}\npopl %e{{r}}"
        slow = f"{_gate(f'load_{seg}')}\nr3_carrier \\op"
        out.append(_macro(f"load_{seg}", "op:vararg", _by_register("op", load, load, slow)))
        long = f"movl %{seg},%e{{r}}\nmovzwl {_REVMAP}(,%e{{r}},2),%e{{r}}"
        word = f"pushl %e{{r}}\n{long}\nmovw %{{r}},(%esp)\npopl %e{{r}}"
        slow = f"{_gate(f'store_{seg}')}\nr3_carrier \\op"
        out.append(_macro(f"store_{seg}", "op:vararg", _by_register("op", word, long, slow)))
        for suffix, size in (("", 4), ("w", 2)):
            move = "movl %eax,4(%esp)" if size == 4 else "movw %ax,4(%esp)"
            out.append(_macro(f"push{suffix}_{seg}", "", f"leal -{size}(%esp),%esp", "pushl %eax",
                              f"movl %{seg},%eax", f"movzwl {_REVMAP}(,%eax,2),%eax", move, "popl %eax"))
            out.append(_macro(f"pop{suffix}_{seg}", "", "pushl %eax", "movzwl 4(%esp),%eax",
                              f"movw {_SELMAP}(,%eax,2),%{seg}", "popl %eax", f"leal {size}(%esp),%esp"))
    for seg in ("cs", "ss"):
        source = _shared(seg)
        out.append(_macro(f"store_{seg}", "op:vararg",
                          _by_register("op", f"movw {source},%{{r}}", f"movl {source},%e{{r}}",
                                       f"{_gate(f'store_{seg}')}\nr3_carrier \\op")))
        out.append(_macro(f"push_{seg}", "", f"pushl {source}"))
        out.append(_macro(f"pushw_{seg}", "", f"pushw {source}"))
    # SS loads go through the monitor: it keeps the interrupt shadow, and the stack may move.
    out.append(_macro("load_ss", "op:vararg", _gate("load_ss"), "r3_carrier \\op"))
    out.append(_macro("pop_ss", "", _gate("pop_ss")))
    out.append(_macro("popw_ss", "", _gate("popw_ss")))
    return out


def _far_gate(name: str) -> tuple[str, ...]:
    """User code has no access to the hole: a far jump of its own instead of the gate table."""
    address = landing_address(by_name[name].number)
    return ("jmp .Lr3b\\@", f".Lr3a\\@: ljmp ${layout.HOST_CS64:#x},${address:#x}", ".Lr3b\\@: call .Lr3a\\@")


def _interrupt(vector: str) -> tuple[str, ...]:
    """A software interrupt. Kernels restart a system call by taking two bytes, those of `int`, off its return address:
    there stands a jump to the beginning, which nobody comes to otherwise."""
    return ".Lr3s\\@:", *_far_gate("int"), f"pushl {vector}", "jmp .Lr3s\\@"


def _flow_macros() -> list[str]:
    return [
        _macro("int", "vector:req", *_interrupt("\\vector")),
        _macro("int3", "", *_interrupt("$3")),
        _macro("into", "", "jno .Lr3o\\@", *_interrupt("$4"), ".Lr3o\\@:"),
        _macro("ljmp", "sel:req,off:req", _gate("ljmp"), "pushl \\off", "pushl \\sel"),
        _macro("lcall", "sel:req,off:req", _gate("lcall"), "pushl \\off", "pushl \\sel"),
        _macro("lret_n", "n:req", _gate("lret_n"), "pushl \\n"),
        _macro("lretw", "", _gate("lret16")),
        _macro("iretw", "", _gate("iret16")),
        _macro("sysenter", "", *_far_gate("sysenter")),
    ]


def _nothing_macros() -> list[str]:
    """Cache and SMAP control have nothing to act on in a virtual CPU that offers neither."""
    return [_macro(name, "", "nop") for name in ("wbinvd", "invd", "stac", "clac")]


def _plain_macros(done: set[str]) -> list[str]:
    """All hypercalls without a special form: a gate, then the carriers of the operands."""
    out = []
    for row in HYPERCALLS:
        if row.name in done or row.group in ("xen", "port", "interrupt", "coverage"):
            continue
        if row.operand is Operand.NONE:
            out.append(_macro(row.name, "", _gate(row.name)))
        elif row.operand is Operand.CARRIER:
            out.append(_macro(row.name, "op:vararg", _gate(row.name), "r3_carrier \\op"))
        elif row.operand is Operand.CARRIER2:
            out.append(_macro(row.name, "reg:req,op:vararg", _gate(row.name), "r3_carrier \\op", "r3_carrier \\reg"))
    return out


def guarded(symbol: str, text: str) -> str:
    """GAS text that may be included more than once; `symbol` tells that it was."""
    head = "# Generated by `python -m hypercalls`; do not edit. The contract is hypercalls/.\n"
    return f"{head}.ifndef {symbol}\n.set {symbol},1\n{text}.endif\n"


def macros() -> str:
    """Text of ``ring3.inc``: every macro, for GAS in AT&T syntax."""
    special = [*_interrupt_macros(), *_port_macros(), *_control_macros(), *_segment_macros(), *_flow_macros(),
               *_nothing_macros()]
    done = {text.split()[1].removeprefix("r3_") for text in special}
    return guarded(".Lr3_macros", "\n".join([_CARRIER, *special, *_plain_macros(done)]))


def as_header(guard: str, text: str) -> str:
    """GAS text as a header for `#include` from C and preprocessed assembly."""
    quoted = "\n".join(f'\t"{line}\\n"' for line in text.translate(_C_ESCAPES).splitlines())
    return (
        "/* Generated by `python -m hypercalls`; do not edit. Macros that stand for privileged\n"
        " * instructions in code ported to ring3. */\n"
        f"#ifndef {guard}\n#define {guard}\n#ifdef __ASSEMBLER__\n"
        f"{text.replace('# Generated', '/* Generated', 1).replace('hypercalls/.', 'hypercalls/. */', 1)}"
        f"#else\n__asm__(\n{quoted}\n);\n#endif\n#endif\n"
    )


def c_header() -> str:
    """Text of ``ring3.h``: the macros for `#include` from C and preprocessed assembly."""
    return as_header("RING3_H", macros())
