"""The guest as gdb's target, while it stands still: registers, memory, break points."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from hypercalls import layout
from hypercalls.structs import DEBUG, DebugPoint
from hypervisor.errors import RingError
from hypervisor.gdb.registers import ALL, FPU_CONTROL, GENERAL, Register
from hypervisor.translate import AddressSpace

if TYPE_CHECKING:
    from hypervisor.memory import GuestMemory
    from hypervisor.state import StateFile

_PAGE = 4096
_CR0_PG = 1 << 31
_INT3 = b"\xcc"
_MOST = 64
_DATA = ("ds", "es", "fs", "gs")
_HOST_FLAGS = 0x3202  # IF and IOPL, which are the host's in vcpu.eflags


class Target:
    """Registers, memory and points of one guest. Nothing here may be called while the guest runs, but `interrupt`."""

    def __init__(self, memory: GuestMemory, state: StateFile,
                 loaded_at: Callable[[int], int | None] = lambda _address: None) -> None:  # fmt: skip
        """`loaded_at`: where what the kernel's file has at a linear address lies, before the guest's tables tell."""
        self._loaded_at = loaded_at
        self._memory, self._vcpu, self._shared = memory, state.vcpu, state.shared
        self.block: Any = DEBUG.ctype.from_buffer(state.window(layout.DEBUG_OFFSET, DEBUG.size))
        self._points: list[tuple[int, int, int]] = []
        self._int3: dict[int, tuple[int, bytes]] = {}  # by linear address: physical address, the byte that was there

    # --- registers ----------------------------------------------------------------------------------

    def registers(self) -> bytes:
        """All registers, in the order of `ALL`."""
        return b"".join(self.register(register) for register in ALL)

    def register(self, register: Register) -> bytes:
        """One register's bytes."""
        name, fpu = register.name, self.block.fpu
        if name[:2] == "st":
            return bytes(fpu[32 + 16 * int(name[2]) : 42 + 16 * int(name[2])])
        if name[:3] == "xmm":
            return bytes(fpu[160 + 16 * int(name[3]) : 176 + 16 * int(name[3])])
        return (self._value(name) & 0xFFFF_FFFF).to_bytes(4, "little")

    def _value(self, name: str) -> int:
        vcpu, block, fpu = self._vcpu, self.block, bytes(self.block.fpu[:32])
        if name in GENERAL or name in ("eip", "efer", "cpl", "gdt_base", "gdt_limit", "idt_base", "idt_limit"):
            return int(getattr(vcpu, name))
        if name == "eflags":
            return int(block.eflags)
        if name in ("cr0", "cr2", "cr3", "cr4"):
            return int(getattr(self._shared, name))
        if name in FPU_CONTROL:
            return _fpu_control(name, fpu)
        if name == "mxcsr":
            return int.from_bytes(fpu[24:28], "little")
        segment, _, part = name.partition("_")
        place = block.data[_DATA.index(segment)] if segment in _DATA else getattr(vcpu, segment)
        return int(place.base if part else place.selector)

    def set_register(self, register: Register, data: bytes) -> bool:
        """Write a general register, EIP or EFLAGS; False for others."""
        value = int.from_bytes(data[:4], "little")
        if register.name in GENERAL or register.name == "eip":
            setattr(self._vcpu, register.name, value)
        elif register.name == "eflags":
            self.block.eflags, self.block.eflags_written = value, 1
        else:
            return self.register(register) == data
        return True

    # --- memory -------------------------------------------------------------------------------------

    def space(self) -> AddressSpace:
        """Guest-linear memory as the guest's own page tables have it now."""
        shared = self._shared
        return AddressSpace(self._memory, shared.cr0, shared.cr3, shared.cr4, tuple(self._vcpu.pdpte))

    def read(self, address: int, count: int) -> bytes:
        """Up to `count` bytes at guest-linear `address`, fewer where no memory is mapped; without our break points."""
        data = bytearray(self.space().read(address, count))
        for place, (_, byte) in self._int3.items():
            if place - address in range(len(data)) and data[place - address] == _INT3[0]:
                data[place - address] = byte[0]
        return bytes(data)

    def write(self, address: int, data: bytes) -> bool:
        """Write to guest-linear memory, whatever its rights. False where some of it is not mapped."""
        space, done = self.space(), 0
        while done < len(data):
            at = address + done & 0xFFFF_FFFF
            part = data[done : done + _PAGE - at % _PAGE]
            physical = space.physical(at)
            if physical is None:
                return False
            try:
                self._memory.write(physical, self._keeping_points(physical, part))
            except RingError:
                return False
            done += len(part)
        return True

    def _keeping_points(self, physical: int, data: bytes) -> bytes:
        """`data` for that address with our break points in it, which remember what it has there."""
        made = bytearray(data)
        for linear, (place, _) in self._int3.items():
            at = place - physical
            if at in range(len(data)):
                self._int3[linear] = (place, data[at : at + 1])
                made[at] = _INT3[0]
        return bytes(made)

    # --- points -------------------------------------------------------------------------------------

    def insert(self, kind: DebugPoint, address: int, size: int) -> bool:
        """Set a point; False where there is no place left.

        A software break point is an INT3 in the guest's memory where that is the kernel's, the same in all address
        spaces; elsewhere it becomes one by address. One by address makes all code on its page slow.
        """
        place = self._place(address) if kind is DebugPoint.SOFTWARE else None
        if kind is DebugPoint.SOFTWARE and place is None:
            kind = DebugPoint.EXECUTE
        point = (int(kind), address, size)
        if point not in self._points:
            if len(self._points) == _MOST:
                return False
            if place is not None:
                self._int3[address] = (place, self._memory.read(place, 1))
                self._memory.write(place, _INT3)
            self._points.append(point)
            self._publish()
        return True

    def remove(self, kind: DebugPoint, address: int, size: int) -> None:
        """Take a point away; harmless where there is none."""
        if kind is DebugPoint.SOFTWARE and address not in self._int3:
            kind = DebugPoint.EXECUTE
        point = (int(kind), address, size)
        if point in self._points:
            self._points.remove(point)
            if kind is DebugPoint.SOFTWARE:
                self._restore(address)
            self._publish()

    def remove_all(self) -> None:
        """Take all points away."""
        for address in tuple(self._int3):
            self._restore(address)
        self._points.clear()
        self._publish()

    def _place(self, address: int) -> int | None:
        """The physical address of kernel code, also where the guest has yet to turn paging on and to map it."""
        paging = self._shared.cr0 & _CR0_PG
        loaded = None if paging else self._loaded_at(address)
        return self.space().kernel_memory(address) if loaded is None else loaded

    def _restore(self, address: int) -> None:
        """Put back what a software break point has replaced, unless the guest has written there meanwhile."""
        place, byte = self._int3.pop(address)
        if self._memory.read(place, 1) == _INT3:
            self._memory.write(place, byte)

    def _publish(self) -> None:
        for place, point in zip(self.block.points, self._points, strict=False):
            place.type, place.linear, place.size = point
        self.block.point_count, self.block.changed = len(self._points), 1


def _fpu_control(name: str, image: bytes) -> int:
    """FXSAVE's header (SDM vol. 1, table 10-2) as gdb's registers have it."""
    word = {"fctrl": (0, 2), "fstat": (2, 2), "fop": (6, 2), "fioff": (8, 4), "fiseg": (12, 2), "fooff": (16, 4),
            "foseg": (20, 2)}.get(name)  # fmt: skip
    if word:
        return int.from_bytes(image[word[0] : word[0] + word[1]], "little")
    return sum(0 if image[4] >> number & 1 else 3 << 2 * number for number in range(8))
