"""Every hypercall of the contract.

Numbers below 64 are Xen's (xen/include/public/xen.h) and take Xen's i386 convention: arguments in
EBX, ECX, EDX, ESI, EDI, result in EAX, negative errno on failure. Numbers from 64 stand for one
sensitive instruction each: they take their operands where the instruction takes them, change what it
changes, and fail as it fails (an exception delivered to the guest).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Operand(StrEnum):
    """How an instruction's explicit operand reaches the monitor."""

    NONE = "none"  # fixed registers only
    CARRIER = "carrier"  # in the multi-byte NOP behind the gate call
    CARRIER2 = "carrier2"  # in two NOPs: memory or register, then register
    IMMEDIATE = "immediate"  # in a push behind the gate call, which the monitor skips
    IMMEDIATE2 = "immediate2"  # in two pushes: offset, selector


@dataclass(frozen=True)
class Arg:
    """One argument of a hypercall; `direction` is in, out or inout."""

    name: str
    type: str
    direction: str = "in"
    where: str = ""


@dataclass(frozen=True)
class Hypercall:
    """One entry of the contract."""

    number: int
    name: str
    summary: str
    args: tuple[Arg, ...] = ()
    result: str = ""
    errors: str = ""
    xen: str = ""
    operand: Operand = Operand.NONE
    group: str = ""


_rows: list[Hypercall] = []


def _xen(number: int, name: str, summary: str, args: str, errors: str, result: str = "0") -> None:
    registers = ("ebx", "ecx", "edx", "esi", "edi")
    words = [part.split(":") for part in args.split()]
    parsed = tuple(
        Arg(name, kind, way, reg) for (name, kind, way), reg in zip(words, registers[: len(words)], strict=True)
    )
    _rows.append(Hypercall(number, name, summary, parsed, result, errors, name, Operand.NONE, "xen"))


def _insn(
    number: int,
    name: str,
    group: str,
    summary: str,
    operand: Operand = Operand.NONE,
    args: tuple[Arg, ...] = (),
    result: str = "",
    errors: str = "#GP(0) outside ring 0",
    xen: str = "",
) -> None:
    _rows.append(Hypercall(number, name, summary, args, result, errors, xen, operand, group))


_PORT = Arg("port", "u16", "in", "dx")
_IMM = Arg("port", "u8", "in", "immediate")
_IO_ERRORS = "#GP(0) where CPL > IOPL and the TSS bitmap forbids the port"
_MEM = Arg("operand", "m", "in", "carrier")
_RM16_IN = Arg("selector", "u16", "in", "carrier")
_RM16_OUT = Arg("selector", "u16", "out", "carrier")
_REG32_IN = Arg("value", "u32", "in", "carrier")
_REG32_OUT = Arg("value", "u32", "out", "carrier")
_SEG_ERRORS = "#GP, #NP or #SS(selector) as the load of a segment register"

_xen(10, "update_descriptor", "Write one segment descriptor at a machine address and refresh its mirror.",
     "address_lo:u32:in address_hi:u32:in descriptor_lo:u32:in descriptor_hi:u32:in",
     "-EINVAL: address not in RAM or not 8-aligned")
_xen(17, "xen_version", "Command 0: version of this ABI, major << 16 | minor; command 1: extra version string.",
     "command:u32:in buffer:ptr:out", "-ENOSYS: unknown command, -EFAULT: bad buffer", "version or 0")
_xen(18, "console_io", "Command 0: write bytes to the console; command 1: read what was typed.",
     "command:u32:in count:u32:in buffer:ptr:inout", "-ENOSYS, -EFAULT", "bytes transferred")
_rows.append(Hypercall(23, "iret", "Return from an interrupt by the frame on the stack: EIP, CS, EFLAGS and, to an "
                       "outer ring, ESP and SS, or with EFLAGS.NT to the task that is linked; sets the virtual IF and "
                       "delivers what is pending.",
                       (Arg("frame", "m", "in", "esp"),), "", "as IRET: #GP, #NP, #SS, #TS, #PF", "iret",
                       Operand.NONE, "flow"))
_xen(29, "sched_op", "Command 0 yield, 1 block (as sti; hlt), 2 shutdown with the reason in ECX (0 power-off, "
     "1 reboot, 3 crash).", "command:u32:in argument:u32:in", "-ENOSYS: unknown command")

_insn(64, "deliver_pending", "interrupt", "Deliver the interrupt that became pending while the virtual IF was clear "
      "(the slow half of sti and popf).", errors="none", xen="event channel upcall")
_insn(65, "safe_halt", "interrupt", "sti; hlt as one operation: enable interrupts and wait for one.",
      xen="sched_op block")
_insn(66, "halt", "interrupt", "hlt: wait for an interrupt; with the virtual IF clear the guest is dead.",
      xen="sched_op")
_insn(67, "pushf16", "interrupt", "pushfw: push FLAGS with the virtual IF and IOPL.", errors="#SS, #PF")
_insn(68, "popf16", "interrupt", "popfw: pop FLAGS; the virtual IF follows.", errors="#SS, #PF")

for _i, _w in enumerate((8, 16, 32)):
    _reg = {8: "al", 16: "ax", 32: "eax"}[_w]
    _insn(70 + _i, f"in{_w}", "port", f"in %dx,%{_reg}", Operand.NONE, (_PORT,), f"value in {_reg}", _IO_ERRORS)
    _insn(73 + _i, f"out{_w}", "port", f"out %{_reg},%dx", Operand.NONE,
          (_PORT, Arg("value", f"u{_w}", "in", _reg)), "", _IO_ERRORS)
    _insn(76 + _i, f"in{_w}_imm", "port", f"in $imm8,%{_reg}", Operand.IMMEDIATE, (_IMM,), f"value in {_reg}",
          _IO_ERRORS)
    _insn(79 + _i, f"out{_w}_imm", "port", f"out %{_reg},$imm8", Operand.IMMEDIATE,
          (_IMM, Arg("value", f"u{_w}", "in", _reg)), "", _IO_ERRORS)
    _insn(82 + _i, f"ins{_w}", "port", f"ins: one item of {_w} bits from port DX to ES:EDI.", Operand.NONE,
          (_PORT, Arg("buffer", "m", "out", "es:edi")), "EDI advances", _IO_ERRORS + "; #PF, #GP of the buffer")
    _insn(85 + _i, f"outs{_w}", "port", f"outs: one item of {_w} bits from DS:ESI (or the segment in the carrier) "
          "to port DX.", Operand.CARRIER, (_PORT, Arg("buffer", "m", "in", "seg:esi")), "ESI advances",
          _IO_ERRORS + "; #PF, #GP of the buffer")
    _insn(88 + _i, f"rep_ins{_w}", "port", f"rep ins of {_w}-bit items; restarts behind a page fault.", Operand.NONE,
          (_PORT, Arg("buffer", "m", "out", "es:edi"), Arg("count", "u32", "inout", "ecx")),
          "EDI, ECX advance", _IO_ERRORS + "; #PF, #GP of the buffer")
    _insn(91 + _i, f"rep_outs{_w}", "port", f"rep outs of {_w}-bit items; restarts behind a page fault.",
          Operand.CARRIER, (_PORT, Arg("buffer", "m", "in", "seg:esi"), Arg("count", "u32", "inout", "ecx")),
          "ESI, ECX advance", _IO_ERRORS + "; #PF, #GP of the buffer")

for _i, _cr in enumerate((0, 2, 3, 4)):
    _insn(94 + _i, f"write_cr{_cr}", "control", f"mov reg,%cr{_cr}", Operand.CARRIER, (_REG32_IN,),
          errors="#GP(0): outside ring 0, reserved bits, PG without PE",
          xen="mmuext_op new_baseptr" if _cr == 3 else "")
_insn(98, "lmsw", "control", "Load the low four bits of CR0; PE cannot be cleared.", Operand.CARRIER, (_RM16_IN,))
_insn(99, "smsw", "control", "Store CR0 (16 bits to memory).", Operand.CARRIER, (_REG32_OUT,), errors="#PF, #GP")
_insn(100, "clts", "control", "Clear CR0.TS.", xen="fpu_taskswitch")
for _i in range(8):
    _dr_errors = "#GP(0) outside ring 0" + ("; #UD with CR4.DE" if _i in (4, 5) else "")
    _insn(104 + _i, f"read_dr{_i}", "debug", f"mov %dr{_i},reg", Operand.CARRIER, (_REG32_OUT,), errors=_dr_errors,
          xen="get_debugreg")
    _insn(112 + _i, f"write_dr{_i}", "debug", f"mov reg,%dr{_i}", Operand.CARRIER, (_REG32_IN,), errors=_dr_errors,
          xen="set_debugreg")
_insn(120, "lgdt", "segment", "Load GDTR; the host LDT mirrors the table.", Operand.CARRIER, (_MEM,),
      errors="#GP(0) outside ring 0; #PF", xen="set_gdt")
_insn(121, "lidt", "segment", "Load IDTR.", Operand.CARRIER, (_MEM,), errors="#GP(0) outside ring 0; #PF",
      xen="set_trap_table")
_insn(122, "lldt", "segment", "Load LDTR from the GDT.", Operand.CARRIER, (_RM16_IN,), errors="#GP, #NP(selector)",
      xen="mmuext_op set_ldt")
_insn(123, "ltr", "segment", "Load TR; the TSS gives the stacks of the inner rings.", Operand.CARRIER, (_RM16_IN,),
      errors="#GP, #NP(selector)", xen="stack_switch")
_insn(124, "sgdt", "segment", "Store the guest's GDTR.", Operand.CARRIER, (_MEM,), errors="#PF, #GP")
_insn(125, "sidt", "segment", "Store the guest's IDTR.", Operand.CARRIER, (_MEM,), errors="#PF, #GP")
_insn(126, "sldt", "segment", "Store the guest's LDT selector.", Operand.CARRIER, (_RM16_OUT,), errors="#PF, #GP")
_insn(127, "str", "segment", "Store the guest's TR.", Operand.CARRIER, (_RM16_OUT,), errors="#PF, #GP")
_insn(128, "lar", "segment", "Load access rights from the guest's tables; ZF tells success.", Operand.CARRIER2,
      (_RM16_IN, Arg("rights", "reg", "out", "carrier2")), errors="#PF, #GP of the operand")
_insn(129, "lsl", "segment", "Load the segment limit from the guest's tables; ZF tells success.", Operand.CARRIER2,
      (_RM16_IN, Arg("limit", "reg", "out", "carrier2")), errors="#PF, #GP of the operand")
_insn(130, "verr", "segment", "ZF = the segment can be read at this CPL.", Operand.CARRIER, (_RM16_IN,),
      errors="#PF, #GP of the operand")
_insn(131, "verw", "segment", "ZF = the segment can be written at this CPL.", Operand.CARRIER, (_RM16_IN,),
      errors="#PF, #GP of the operand")
_insn(132, "arpl", "segment", "Raise the RPL of the first operand to that of the second; ZF tells a change.",
      Operand.CARRIER2, (Arg("selector", "u16", "inout", "carrier"), Arg("rpl", "u16", "in", "carrier2")),
      errors="#PF, #GP of the operand")
for _i, _s in enumerate(("ds", "es", "ss", "fs", "gs")):
    _insn(133 + _i, f"load_{_s}", "segment", f"mov r/m16,%{_s} (inline for registers, but for ss).", Operand.CARRIER,
          (_RM16_IN,), errors=_SEG_ERRORS)
    _insn(145 + _i, f"l{_s}", "segment", f"Load {_s} and a register from a far pointer.", Operand.CARRIER2,
          (_MEM, Arg("offset", "reg", "out", "carrier2")), errors=_SEG_ERRORS)
for _i, _s in enumerate(("cs", "ds", "es", "ss", "fs", "gs")):
    _insn(138 + _i, f"store_{_s}", "segment", f"mov %{_s},m16 (inline for registers).", Operand.CARRIER, (_RM16_OUT,),
          errors="#PF, #GP of the operand")
_insn(144, "pop_ss", "segment", "pop %ss; no interrupt before the next instruction.", errors=_SEG_ERRORS)
_insn(158, "popw_ss", "segment", "popw %ss.", errors=_SEG_ERRORS)

_FAR = (Arg("offset", "u32", "in", "immediate"), Arg("selector", "u16", "in", "immediate"))
_FAR_ERRORS = "as JMP, CALL, RET: #GP, #NP, #SS, #TS, #PF"
_insn(150, "ljmp", "flow", "ljmp $selector,$offset, also to a call gate or a task.", Operand.IMMEDIATE2, _FAR,
      errors=_FAR_ERRORS)
_insn(151, "lcall", "flow", "lcall $selector,$offset, also to a call gate or a task.", Operand.IMMEDIATE2, _FAR,
      errors=_FAR_ERRORS)
_insn(152, "ljmp_mem", "flow", "ljmp *m16:32", Operand.CARRIER, (_MEM,), errors=_FAR_ERRORS)
_insn(153, "lcall_mem", "flow", "lcall *m16:32", Operand.CARRIER, (_MEM,), errors=_FAR_ERRORS)
_insn(154, "lret", "flow", "Far return.", errors=_FAR_ERRORS)
_insn(155, "lret_n", "flow", "Far return that releases n bytes of arguments.", Operand.IMMEDIATE,
      (Arg("bytes", "u16", "in", "immediate"),), errors=_FAR_ERRORS)
_insn(156, "lret16", "flow", "Far return by a 16-bit frame.", errors=_FAR_ERRORS)
_insn(157, "int", "flow", "Software interrupt through the guest's IDT, with the gate's DPL check. Behind the vector "
      "stands a jump of two bytes to the beginning, and EIP behind that, for kernels that restart it.",
      Operand.IMMEDIATE, (Arg("vector", "u8", "in", "immediate"),), errors="#GP(vector * 8 + 2), #NP")
_insn(159, "iret16", "flow", "iretw: return from an interrupt by a 16-bit frame.", errors="as IRET")
_insn(160, "sysenter", "flow", "Enter ring 0 as IA32_SYSENTER_CS, _ESP and _EIP say.", errors="#GP(0) if CS MSR is 0")
_insn(161, "sysexit", "flow", "Return to ring 3 at EDX with stack ECX.",
      args=(Arg("eip", "u32", "in", "edx"), Arg("esp", "u32", "in", "ecx")), errors="#GP(0)")
_insn(162, "syscall", "flow", "AMD's fast call; #UD unless the virtual CPU offers it.", errors="#UD")
_insn(163, "sysret", "flow", "AMD's fast return; #UD unless the virtual CPU offers it.", errors="#UD")

_insn(164, "invlpg", "memory", "Drop one page from the virtual TLB.", Operand.CARRIER, (_MEM,), xen="update_va_mapping")
_insn(165, "invpcid", "memory", "#UD: the virtual CPU does not offer it.", Operand.CARRIER2, (_MEM, _REG32_IN),
      errors="#UD")
_MSR = Arg("msr", "u32", "in", "ecx")
_insn(166, "rdmsr", "cpu", "Read the MSR that ECX names.", args=(_MSR,), result="EDX:EAX",
      errors="#GP(0): unknown MSR, not ring 0")
_insn(167, "wrmsr", "cpu", "Write EDX:EAX to the MSR that ECX names.",
      args=(_MSR, Arg("high", "u32", "in", "edx"), Arg("low", "u32", "in", "eax")),
      errors="#GP(0): unknown MSR, not ring 0")
_insn(168, "rdpmc", "cpu", "#GP(0): the virtual CPU has no counters.", errors="#GP(0)")
_insn(169, "cpuid", "cpu", "Identity of the virtual CPU for leaf EAX, sub-leaf ECX.",
      args=(Arg("leaf", "u32", "in", "eax"), Arg("subleaf", "u32", "in", "ecx")), result="EAX, EBX, ECX, EDX",
      errors="none", xen="the forced-emulation cpuid prefix")
_insn(170, "rdtscp", "cpu", "#UD: the virtual CPU does not offer it.", errors="#UD")
_insn(171, "xsetbv", "cpu", "#UD: the virtual CPU does not offer XSAVE.", errors="#UD")
_insn(172, "xgetbv", "cpu", "#UD: the virtual CPU does not offer XSAVE.", errors="#UD")
_insn(173, "monitor", "cpu", "#UD: the virtual CPU does not offer MONITOR.", errors="#UD")
_insn(174, "mwait", "cpu", "#UD: the virtual CPU does not offer MWAIT.", errors="#UD")
_insn(175, "device_access", "memory", "Do the memory access of the instruction behind the gate, so that it need not "
      "trap: for places of which a profile tells that they reach device memory. What this cannot do runs as it stands.",
      errors="as the instruction")
_insn(176, "null", "cpu", "Do nothing: measures the gate.", errors="none")
for _i, _call in enumerate(("vmcall", "vmmcall", "vmfunc")):
    _insn(178 + _i, _call, "cpu", "#UD: the virtual CPU runs under no hypervisor.", errors="#UD")
_insn(181, "covered", "coverage", "Do what the code that this gate was put over did, and count it: 'ring3 run "
      "--coverage' puts it there. #UD elsewhere.", errors="as the instruction")
_insn(177, "trace_mark", "trace", "Put a text, of which 28 bytes are kept, and a number into the trace, if there is "
      "one. Legal in every ring.", errors="#PF of the text",
      args=(Arg("text", "ptr", "in", "ebx"), Arg("length", "u32", "in", "ecx"), Arg("number", "u32", "in", "edx")))

HYPERCALLS: tuple[Hypercall, ...] = tuple(sorted(_rows, key=lambda row: row.number))
by_number: dict[int, Hypercall] = {row.number: row for row in HYPERCALLS}
by_name: dict[str, Hypercall] = {row.name: row for row in HYPERCALLS}
assert len(by_number) == len(by_name) == len(HYPERCALLS), "two hypercalls share a number or a name"
