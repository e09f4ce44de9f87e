"""What is told about a guest: counters while it runs, a report when it died."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from hypercalls import by_number
from hypercalls.structs import ExitReason
from hypervisor.loaders.symbols import Symbols
from hypervisor.outcome import Outcome
from hypervisor.translate import AddressSpace

if TYPE_CHECKING:
    from hypervisor.bus import Bus
    from hypervisor.domain import Domain

_FRAMES = 24
_STACK_WORDS = 16
_RECENT = 12
_SCREEN = 8  # lines: kernels often have their last words there
_MOST = 6
_FLAGS = ((0, "CF"), (2, "PF"), (4, "AF"), (6, "ZF"), (7, "SF"), (8, "TF"), (10, "DF"), (11, "OF"))
_U32 = 0xFFFF_FFFF
_EXIT_NAMES = {reason.value: reason.name.lower() for reason in ExitReason}


def counters(domain: Domain) -> dict[str, Any]:
    """The guest's counters, by name: hypercalls, exits and interrupts by kind, virtual TLB, emulation."""
    control = domain.control
    return {
        "hypercalls": {_call_name(number): count for number, count in enumerate(control.calls) if count},
        "exits": {_exit_name(reason): count for reason, count in enumerate(control.exits) if count},
        "interrupts": {f"{vector:#x}": count for vector, count in enumerate(control.interrupts) if count},
        **{name: int(getattr(control, name)) for name in _PLAIN_COUNTERS},
    }


_PLAIN_COUNTERS = ("tlb_fills", "tlb_pages", "tlb_drops", "switches", "low_unmaps", "emulated", "signals", "halts")


def absences(bus: Bus) -> list[tuple[str, int, int, int]]:
    """What the guest asked for and did not find, once each: (kind, address, reads, writes).

    The kind is "port", "page" or what a device calls it (`Bus.absent`).
    """
    found: dict[tuple[str, int], list[int]] = {}
    for (what, address), count in list(bus.absent.items()):
        kind, writing = _ABSENT.get(what, (what, 0))
        found.setdefault((kind, address), [0, 0])[writing] += count
    return [(kind, address, reads, writes) for (kind, address), (reads, writes) in sorted(found.items())]


PCI = "PCI function"
_ABSENT = {"in": ("port", 0), "out": ("port", 1), "read": ("page", 0), "write": ("page", 1),
           "pci": (PCI, 0)}  # what -> kind, writing  # fmt: skip


def statistics(domain: Domain) -> str:
    """The guest's counters and what it did not find, for people. One topic a line."""
    lines = counter_lines(counters(domain)) + absence_lines(absences(domain.bus))
    refused = domain.control.virtual_8086
    if refused:
        lines.append(f"probed, absent: virtual-8086 mode, {refused:,} times (refused with #GP or #TS)")
    return "\n".join(lines)


def counter_lines(count: dict[str, Any]) -> list[str]:
    """`counters` for people."""
    return [
        f"hypercalls  {sum(count['hypercalls'].values()):,}: {_most(count['hypercalls'])}",
        f"exits       {sum(count['exits'].values()):,}: {_most(count['exits'])}",
        f"interrupts  {sum(count['interrupts'].values()):,}: {_most(count['interrupts'])}",
        f"virtual TLB {count['tlb_fills']:,} fills, {count['tlb_pages']:,} pages mapped, {count['tlb_drops']:,} "
        f"dropped, {count['switches']:,} address-space switches, {count['low_unmaps']:,} supervisor pages unmapped",
        f"emulated    {count['emulated']:,} instructions; {count['signals']:,} host signals; {count['halts']:,} halts",
    ]


def pci_place(place: int) -> str:
    """A PCI function of bus 0, as lspci names it, from slot << 3 | function."""
    return f"{place >> 3:02x}.{place & 7}"


def absence_lines(absent: Sequence[tuple[str, int, int, int]]) -> list[str]:
    """`absences` for people: neighbouring ports are one entry."""
    lines = []
    for kind in sorted({found for found, *_ in absent}):
        step = 0x1000 if kind == "page" else 1
        addresses = [address for found, address, _, _ in absent if found == kind]
        if kind == PCI:
            runs = " ".join(map(pci_place, addresses))
        else:
            runs = " ".join(f"{first:#x}" if first == last else f"{first:#x}-{last:#x}"
                            for first, last in _runs(addresses, step))  # fmt: skip
        lines.append(f"probed, absent {kind}s: {runs}")
    return lines


def _runs(addresses: Sequence[int], step: int) -> Iterator[tuple[int, int]]:
    """First and last of each run of ascending `addresses` that are `step` apart."""
    first = last = addresses[0]
    for address in addresses[1:]:
        if address != last + step:
            yield first, last
            first = address
        last = address
    yield first, last


def crash_report(domain: Domain, result: Outcome) -> str:
    """Why and where a guest died: registers, backtrace, stack, last hypercalls, counters.

    Legal when the domain has ended and is not closed. Symbols come from the kernel file.
    """
    symbols = domain.symbols
    shared = domain.shared.shared
    space = AddressSpace(domain.memory, shared.cr0, shared.cr3, shared.cr4, domain.shared.vcpu.pdpte)
    sections = [
        ("", [f"guest {domain.name} ended: {result.cause}"]),
        ("registers", list(_registers(domain, symbols))),
        ("backtrace", list(_backtrace(domain, result, space, symbols))),
        ("stack", list(_stack(domain.shared.vcpu, space, symbols))),
        (f"last {_RECENT} hypercalls, the latest first", list(_recent(domain, symbols))),
        ("end of the VGA screen", [line for line in domain.vga.text().splitlines() if line][-_SCREEN:]),
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


def _most(counts: dict[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: -item[1])[:_MOST]
    return ", ".join(f"{name} {count:,}" for name, count in ordered) or "none"


def _call_name(number: int) -> str:
    row = by_number.get(number)
    return row.name if row else f"#{number}"


def _exit_name(reason: int) -> str:
    return _EXIT_NAMES.get(reason, f"#{reason}")
