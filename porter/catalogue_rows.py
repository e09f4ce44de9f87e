"""The rows of the catalogue: data only. The model is in ``catalogue_model``."""

from __future__ import annotations

from porter.catalogue_model import IMPLIED_ACC, NO_MACRO, Cost, Form, Ring3, Row, Slot, Treatment

_ACC, _PORT, _RM, _REG, _MEM = Slot.ACC, Slot.PORT, Slot.RM, Slot.REG, Slot.MEM
_IND, _FAR, _IMM, _SREG, _CR, _DR = Slot.IND, Slot.FAR, Slot.IMM, Slot.SREG, Slot.CR, Slot.DR
_INLINE, _GATE, _EXIT = Cost.INLINE, Cost.GATE, Cost.EXIT
_TRAPS, _SILENT, _HOST = Ring3.TRAPS, Ring3.SILENT, Ring3.HOST


def _bare(name: str, group: str, cost: Cost, ring3: Ring3, why: str, suffixes: str = "") -> Row:
    """An operation whose operands are all implied."""
    return Row(name, group, (name,), suffixes, (Form((), name),), cost, ring3, why)


def _one(name: str, group: str, slot: Slot, suffixes: str, ring3: Ring3, why: str) -> Row:
    """An operation with one explicit operand, which the macro takes as it stands."""
    return Row(name, group, (name,), suffixes, (Form((slot,), name, (0,)),), _GATE, ring3, why)


def _native(name: str, group: str, mnemonics: str, why: str, suffixes: str = "") -> Row:
    return Row(name, group, tuple(mnemonics.split()), suffixes, (), Cost.NONE, _TRAPS, why, Treatment.NATIVE)


# Linux: arch/x86/kernel/umip.c.
_DUMMY = "the host's UMIP emulation answers a dummy value"
_NO_PORT = "#GP: the process has no I/O permission"
_HOST_TABLES = "answers from the host's descriptor tables, not the guest's"
_TABLE_LOAD = "#GP: only ring 0 may load a descriptor register"
# Selectors 0x20-0x3b are segments of the host's GDT (Linux: arch/x86/include/asm/segment.h).
_SEGMENT_LOAD = "loads the host's segment of that selector where it has one, else #GP"
_FAR_BRANCH = "goes to the host's segment of that selector where it has one, else #GP"
_LONG_MODE = "exists in 64-bit mode only; 64-bit guests are not supported"


def _table(name: str, ring3: Ring3, why: str) -> Row:
    # The 16-bit form loads or stores a 24-bit base, which no macro models.
    form = Form((_MEM,), name, (0,), NO_MACRO)
    return Row(name, "descriptor tables", (name,), "wl", (form,), _GATE, ring3, why)


def _query(name: str) -> Row:
    form = Form((_RM, _REG), name, (1, 0))
    return Row(name, "descriptor queries", (name,), "wl", (form,), _GATE, _SILENT, _HOST_TABLES)


def _far_pointer(name: str) -> Row:
    form = Form((_MEM, _REG), name, (1, 0))
    return Row(name, "segment loads", (name,), "wl", (form,), _GATE, _SILENT, _SEGMENT_LOAD)


def _far_branch(name: str) -> Row:
    return Row(
        name, "far transfers", (name,), "wl",
        (Form((_IMM, _IMM), name, (0, 1), NO_MACRO),
         Form((_IND,), f"{name}_mem", (0,), NO_MACRO),
         Form((_MEM,), f"{name}_mem", (0,), NO_MACRO)),
        _GATE, _SILENT, _FAR_BRANCH,
    )


def _far_branch_near_name(name: str, far: str) -> Row:
    """`jmp $sel,$off`; in Intel syntax `jmp sel:off`, `jmp fword ptr [m]`: the operands tell it from the near one."""
    return Row(f"{name}-far", "far transfers", (name,), "wl",
               (Form((_IMM, _IMM), far, (0, 1), NO_MACRO), Form((_FAR,), f"{far}_mem", (0,), NO_MACRO)),
               _GATE, _SILENT, _FAR_BRANCH)


ROWS: tuple[Row, ...] = (
    # Interrupt flag, flags, halt.
    _bare("cli", "interrupt flag", _INLINE, _TRAPS, "#GP: the host keeps IF"),
    _bare("sti", "interrupt flag", _INLINE, _TRAPS, "#GP: the host keeps IF"),
    Row("pushf", "flags", ("pushf",), "wl", (Form((), "pushf", word="pushfw"),), _INLINE, _SILENT,
        "shows the host's IF and IOPL"),
    Row("popf", "flags", ("popf",), "wl", (Form((), "popf", word="popfw"),), _INLINE, _SILENT,
        "ignores the new IF and IOPL"),
    _bare("hlt", "halt", _EXIT, _TRAPS, "#GP"),
    Row("monitor", "halt", ("monitor",), "", (Form((), "monitor"), Form((_REG, _REG, _REG), "monitor")), _GATE,
        _TRAPS, "#UD outside ring 0"),
    Row("mwait", "halt", ("mwait",), "", (Form((), "mwait"), Form((_REG, _REG), "mwait")), _EXIT, _TRAPS,
        "#UD outside ring 0"),
    # Port I/O.
    Row("in", "port I/O", ("in",), "bwl",
        (Form((_PORT, _ACC), "in", (0, 1)), Form((_PORT,), "in", (0, IMPLIED_ACC))), _EXIT, _TRAPS,
        _NO_PORT),
    Row("out", "port I/O", ("out",), "bwl",
        (Form((_ACC, _PORT), "out", (0, 1)), Form((_PORT,), "out", (IMPLIED_ACC, 0))), _EXIT, _TRAPS,
        _NO_PORT),
    Row("ins", "port I/O", ("ins",), "bwl",
        (Form((), "ins{size}"), Form((_PORT, _MEM), "ins{size}")), _EXIT, _TRAPS,
        _NO_PORT, string=True),
    Row("outs", "port I/O", ("outs",), "bwl",
        (Form((), "outs{size}"), Form((_MEM, _PORT), "outs{size}")), _EXIT, _TRAPS,
        _NO_PORT, string=True),
    # Control and debug registers.
    Row("mov-to-cr", "control registers", ("mov",), "l", (Form((_REG, _CR), "write_{1}", (0,)),), _GATE, _TRAPS,
        "#GP"),
    Row("mov-from-cr", "control registers", ("mov",), "l", (Form((_CR, _REG), "read_{0}", (1,)),), _INLINE, _TRAPS,
        "#GP"),
    Row("mov-to-dr", "debug registers", ("mov",), "l", (Form((_REG, _DR), "write_{1}", (0,)),), _GATE, _TRAPS,
        "#GP"),
    Row("mov-from-dr", "debug registers", ("mov",), "l", (Form((_DR, _REG), "read_{0}", (1,)),), _GATE, _TRAPS,
        "#GP"),
    _one("lmsw", "control registers", _RM, "w", _TRAPS, "#GP"),
    _one("smsw", "control registers", _RM, "wl", _SILENT, _DUMMY),
    _bare("clts", "control registers", _GATE, _TRAPS, "#GP"),
    # Descriptor tables.
    _table("lgdt", _TRAPS, _TABLE_LOAD),
    _table("lidt", _TRAPS, _TABLE_LOAD),
    _one("lldt", "descriptor tables", _RM, "w", _TRAPS, _TABLE_LOAD),
    _one("ltr", "descriptor tables", _RM, "w", _TRAPS, _TABLE_LOAD),
    _table("sgdt", _SILENT, _DUMMY),
    _table("sidt", _SILENT, _DUMMY),
    _one("sldt", "descriptor tables", _RM, "wl", _SILENT, _DUMMY),
    _one("str", "descriptor tables", _RM, "wl", _SILENT, "gives the host's task register"),
    # Descriptor queries.
    _query("lar"),
    _query("lsl"),
    _one("verr", "descriptor queries", _RM, "w", _SILENT, _HOST_TABLES),
    _one("verw", "descriptor queries", _RM, "w", _SILENT, _HOST_TABLES),
    Row("arpl", "descriptor queries", ("arpl",), "w", (Form((_REG, _RM), "arpl", (0, 1)),), _GATE, _SILENT,
        "compares privilege levels that the host's selectors do not have"),
    # Segment registers.
    Row("mov-to-sreg", "segment loads", ("mov",), "wl", (Form((_RM, _SREG), "load_{1}", (0,)),), _INLINE, _SILENT,
        _SEGMENT_LOAD),
    Row("pop-sreg", "segment loads", ("pop",), "wl", (Form((_SREG,), "pop_{0}", (), "popw_{0}"),), _INLINE, _SILENT,
        _SEGMENT_LOAD),
    _far_pointer("lds"),
    _far_pointer("les"),
    _far_pointer("lss"),
    _far_pointer("lfs"),
    _far_pointer("lgs"),
    Row("mov-from-sreg", "segment reads", ("mov",), "wl", (Form((_SREG, _RM), "store_{0}", (1,)),), _INLINE,
        _SILENT, "shows the host's selector"),
    Row("push-sreg", "segment reads", ("push",), "wl", (Form((_SREG,), "push_{0}", (), "pushw_{0}"),), _INLINE,
        _SILENT, "shows the host's selector"),
    # Far transfers.
    _far_branch("ljmp"),
    _far_branch("lcall"),
    _far_branch_near_name("jmp", "ljmp"),
    _far_branch_near_name("call", "lcall"),
    Row("lret", "far transfers", ("lret", "retf"), "wl",
        (Form((), "lret", word="lretw"), Form((_IMM,), "lret_n", (0,), NO_MACRO)), _GATE, _SILENT,
        _FAR_BRANCH),
    Row("iret", "far transfers", ("iret",), "wl", (Form((), "iret", word="iretw"),), _GATE, _SILENT,
        f"ignores IF; {_FAR_BRANCH}"),
    # Software interrupts.
    Row("int", "software interrupts", ("int",), "", (Form((_IMM,), "int", (0,)),), _GATE, _HOST,
        "#GP; int $0x80 enters the host's kernel"),
    _bare("int3", "software interrupts", _GATE, _TRAPS, "SIGTRAP instead of the guest's gate 3"),
    _bare("into", "software interrupts", _GATE, _TRAPS, "SIGSEGV instead of the guest's gate 4"),
    _native("int1", "software interrupts", "int1", "raises SIGTRAP, which is delivered to the guest as vector 1"),
    _native("bound", "software interrupts", "bound",
            "raises #BR where it fails, which is delivered to the guest as vector 5", "wl"),
    # Fast system calls.
    _bare("sysenter", "fast system calls", _GATE, _HOST, "enters the host's kernel"),
    _bare("syscall", "fast system calls", _GATE, _HOST, "enters the host's kernel"),
    _bare("sysexit", "fast system calls", _GATE, _TRAPS, "#GP", "l"),
    _bare("sysret", "fast system calls", _GATE, _TRAPS, "#GP or #UD", "l"),
    # TLB and caches.
    _one("invlpg", "TLB", _MEM, "", _TRAPS, "#GP"),
    Row("invpcid", "TLB", ("invpcid",), "", (Form((_MEM, _REG), "invpcid", (1, 0)),), _GATE, _TRAPS, "#GP"),
    Row("wbinvd", "caches", ("wbinvd", "wbnoinvd"), "", (Form((), "wbinvd"),), _INLINE, _TRAPS, "#GP"),
    _bare("invd", "caches", _INLINE, _TRAPS, "#GP"),
    # MSRs, identity, extended state, SMAP.
    _bare("rdmsr", "MSRs", _GATE, _TRAPS, "#GP"),
    _bare("wrmsr", "MSRs", _GATE, _TRAPS, "#GP"),
    _bare("rdpmc", "MSRs", _GATE, _TRAPS, "#GP"),
    _bare("cpuid", "identity", _GATE, _SILENT, "describes the host's processor, not the guest's"),
    _bare("rdtscp", "identity", _GATE, _SILENT, "gives the host's processor number in ECX"),
    Row("rdpid", "identity", ("rdpid",), "", (), Cost.NONE, _SILENT,
        "gives the host's processor number; the guest's cpuid does not offer it", Treatment.NATIVE),
    _bare("xsetbv", "extended state", _GATE, _TRAPS, "#GP"),
    _bare("xgetbv", "extended state", _GATE, _SILENT, "shows the host's XCR0"),
    _native("xsaves", "extended state", "xsaves xrstors xsavec64 xsaves64 xrstors64",
            "#GP or #UD; the guest's cpuid does not offer it, so the guest gets #UD"),
    _bare("stac", "SMAP", _INLINE, _TRAPS, "#UD outside ring 0"),
    _bare("clac", "SMAP", _INLINE, _TRAPS, "#UD outside ring 0"),
    # Virtualisation and SMM: the virtual CPU does not offer them.
    # These go past the host's kernel to a hypervisor below it: KVM answers VMCALL in EAX, also for ring 3.
    *(_bare(name, "virtualisation", _GATE, _HOST, "reaches the hypervisor that the host runs on, if it does")
      for name in ("vmcall", "vmmcall", "vmfunc")),
    _native("vmx-svm", "virtualisation",
            "vmlaunch vmresume vmxoff vmxon vmclear vmptrld vmptrst vmread vmwrite invept invvpid "
            "vmrun vmload vmsave stgi clgi skinit invlpga getsec",
            "#UD or #GP, delivered to the guest as #UD: its virtual CPU has no such extension"),
    _native("rsm", "virtualisation", "rsm", "#UD outside system management mode, delivered to the guest as #UD"),
    _native("system-extensions", "system extensions",
            "enclv encls pconfig wrmsrns hreset enqcmds setssbsy clrssbsy wrussd tdcall invlpgb tlbsync pvalidate",
            "#UD or #GP, delivered to the guest, whose virtual CPU has no such extension"),
    # 64-bit mode.
    Row("mov-cr8", "x86-64", ("mov",), "lq", (Form((_REG, Slot.CR8), ""), Form((Slot.CR8, _REG), "")),
        Cost.NONE, _TRAPS, _LONG_MODE, Treatment.REFUSE),
    Row("x86-64", "x86-64",
        ("swapgs", "iretq", "lretq", "pushfq", "popfq", "sysretq", "sysexitq",
         "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase"), "", (), Cost.NONE, _TRAPS, _LONG_MODE, Treatment.REFUSE),
)
