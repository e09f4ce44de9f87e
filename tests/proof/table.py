"""The sites: for each row of the catalogue of sensitive instructions, sequences that it is tried with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.proof.machine import LAND, SELECTOR, TABLES, Devices
from tests.proof.sites import MEMORY, Need, Site

_IN_RING_0, _OUTSIDE = (0,), (3,)
_ALL_RINGS = (0, 0, 1, 3, 3)
_NT = 0x4000
_DATA_REGISTERS = ("ds", "es", "fs", "gs")


def _site(key: str, row: str, att: str, intel: str | None = None, **details: Any) -> Site:
    """`att` and `intel`: steps, separated by " | ". NASM's is Intel's without PTR where nothing else is said.

    `no`: syntaxes that do not have it.
    """
    intel = intel if intel is not None else att
    nasm = details.pop("nasm", None) or intel.replace(" ptr ", " ")
    texts = {"att": att, "intel": intel, "nasm": nasm, "c": details.pop("c", None) or att.replace("%", "%%")}
    for syntax in details.pop("no", ()):
        del texts[syntax]
    return Site(key, row, {name: tuple(text.split(" | ")) for name, text in texts.items()}, **details)


def _interrupt_flag() -> Iterator[Site]:
    waiting = (Devices.PENDING,)
    yield _site("cli", "cli", "cli", rings=_ALL_RINGS)
    yield _site("cli-pending", "cli", "cli | nop", devices=waiting, masked=True)
    yield _site("sti", "sti", "sti", rings=_ALL_RINGS)
    yield _site("sti-shadow", "sti", "sti | nop | nop | nop", devices=waiting, masked=True, trap_flag=False)
    yield _site("sti-cli", "sti", "sti | cli | nop", devices=waiting, masked=True, trap_flag=False)
    yield _site("sti-sti", "sti", "sti | sti | nop | nop", devices=waiting, masked=True, trap_flag=False)
    # What is done for the shadow without a single step.
    behind: dict[str, Any] = {"devices": waiting, "masked": True, "trap_flag": False, "rings": _IN_RING_0}
    yield _site("sti-ret", "sti", "sti | ret | nop", words={"esp": Need.LAND}, **behind)
    yield _site("sti-leave", "sti", "sti | leave | nop", needs={"ebp": Need.FAR_STACK}, **behind)
    yield _site("sti-push", "sti", "sti | push %esi | nop", "sti | push esi | nop", **behind)
    yield _site("sti-pop", "sti", "sti | pop %edi | nop", "sti | pop edi | nop", **behind)
    yield _site("sti-sub", "sti", "sti | sub $12,%ebx | nop", "sti | sub ebx,12 | nop", **behind)
    yield _site("sti-add", "sti", "sti | add %ecx,%ebx | nop", "sti | add ebx,ecx | nop", **behind)
    yield _site("sti-mov", "sti", "sti | mov %ecx,(%ebx) | nop", "sti | mov dword ptr [ebx],ecx | nop",
                needs={"ebx": Need.POINTER}, **behind)
    yield _site("sti-load", "sti", "sti | mov 4(%ebx),%edx | nop", "sti | mov edx,dword ptr [ebx+4] | nop",
                needs={"ebx": Need.POINTER}, **behind)
    yield _site("sti-lea", "sti", "sti | lea 8(%ebx,%ecx,4),%edx | nop", "sti | lea edx,[ebx+ecx*4+8] | nop", **behind)
    yield _site("sti-in", "sti", "sti | in %dx,%al | nop", "sti | in al,dx | nop",
                needs={"edx": Need.BYTE_PORT}, **behind)
    yield _site("sti-load-segment", "sti", "sti | mov %ax,%fs | nop", "sti | mov fs,ax | nop",
                needs={"eax": Need.SELECTOR}, **behind)
    yield _site("sti-hlt", "sti", "sti\n\thlt | nop", devices=(Devices.PENDING, Devices.LATER), rings=_IN_RING_0,
                trap_flag=False, masked=True)


def _flags() -> Iterator[Site]:
    pending = (Devices.NONE, Devices.PENDING)
    yield _site("pushf", "pushf", "pushfl", "pushfd", rings=_ALL_RINGS, stack_edges=True)
    yield _site("pushfw", "pushf", "pushfw", nasm="pushfw", rings=_ALL_RINGS, stack_edges=True)
    yield _site("popf", "popf", "popfl", "popfd", rings=_ALL_RINGS, stack_edges=True, words={"esp": Need.FLAGS})
    yield _site("popfw", "popf", "popfw", rings=_ALL_RINGS, stack_edges=True, words={"esp": Need.FLAGS})
    yield _site("popf-pending", "popf", "popfl | nop | nop", "popfd | nop | nop", devices=pending, masked=True,
                words={"esp": Need.FLAGS}, trap_flag=False)
    yield _site("popf-pushf", "popf", "popfl | pushfl", "popfd | pushfd", words={"esp": Need.FLAGS})


def _halt() -> Iterator[Site]:
    # The interrupt may come before the halt.
    yield _site("hlt", "hlt", "hlt", rings=_IN_RING_0, devices=(Devices.LATER, Devices.PENDING), trap_flag=False,
                ignore=frozenset({"eip"}))
    yield _site("hlt-outside", "hlt", "hlt", rings=(1, 3))
    yield _site("monitor", "monitor", "monitor", "monitor", c="monitor")
    yield _site("mwait", "mwait", "mwait", "mwait", c="mwait")


_WIDTHS = (("b", "al"), ("w", "ax"), ("l", "eax"))


def _ports() -> Iterator[Site]:
    for suffix, register in _WIDTHS:
        c_register = {"b": "%b0", "w": "%w0", "l": "%0"}[suffix]
        port = {"edx": Need.BYTE_PORT if suffix == "b" else Need.PORT}
        yield _site(f"in-{register}", "in", f"in %dx,%{register}", f"in {register},dx", needs=port, rings=(0, 3, 3),
                    c=f'in{suffix} %w1,{c_register} ; "=a"(a) : "d"(d)')
        yield _site(f"in-{register}-imm", "in", f"in $0x80,%{register}", f"in {register},0x80", rings=(0, 3, 3),
                    c=f'in{suffix} %1,{c_register} ; "=a"(a) : "i"(0x80)', ignore=frozenset({"eax"}))
        yield _site(f"out-{register}", "out", f"out %{register},%dx", f"out dx,{register}", rings=(0, 3, 3),
                    needs=port, c=f'out{suffix} {c_register},%w1 ; : "a"(a), "d"(d)')
        yield _site(f"out-{register}-imm", "out", f"out %{register},$0x70", f"out 0x70,{register}", rings=(0, 3, 3),
                    c=f'out{suffix} {c_register},%1 ; : "a"(a), "i"(0x70)')
        for prefix in ("", "rep "):
            name, count = prefix.strip(), {"ecx": Need.COUNT} if prefix else {}
            end = suffix if suffix != "l" else "d"
            yield _site(f"{name}ins{suffix}", "ins", f"{prefix}ins{suffix}", f"{prefix}ins{end}", rings=(0, 3, 3),
                        needs={"edx": Need.SCRATCH if suffix == "b" else Need.PORT, "edi": Need.STRING, **count},
                        flat=False)
            yield _site(f"{name}outs{suffix}", "outs", f"{prefix}outs{suffix}", f"{prefix}outs{end}",
                        needs={"edx": Need.SCRATCH if suffix == "b" else Need.PORT, "esi": Need.STRING, **count},
                        rings=(0, 3, 3))
    yield _site("rep-outsb-es", "outs", "rep outsb %es:(%esi),(%dx)", "rep outs dx,byte ptr es:[esi]",
                nasm="rep es outsb", needs={"edx": Need.SCRATCH, "esi": Need.POINTER, "ecx": Need.COUNT})


def _control() -> Iterator[Site]:
    needs = {0: Need.CR0, 2: Need.ANY, 3: Need.CR3, 4: Need.CR4}
    for number, need in needs.items():
        yield _site(f"to-cr{number}", "mov-to-cr", f"mov %eax,%cr{number}", f"mov cr{number},eax", needs={"eax": need},
                    c=f'movl %0,%%cr{number} ; : "a"(a)')
        yield _site(f"from-cr{number}", "mov-from-cr", f"mov %cr{number},%ebx", f"mov ebx,cr{number}",
                    c=f'movl %%cr{number},%0 ; "=b"(b)')
    yield _site("from-cr0-esp", "mov-from-cr", "mov %cr0,%ebp", "mov ebp,cr0")
    yield _site("lmsw", "lmsw", "lmsw %ax", "lmsw ax", c='lmsw %w0 ; : "a"(a)', clear_flags=0)
    yield _site("lmsw-memory", "lmsw", "lmsw (%ebx)", "lmsw word ptr [ebx]", needs={"ebx": Need.POINTER})
    for register in ("ax", "eax"):
        yield _site(f"smsw-{register}", "smsw", f"smsw %{register}", f"smsw {register}", rings=_ALL_RINGS)
    yield _site("smsw-memory", "smsw", "smsw 4(%ebx)", "smsw word ptr [ebx+4]", needs={"ebx": Need.POINTER},
                rings=_ALL_RINGS)
    yield _site("clts", "clts", "clts")
    for number in range(8):
        need = {4: Need.DR6, 5: Need.DR7, 6: Need.DR6, 7: Need.DR7}.get(number, Need.ANY)
        yield _site(f"to-dr{number}", "mov-to-dr", f"mov %eax,%dr{number}", f"mov dr{number},eax",
                    needs={"eax": need}, c=f'movl %0,%%dr{number} ; : "a"(a)', trap_flag=number not in (4, 6))
        yield _site(f"from-dr{number}", "mov-from-dr", f"mov %dr{number},%ecx", f"mov ecx,dr{number}",
                    c=f'movl %%dr{number},%0 ; "=c"(c)')


def _tables() -> Iterator[Site]:
    for name, base in (("lgdt", Need.TABLE_BASE), ("lidt", Need.IDT_BASE)):
        yield _site(name, name, f"{name} (%ebx)", f"{name} [ebx]", needs={"ebx": Need.TABLE_POINTER}, flat=True,
                    words={"ebx+0": Need.TABLE_LIMIT, "ebx+2": base},
                    c=f'{name} %0 ; : "m"(*(const volatile char *)b), "b"(b)')
    for name in ("sgdt", "sidt"):
        yield _site(name, name, f"{name} (%ecx)", f"{name} [ecx]", needs={"ecx": Need.WHOLE_POINTER}, rings=_ALL_RINGS,
                    c=f'{name} %0 ; "=m"(*(volatile char *)c) : "c"(c)')
    for name in ("lldt", "ltr"):
        yield _site(name, name, f"{name} %ax", f"{name} ax", needs={"eax": Need.SELECTOR}, c=f'{name} %w0 ; : "a"(a)')
        yield _site(f"{name}-memory", name, f"{name} 2(%esi)", f"{name} word ptr [esi+2]",
                    needs={"esi": Need.POINTER}, words={"esi+2": Need.SELECTOR})
    for name in ("sldt", "str"):
        for register in ("dx", "edx"):
            yield _site(f"{name}-{register}", name, f"{name} %{register}", f"{name} {register}", rings=_ALL_RINGS)
        yield _site(f"{name}-memory", name, f"{name} (%edi)", f"{name} word ptr [edi]", needs={"edi": Need.POINTER},
                    rings=_ALL_RINGS)


def _queries() -> Iterator[Site]:
    for name in ("lar", "lsl"):
        # SDM vol. 2, LAR: the four bits of the limit are undefined.
        bits = 0xF0000 if name == "lar" else 0
        yield _site(name, name, f"{name} %eax,%ecx", f"{name} ecx,eax", needs={"eax": Need.SELECTOR},
                    rings=_ALL_RINGS, c=f'{name} %1,%0 ; "+c"(c) : "a"(a)', undefined={"ecx": bits})
        yield _site(f"{name}-word", name, f"{name} %ax,%cx", f"{name} cx,ax", needs={"eax": Need.SELECTOR},
                    rings=_ALL_RINGS)
        yield _site(f"{name}-memory", name, f"{name} (%esi,%edi,2),%edi", f"{name} edi,word ptr [esi+edi*2]",
                    nasm=f"{name} edi,[esi+edi*2]",
                    needs={"esi": Need.POINTER, "edi": Need.ZERO}, words={"esi": Need.SELECTOR}, rings=_ALL_RINGS,
                    undefined={"edi": bits})
        yield _site(f"{name}-same", name, f"{name} %eax,%eax", f"{name} eax,eax", needs={"eax": Need.SELECTOR},
                    rings=_ALL_RINGS, undefined={"eax": bits})
    for name in ("verr", "verw"):
        yield _site(name, name, f"{name} %ax", f"{name} ax", needs={"eax": Need.SELECTOR}, rings=_ALL_RINGS,
                    c=f'{name} %w0 ; : "a"(a)')
        yield _site(f"{name}-memory", name, f"{name} (%ebp)", f"{name} word ptr [ebp+0]", needs={"ebp": Need.POINTER},
                    words={"ebp": Need.SELECTOR}, rings=_ALL_RINGS)
    yield _site("arpl", "arpl", "arpl %cx,%ax", "arpl ax,cx", needs={"eax": Need.SELECTOR, "ecx": Need.SELECTOR},
                rings=_ALL_RINGS, c='arpl %w1,%w0 ; "+a"(a) : "c"(c)')
    yield _site("arpl-memory", "arpl", "arpl %cx,(%ebx)", "arpl word ptr [ebx],cx", rings=_ALL_RINGS,
                needs={"ebx": Need.POINTER, "ecx": Need.SELECTOR}, words={"ebx": Need.SELECTOR})


def _segment_loads() -> Iterator[Site]:
    for segment in _DATA_REGISTERS:
        common: dict[str, Any] = {"needs": {"eax": Need.SELECTOR}, "rings": _ALL_RINGS}
        yield _site(f"to-{segment}", "mov-to-sreg", f"mov %ax,%{segment}", f"mov {segment},ax", **common,
                    c=f'movw %w0,%%{segment} ; : "a"(a)')
        yield _site(f"to-{segment}-long", "mov-to-sreg", f"mov %eax,%{segment}", f"mov {segment},eax", **common)
        yield _site(f"to-{segment}-memory", "mov-to-sreg", f"mov (%ebx),%{segment}", f"mov {segment},word ptr [ebx]",
                    needs={"ebx": Need.POINTER}, words={"ebx": Need.SELECTOR}, rings=_ALL_RINGS,
                    c=f'movw %0,%%{segment} ; : "m"(*(const volatile short *)b), "b"(b)')
        for suffix, name in (("l", ""), ("w", "w")):
            yield _site(f"pop{name}-{segment}", "pop-sreg", f"pop{suffix} %{segment}",
                        f"pop {segment}" if not name else f"data16 pop {segment}", nasm=f"pop {segment}" if not name
                        else f"o16 pop {segment}", words={"esp": Need.SELECTOR}, rings=_ALL_RINGS, stack_edges=True)
        yield _site(f"l{segment}", f"l{segment}", f"l{segment} (%ebx),%esi", f"l{segment} esi,fword ptr [ebx]",
                    nasm=f"l{segment} esi,[ebx]", needs={"ebx": Need.POINTER},
                    words={"ebx+4": Need.SELECTOR}, rings=_ALL_RINGS, cr2_page=True,
                    c=f'l{segment} %1,%0 ; "=S"(s) : "m"(*(const volatile char *)b), "b"(b)')
        yield _site(f"l{segment}-word", f"l{segment}", f"l{segment}w (%edi),%di",
                    f"l{segment} di,dword ptr [edi]", nasm=f"l{segment} di,[edi]", needs={"edi": Need.POINTER},
                    words={"edi+2": Need.SELECTOR}, rings=_ALL_RINGS, cr2_page=True)
    yield _site("to-ss", "mov-to-sreg", "mov %ax,%ss | nop", "mov ss,ax | nop", needs={"eax": Need.STACK_SELECTOR})
    yield _site("to-ss-shadow", "mov-to-sreg", "sti | mov %ax,%ss | nop | nop", "sti | mov ss,ax | nop | nop",
                needs={"eax": Need.GOOD_STACK_SELECTOR}, rings=_IN_RING_0, masked=True, trap_flag=False,
                devices=(Devices.PENDING,))
    yield _site("pop-ss", "pop-sreg", "popl %ss | nop", "pop ss | nop", words={"esp": Need.STACK_SELECTOR})
    yield _site("popw-ss", "pop-sreg", "popw %ss | nop", "data16 pop ss | nop", nasm="o16 pop ss | nop",
                words={"esp": Need.STACK_SELECTOR})
    yield _site("lss", "lss", "lss (%ebx),%esi | nop", "lss esi,fword ptr [ebx] | nop", nasm="lss esi,[ebx] | nop",
                needs={"ebx": Need.POINTER}, words={"ebx+4": Need.STACK_SELECTOR}, cr2_page=True)


def _segment_reads() -> Iterator[Site]:
    for segment in ("cs", "ss", *_DATA_REGISTERS):
        for register in ("dx", "edx"):
            yield _site(f"from-{segment}-{register}", "mov-from-sreg", f"mov %{segment},%{register}",
                        f"mov {register},{segment}", rings=_ALL_RINGS,
                        c=f'mov{"w" if register == "dx" else "l"} %%{segment},%{"w" if register == "dx" else ""}0 ; '
                          f'"=d"(d)')
        yield _site(f"from-{segment}-memory", "mov-from-sreg", f"mov %{segment},(%esi)",
                    f"mov word ptr [esi],{segment}", needs={"esi": Need.POINTER}, rings=_ALL_RINGS,
                    c=f'movw %%{segment},%0 ; "=m"(*(volatile short *)s) : "S"(s)')
        for suffix, name in (("l", ""), ("w", "w")):
            yield _site(f"push{name}-{segment}", "push-sreg", f"push{suffix} %{segment}",
                        f"push {segment}" if not name else f"data16 push {segment}",
                        nasm=f"push {segment}" if not name else f"o16 push {segment}", rings=_ALL_RINGS,
                        stack_edges=bool(name), half_push=not name)


_CODE_SELECTORS = {"same": 8, "user": 0x1B, "conforming": 0x60, "null": 0, "data": 0x10, "beyond": 0xFFF8,
                   "absent": 0xB8, "ring1": 0x99, "busy": 0x80}
_CODE_SELECTORS |= {name.replace("_", "-"): selector for name, selector in SELECTOR.items() if "call_gate" in name}


def _far_transfers() -> Iterator[Site]:
    for what in ("jmp", "call"):
        for name, selector in _CODE_SELECTORS.items():
            yield _site(f"l{what}-{name}", f"l{what}", f"l{what} ${selector:#x},${LAND:#x}",
                        f"l{what} {selector:#x}:{LAND:#x}", nasm=f"{what} {selector:#x}:{LAND:#x}", rings=_ALL_RINGS)
        yield _site(f"l{what}-memory", f"l{what}", f"l{what} *(%ebx)", f"{what} fword ptr [ebx]",
                    nasm=f"{what} far [ebx]", needs={"ebx": Need.POINTER},
                    words={"ebx": Need.LAND, "ebx+4": Need.CODE}, rings=_ALL_RINGS, cr2_page=True)
        yield _site(f"{what}-far", f"{what}-far", f"{what} $8,${LAND:#x}", f"{what} 8:{LAND:#x}", rings=_ALL_RINGS)
    frame: dict[str, Any] = {"words": {"esp": Need.LAND, "esp+4": Need.CODE, "esp+8": Need.ARENA_STACK,
                                       "esp+12": Need.RETURN_STACK}, "rings": _ALL_RINGS,
                             "stack_edges": True, "cr2_page": True}
    yield _site("lret", "lret", "lretl", "retf", **frame)
    shifted: dict[str, Any] = {"words": {"esp": Need.LAND, "esp+4": Need.CODE, "esp+16": Need.ARENA_STACK,
                                         "esp+20": Need.RETURN_STACK}, "rings": _ALL_RINGS,
                             "stack_edges": True, "cr2_page": True}
    yield _site("lret-n", "lret", "lretl $8", "retf 8", **shifted)
    yield _site("iret", "iret", "iretl", "iretd", words={
        "esp": Need.LAND, "esp+4": Need.CODE, "esp+8": Need.FLAGS, "esp+12": Need.ARENA_STACK,
        "esp+16": Need.RETURN_STACK}, rings=_ALL_RINGS, stack_edges=True, cr2_page=True)
    yield _site("iret-pending", "iret", "iretl", "iretd", words={
        "esp": Need.LAND, "esp+4": Need.CODE, "esp+8": Need.FLAGS, "esp+12": Need.ARENA_STACK,
        "esp+16": Need.RETURN_STACK}, rings=_IN_RING_0, clear_flags=_NT, devices=(Devices.PENDING,), masked=True)


def _software_interrupts() -> Iterator[Site]:
    for vector in (*range(0x50, 0x5D), 3, 0x5F, 0x80):
        # From an outer ring, a conforming handler stays there, where ours could not tell what it found.
        yield _site(f"int-{vector:x}", "int", f"int ${vector:#x}", f"int {vector:#x}", stack_edges=True,
                    rings=_ALL_RINGS if vector != 0x56 else _IN_RING_0)
    yield _site("int3", "int3", "int3", rings=_ALL_RINGS, stack_edges=True)
    yield _site("into", "into", "into", rings=_ALL_RINGS, stack_edges=True)
    yield _site("int1", "int1", "int1", rings=_ALL_RINGS, nasm="int1", trap_flag=False)
    yield _site("bound", "bound", "bound %eax,(%ecx)", "bound eax,qword ptr [ecx]", nasm="bound eax,[ecx]",
                needs={"ecx": Need.POINTER}, words={"ecx": Need.ANY, "ecx+4": Need.ANY}, rings=_ALL_RINGS)


def _others() -> Iterator[Site]:
    yield _site("sysenter", "sysenter", "sysenter", rings=_ALL_RINGS)
    yield _site("sysexit", "sysexit", "sysexit", needs={"edx": Need.LAND}, rings=_ALL_RINGS, user_data=True)
    yield _site("syscall", "syscall", "syscall", rings=_ALL_RINGS)
    yield _site("sysret", "sysret", "sysretl", "sysret", nasm="sysret", rings=_ALL_RINGS)
    yield _site("invlpg", "invlpg", "invlpg (%ebx)", "invlpg [ebx]", needs={"ebx": Need.POINTER},
                c='invlpg %0 ; : "m"(*(const volatile char *)b), "b"(b)')
    yield _site("invpcid", "invpcid", "invpcid (%ebx),%ecx", "invpcid ecx,[ebx]", needs={"ebx": Need.POINTER})
    yield _site("wbinvd", "wbinvd", "wbinvd", rings=_IN_RING_0)
    yield _site("invd", "invd", "invd", rings=_IN_RING_0)
    yield _site("rdmsr", "rdmsr", "rdmsr", needs={"ecx": Need.MSR})
    yield _site("wrmsr", "wrmsr", "wrmsr | rdmsr", needs={"ecx": Need.MSR, "edx": Need.ZERO})
    yield _site("rdpmc", "rdpmc", "rdpmc", rings=_OUTSIDE)
    yield _site("cpuid", "cpuid", "cpuid", rings=_ALL_RINGS, ignore=frozenset({"eax", "ebx", "ecx", "edx"}))
    yield _site("rdtscp", "rdtscp", "rdtscp", rings=_ALL_RINGS)
    yield _site("xsetbv", "xsetbv", "xsetbv", rings=_ALL_RINGS)
    yield _site("xgetbv", "xgetbv", "xgetbv", rings=_ALL_RINGS)
    yield _site("xsaves", "xsaves", "xsaves (%eax)", "xsaves [eax]", rings=_ALL_RINGS)
    for name in ("vmcall", "vmmcall", "vmfunc"):
        yield _site(name, name, name, rings=_ALL_RINGS)
    for name in ("vmxoff", "vmrun", "vmload", "vmsave", "stgi", "clgi", "getsec"):
        yield _site(name, "vmx-svm", name, rings=_ALL_RINGS)
    yield _site("rsm", "rsm", "rsm", rings=_ALL_RINGS)
    for name in ("encls", "enclv", "pconfig", "setssbsy", "tdcall", "invlpgb", "tlbsync"):
        # NASM 2.16 takes the last three for labels.
        no = ("nasm",) if name in ("tdcall", "invlpgb", "tlbsync") else ()
        yield _site(name, "system-extensions", name, rings=_ALL_RINGS, no=no)


def _left_alone() -> Iterator[Site]:
    """What is no instruction to port (see ``rows``): the processor does the same in ring 3."""
    yield _site("ud2", "ud2", "ud2", rings=_ALL_RINGS)
    yield _site("to-cs", "mov-to-cs", "mov %ax,%cs", "mov cs,ax", c='movw %w0,%%cs ; : "a"(a)', rings=_ALL_RINGS,
                needs={"eax": Need.SELECTOR})
    yield _site("pause", "pause", "pause", rings=_ALL_RINGS)
    yield _site("rdtsc", "rdtsc", "rdtsc", rings=_ALL_RINGS, ignore=frozenset({"eax", "edx"}))
    # What the image holds differs from model to model, and a segment may show it.
    shown = frozenset({MEMORY, *(f"probe_{segment}" for segment in _DATA_REGISTERS)})
    yield _site("fxsave", "fxsave", "fxsave (%ebx)", "fxsave [ebx]", needs={"ebx": Need.FPU_IMAGE}, rings=_ALL_RINGS,
                c='fxsave %0 ; "=m"(*(volatile char (*)[512])b) : "b"(b)', ignore=shown, cr2_page=True)
    yield _site("fxrstor", "fxrstor", "fxrstor (%ebx)", "fxrstor [ebx]", needs={"ebx": Need.FPU_IMAGE},
                words={"ebx+24": Need.MXCSR}, rings=_ALL_RINGS, cr2_page=True,
                c='fxrstor %0 ; : "m"(*(const volatile char (*)[512])b), "b"(b)')


SITES: tuple[Site, ...] = tuple(
    site for part in (_interrupt_flag, _flags, _halt, _ports, _control, _tables, _queries, _segment_loads,
                      _segment_reads, _far_transfers, _software_interrupts, _others, _left_alone) for site in part())
BY_KEY = {site.key: site for site in SITES}

_SPARE = TABLES + SELECTOR["kernel_data_alias"] + 4  # the second half of a descriptor


def _deviant() -> Iterator[Site]:
    """Compared in test_deviations only."""
    yield _site("stac", "stac", "stac")
    yield _site("clac", "clac", "clac")
    yield _site("rdpid", "rdpid", "rdpid %eax", "rdpid eax", ignore=frozenset({"eax"}))
    yield _site("clflush", "clflush", "clflush (%ebx)", "clflush [ebx]")
    yield _site("watchpoint", "mov-to-dr", "mov %eax,%dr0 | mov %ecx,%dr7 | mov %edx,(%ebx) | nop",
                "mov dr0,eax | mov dr7,ecx | mov dword ptr [ebx],edx | nop")
    yield _site("general-detect", "mov-to-dr", "mov %ecx,%dr7 | mov %dr0,%edx | nop",
                "mov dr7,ecx | mov edx,dr0 | nop")
    yield _site("real-mode", "mov-to-cr", "mov %eax,%cr0 | mov %ecx,%cr0", "mov cr0,eax | mov cr0,ecx")
    yield _site("fpu", "fpu", "fninit")
    yield _site("x87", "fpu", "fld1")
    yield _site("mmx", "fpu", "movd %eax,%mm0", "movd mm0,eax")
    yield _site("wait", "fpu", "fwait")
    yield _site("accessed", "mov-to-sreg",
                f"andb $0xfe,%ss:{_SPARE + 1:#x} | mov %ax,%fs | mov %ss:{_SPARE:#x},%edx",
                f"and byte ptr ss:[{_SPARE + 1:#x}],0xfe | mov fs,ax | mov edx,dword ptr ss:[{_SPARE:#x}]",
                nasm=f"and byte [ss:{_SPARE + 1:#x}],0xfe | mov fs,ax | mov edx,[ss:{_SPARE:#x}]")


DEVIANT = {site.key: site for site in _deviant()}
