"""What is told about a guest: counters while it runs, a report when it died."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from hypercalls import by_number
from hypercalls.structs import ExitReason
from hypervisor.loaders.symbols import Symbols
from hypervisor.outcome import Outcome
from hypervisor.translate import AddressSpace

if TYPE_CHECKING:
    from hypervisor.domain import Domain

_FRAMES = 24
_STACK_WORDS = 16
_RECENT = 12
_SCREEN = 8  # lines: kernels often have their last words there
_MOST = 6
_MAX_ABSENT = 24
_FLAGS = ((0, "CF"), (2, "PF"), (4, "AF"), (6, "ZF"), (7, "SF"), (8, "TF"), (10, "DF"), (11, "OF"))
_U32 = 0xFFFF_FFFF
_EXIT_NAMES = {reason.value: reason.name.lower() for reason in ExitReason}


def statistics(domain: Domain) -> str:
    """The guest's counters: hypercalls, exits, interrupts, virtual TLB. One topic a line."""
    control = domain.control
    calls = {number: count for number, count in enumerate(control.calls) if count}
    exits = {reason: count for reason, count in enumerate(control.exits) if count}
    interrupts = {vector: count for vector, count in enumerate(control.interrupts) if count}
    lines = [
        f"hypercalls  {sum(calls.values()):,}: {_most(calls, _call_name)}",
        f"exits       {sum(exits.values()):,}: {_most(exits, _exit_name)}",
        f"interrupts  {sum(interrupts.values()):,}: {_most(interrupts, lambda vector: f'{vector:#x}')}",
        f"virtual TLB {control.tlb_fills:,} fills, {control.tlb_pages:,} pages mapped, {control.tlb_drops:,} dropped, "
        f"{control.switches:,} address-space switches, {control.low_unmaps:,} supervisor pages unmapped",
        f"emulated    {control.emulated:,} instructions; {control.signals:,} host signals; {control.halts:,} halts",
    ]
    absent = sorted({address for what, address in list(domain.bus.absent) if what in ("in", "out")})
    if absent:
        lines.append("probed, absent ports: " + " ".join(f"{port:#x}" for port in absent[:_MAX_ABSENT]))
    if control.virtual_8086:
        lines.append(f"probed, absent: virtual-8086 mode, {control.virtual_8086:,} times (refused with #GP or #TS)")
    return "\n".join(lines)


def crash_report(domain: Domain, result: Outcome) -> str:
    """Why and where a guest died: registers, backtrace, stack, last hypercalls, counters.

    Legal when the domain has ended and is not closed. Symbols come from the kernel file.
    """
    symbols = Symbols(domain.config.kernel)
    shared = domain.shared.shared
    space = AddressSpace(domain.memory, shared.cr0, shared.cr3, shared.cr4)
    sections = [
        ("", [f"guest {domain.name} ended: {result.cause}"]),
        ("registers", list(_registers(domain, symbols))),
        ("backtrace", list(_backtrace(domain, result, space, symbols))),
        ("stack", list(_stack(domain.shared.vcpu, space, symbols))),
        (f"last {_RECENT} hypercalls, the latest first", list(_recent(domain, symbols))),
        ("end of the VGA screen", [line for line in domain.vga.text(domain.memory).splitlines() if line][-_SCREEN:]),
        ("counters", statistics(domain).splitlines()),
    ]
    lines: list[str] = []
    for title, content in sections:
        lines += [f"{title}:"] if title else []
        lines += [f"  {line}" if title else line for line in content or ["none"]]
    return "\n".join(lines)


def _registers(domain: Domain, symbols: Symbols) -> Iterator[str]:
    vcpu, shared = domain.shared.vcpu, domain.shared.shared
    yield f"eip {vcpu.eip:08x}  {symbols.describe(vcpu.eip)}"
    yield f"eax {vcpu.eax:08x}  ebx {vcpu.ebx:08x}  ecx {vcpu.ecx:08x}  edx {vcpu.edx:08x}"
    yield f"esi {vcpu.esi:08x}  edi {vcpu.edi:08x}  ebp {vcpu.ebp:08x}  esp {vcpu.esp:08x}"
    flags = [name for bit, name in _FLAGS if vcpu.eflags >> bit & 1]
    interrupts = "off" if shared.upcall_mask else "on"
    yield f"eflags {vcpu.eflags:08x} {' '.join(flags)}  interrupts {interrupts}, ring {vcpu.cpl}, IOPL {vcpu.iopl}"
    yield f"cr0 {shared.cr0:08x}  cr2 {shared.cr2:08x}  cr3 {shared.cr3:08x}  cr4 {shared.cr4:08x}"
    for name in ("cs", "ss", "ldtr", "tr"):
        part = getattr(vcpu, name)
        yield f"{name:<4} {part.selector:04x}  base {part.base:08x}  limit {part.limit:08x}  access {part.access:04x}"
    yield f"gdt {vcpu.gdt_base:08x} limit {vcpu.gdt_limit:04x}  idt {vcpu.idt_base:08x} limit {vcpu.idt_limit:04x}"


def _backtrace(domain: Domain, result: Outcome, space: AddressSpace, symbols: Symbols) -> Iterator[str]:
    """Return addresses along the chain of saved EBPs (kernels built with -fno-omit-frame-pointer)."""
    vcpu = domain.shared.vcpu
    base = vcpu.ss.base
    last = result.record.eip if result.record else vcpu.eip
    yield f"{last:08x}  {symbols.describe(last)}"
    frame = vcpu.ebp
    for _ in range(_FRAMES):
        caller, back = space.word(base + frame & _U32), space.word(base + frame + 4 & _U32)
        if not back or caller is None:
            return
        yield f"{back:08x}  {symbols.describe_return(back)}"
        if caller <= frame:
            return  # the stack grows down: callers' frames lie higher
        frame = caller


def _stack(vcpu: Any, space: AddressSpace, symbols: Symbols) -> Iterator[str]:
    data = space.read(vcpu.ss.base + vcpu.esp & _U32, 4 * _STACK_WORDS)
    for at in range(0, len(data) - 3, 4):
        word = int.from_bytes(data[at : at + 4], "little")
        name = f"  {symbols.describe_return(word)}" if symbols.lookup(word - 1) else ""
        yield f"{vcpu.esp + at & _U32:08x}  {word:08x}{name}"


def _recent(domain: Domain, symbols: Symbols) -> Iterator[str]:
    ring, head = domain.control.recent, domain.control.recent_head
    for number in range(head - 1, max(head - _RECENT, 0) - 1, -1):
        entry = ring[number % len(ring)]
        yield f"{_call_name(entry.number):<16} from {entry.eip:08x}  {symbols.describe(entry.eip)}"


def _most(counts: dict[int, int], name: Callable[[int], str]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])[:_MOST]
    return ", ".join(f"{name(number)} {count:,}" for number, count in ordered) or "none"


def _call_name(number: int) -> str:
    row = by_number.get(number)
    return row.name if row else f"#{number}"


def _exit_name(reason: int) -> str:
    return _EXIT_NAMES.get(reason, f"#{reason}")
