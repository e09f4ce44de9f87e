"""The network card: an Intel 82540EM (e1000), the PCI card that most kernels have a driver for.

Source: Intel, PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual (317453-006): descriptors in
chapter 3, initialisation in 14, registers in 13. Interrupt delays (ITR, RDTR, TIDV...) are accepted and count as none;
received checksums are never judged (IXSM is set); power management and VLAN priorities are not there. The cable is a
`hypervisor.net` link. Legal at any time, in any order: whatever a driver writes, the worst that happens is that its
frames are dropped.
"""

from __future__ import annotations

import zlib
from collections import deque
from collections.abc import Callable
from typing import Protocol

from hypervisor.bus import ONES, Bus
from hypervisor.devices import dma
from hypervisor.devices import e1000_registers as R
from hypervisor.devices.e1000_eeprom import WORDS, Microwire, contents
from hypervisor.devices.e1000_offload import Context, checksummed, segments
from hypervisor.devices.pci import Bar, PciFunction

VENDOR, DEVICE, CLASS, REVISION = 0x8086, 0x100E, 0x02_00_00, 3
MMIO_SIZE, IO_SIZE = 0x2_0000, 64
IO_ADDRESS, IO_DATA = 0, 4
SHORTEST, LONGEST, LONGEST_JUMBO = 60, 1518, 16384  # bytes of a frame, its checksum left out (LONGEST: with a VLAN tag)
WAITING = 128  # received frames that wait for a descriptor: about the card's own buffer
_PACKET_MAX = 1 << 18  # what a driver may gather for one packet before segmentation
_BROADCAST = b"\xff" * 6
_HASH_SHIFT = (4, 3, 2, 0)  # RCTL.MO: where in the address the multicast hash begins


class Cable(Protocol):
    """The other end of the card."""

    def send(self, frame: bytes) -> None:
        """Take a frame (destination address first, no checksum), or drop it; never blocks."""


class E1000(PciFunction):
    """One card with the station address `mac` (6 bytes). `received` and `set_link` are the cable's side."""

    name = "network card"

    def __init__(self, mac: bytes, cable: Cable | None = None) -> None:
        bars = (Bar(0, MMIO_SIZE, io=False), Bar(1, IO_SIZE, io=True))
        super().__init__(VENDOR, DEVICE, CLASS, REVISION, bars, pin=1)
        self.mac, self.cable = mac, cable
        self.link = False
        self._eeprom = contents(mac, VENDOR, DEVICE)
        self._io_address = 0
        self._waiting: deque[bytes] = deque()
        self.dropped = 0  # frames that came while the driver was not ready, or had no room
        self._reset()

    def attached(self, bus: Bus) -> None:
        self._memory = bus.memory

    def _reset(self) -> None:
        self._registers: dict[int, int] = dict.fromkeys(R.KEPT, 0)
        self._registers |= {R.CTRL: R.CTRL_FULL_DUPLEX, R.PBA: 0x0010_0030, R.EERD: 0, R.MDIC: 0, R.EECD: 0,
                            R.RDLEN: 0, R.RDH: 0, R.RDT: 0, R.TDLEN: 0, R.TDH: 0, R.TDT: 0}
        self._registers[R.RAL0] = int.from_bytes(self.mac[:4], "little")
        self._registers[R.RAH0] = int.from_bytes(self.mac[4:], "little") | R.RAH_VALID
        self._phy = dict(R.PHY_RESET)
        self._microwire = Microwire(self._eeprom)
        self._causes = self._mask = 0
        self._gathered, self._context = bytearray(), Context()
        self._options = 0
        self._waiting.clear()
        self._interrupt_changed()

    # --- the cable's side -------------------------------------------------------------------------------

    def set_link(self, up: bool) -> None:
        """The cable was plugged in or pulled out."""
        if up != self.link:
            self.link = up
            self._cause(R.LINK_CHANGE)

    def received(self, frame: bytes) -> None:
        """A frame has come in. It is dropped where the card is off, the address another's or its buffer full."""
        if not self._accepts(frame):
            return
        if len(self._waiting) >= WAITING:
            self._missed()
            return
        self._waiting.append(frame)
        self._receive()

    # --- registers --------------------------------------------------------------------------------------

    def bar_read(self, bar: int, offset: int, size: int) -> int:
        if bar == 0:
            return self._read(offset & ~3) >> (offset & 3) * 8 & ONES[size]
        if offset == IO_ADDRESS:
            return self._io_address
        return self._read(self._io_address) if offset == IO_DATA else ONES[size]

    def bar_write(self, bar: int, offset: int, size: int, value: int) -> None:
        if bar == 0:
            self._write(offset & ~3, value << (offset & 3) * 8 & 0xFFFF_FFFF)
        elif offset == IO_ADDRESS and size == 4:
            self._io_address = value & ~3 & MMIO_SIZE - 1
        elif offset == IO_DATA:
            self._write(self._io_address, value)

    def _read(self, offset: int) -> int:
        special = _READS.get(offset)
        if special:
            return special(self)
        value = self._registers.get(offset, 0)
        if R.STATISTICS[0] <= offset <= R.STATISTICS[1]:
            self._registers.pop(offset, None)  # cleared by the read
        return value

    def _write(self, offset: int, value: int) -> None:
        special = _WRITES.get(offset)
        if special:
            special(self, value)
        elif offset in R.KEPT or any(first <= offset <= last for first, last in _ARRAYS):
            self._registers[offset] = value

    def _status(self) -> int:
        return R.STATUS_FULL_DUPLEX | R.STATUS_1000 | (R.STATUS_LINK_UP if self.link else 0)

    def _control(self, value: int) -> None:
        if value & R.CTRL_RESET:
            self._reset()
            return
        if value & R.CTRL_PHY_RESET:
            self._phy = dict(R.PHY_RESET)
        self._registers[R.CTRL] = value & ~R.CTRL_PHY_RESET

    def _eeprom_lines(self, value: int) -> None:
        self._registers[R.EECD] = value
        self._microwire.write(value)

    def _eeprom_state(self) -> int:
        lines = self._registers[R.EECD] & (R.EECD_CLOCK | R.EECD_SELECT | R.EECD_IN | R.EECD_REQUEST)
        granted = R.EECD_GRANT if lines & R.EECD_REQUEST else 0
        return lines | granted | R.EECD_PRESENT | self._microwire.out

    def _eeprom_read(self, value: int) -> None:
        if value & R.EERD_START:
            word = self._eeprom[(value >> 8 & 0xFF) % WORDS]
            value = word << 16 | value & 0xFF00 | R.EERD_DONE
        self._registers[R.EERD] = value

    def _phy_access(self, value: int) -> None:
        register, done = value >> 16 & 31, value & ~R.MDIC_ERROR | R.MDIC_READY
        if value >> 21 & 31 != R.PHY:
            done |= R.MDIC_ERROR
        elif value & R.MDIC_READ:
            done = done & ~0xFFFF | self._phy_read(register)
        elif value & R.MDIC_WRITE and register not in R.PHY_READ_ONLY:
            kept = value & 0xFFFF
            if register == R.PHY_CONTROL:
                kept &= ~(R.PHY_CONTROL_RESET | R.PHY_CONTROL_RESTART)
                if value & R.PHY_CONTROL_RESET:
                    self._phy = dict(R.PHY_RESET)
            self._phy[register] = kept
        self._registers[R.MDIC] = done
        if value & R.MDIC_INTERRUPT:
            self._cause(R.MDIO_DONE)

    def _phy_read(self, register: int) -> int:
        value = self._phy.get(register, 0)
        if self.link and register == R.PHY_STATUS:
            value |= R.PHY_STATUS_LINK
        if self.link and register == R.PHY_SPECIFIC_STATUS:
            value |= R.PHY_SPECIFIC_LINK
        return value

    # --- interrupts -------------------------------------------------------------------------------------

    def _cause(self, causes: int) -> None:
        self._causes |= causes & R.CAUSES
        self._interrupt_changed()

    def _interrupt_changed(self) -> None:
        level = bool(self._causes & self._mask)
        if level != self._interrupt:
            self.interrupt(level)

    def _take_causes(self) -> int:
        causes, self._causes = self._causes, 0
        self._interrupt_changed()
        return causes

    def _clear_causes(self, value: int) -> None:
        self._causes &= ~value
        self._interrupt_changed()

    def _set_mask(self, value: int) -> None:
        self._mask |= value & R.CAUSES
        self._interrupt_changed()

    def _clear_mask(self, value: int) -> None:
        self._mask &= ~value
        self._interrupt_changed()

    # --- guest memory -----------------------------------------------------------------------------------

    def _ring(self, low: int, length: int) -> tuple[int, int]:
        """Address and number of descriptors of a ring, by its registers."""
        base = self._registers[low + 4] << 32 | self._registers[low] & ~15
        return base, (self._registers[length] & 0xFFF80) // R.DESCRIPTOR

    def _count(self, register: int, amount: int = 1) -> None:
        """Statistics stick at their maximum; 64-bit ones are two registers."""
        if register in _OCTETS:
            total = (self._registers.get(register + 4, 0) << 32 | self._registers.get(register, 0)) + amount
            self._registers[register], self._registers[register + 4] = total & 0xFFFF_FFFF, total >> 32 & 0xFFFF_FFFF
        else:
            self._registers[register] = min(self._registers.get(register, 0) + amount, 0xFFFF_FFFF)

    # --- transmission -----------------------------------------------------------------------------------

    def _tail(self, value: int) -> None:
        self._registers[R.TDT] = value & 0xFFFF
        self._transmit()

    def _transmit_control(self, value: int) -> None:
        self._registers[R.TCTL] = value
        self._transmit()

    def _transmit(self) -> None:
        registers = self._registers
        base, size = self._ring(R.TDBAL, R.TDLEN)
        if not registers[R.TCTL] & R.TCTL_ENABLE or not self.is_master or registers[R.TDT] >= size:
            return
        head, causes = registers[R.TDH] % size, 0
        while head != registers[R.TDT]:
            at = base + head * R.DESCRIPTOR
            descriptor = dma.fetch(self._memory, at, R.DESCRIPTOR)
            self._take(descriptor)
            if descriptor[11] & R.TX_REPORT:
                dma.store(self._memory, at + 12, bytes([descriptor[12] | R.DONE]))
                causes |= R.TX_WRITTEN_BACK
            head = (head + 1) % size
        registers[R.TDH] = head
        self._cause(causes | R.TX_EMPTY)

    def _take(self, descriptor: bytes) -> None:
        """Carry out one transmit descriptor: byte 11 is its command in all three formats."""
        command = descriptor[11]
        extended = command & R.TX_EXTENDED
        if extended and descriptor[10] >> 4 == R.TX_CONTEXT:
            self._context = Context.unpack(descriptor)
            return
        length = int.from_bytes(descriptor[8:11], "little") & (0xFFFFF if extended else 0xFFFF)
        if not self._gathered:
            self._options = descriptor[13] if extended else 0
        if len(self._gathered) + length <= _PACKET_MAX:
            self._gathered += dma.fetch(self._memory, int.from_bytes(descriptor[:8], "little"), length)
        if not command & R.TX_END:
            return
        packet, self._gathered = self._gathered, bytearray()
        ip, tcp = bool(self._options & R.TX_INSERT_IP), bool(self._options & R.TX_INSERT_TCP)
        tag = descriptor[14:16] if command & R.TX_VLAN and self._registers[R.CTRL] & R.CTRL_VLAN else b""
        if extended and command & R.TX_SEGMENT:
            for part in segments(bytes(packet), self._context, ip, tcp):
                self._send(part, tag)
            return
        if extended:
            packet = checksummed(packet, self._context, ip, tcp)
        elif command & R.TX_CHECKSUM:
            start, at = descriptor[13], descriptor[10]
            packet = checksummed(packet, Context(start=start, at=at), False, True)
        self._send(packet, tag)

    def _send(self, packet: bytearray, tag: bytes) -> None:
        if tag:
            packet[12:12] = b"\x81\x00" + tag[::-1]
        frame = bytes(packet)
        self._count(R.TX_TOTAL)
        self._count(R.TX_OCTETS, len(frame) + 4)
        if not self.link or not self.cable or len(frame) < 14:
            return
        self._count(R.TX_GOOD)
        self._count(R.TX_GOOD_OCTETS, len(frame) + 4)
        if frame[0] & 1:
            self._count(R.TX_BROADCAST if frame[:6] == _BROADCAST else R.TX_MULTICAST)
        self.cable.send(frame.ljust(SHORTEST, b"\0"))

    # --- reception --------------------------------------------------------------------------------------

    def _accepts(self, frame: bytes) -> bool:
        control = self._registers[R.RCTL]
        longest = LONGEST_JUMBO if control & R.RCTL_LONG else LONGEST
        if not self.link or not control & R.RCTL_ENABLE or not 14 <= len(frame) <= longest:
            return False
        if control & R.RCTL_VLAN_FILTER and frame[12:14] == b"\x81\x00":
            vlan = int.from_bytes(frame[14:16], "big") & 0xFFF
            if not self._registers.get(R.VLAN_TABLE[0] + (vlan >> 5) * 4, 0) >> (vlan & 31) & 1:
                return False
        to = frame[:6]
        if to == _BROADCAST and control & R.RCTL_BROADCAST:
            return True
        if control & (R.RCTL_MULTICAST_ALL if to[0] & 1 else R.RCTL_UNICAST_ALL) or self._is_ours(to):
            return True
        if not to[0] & 1:
            return False
        hashed = (to[4] | to[5] << 8) >> _HASH_SHIFT[control >> R.RCTL_OFFSET_SHIFT & 3] & 0xFFF
        return bool(self._registers.get(R.MULTICAST_TABLE[0] + (hashed >> 5) * 4, 0) >> (hashed & 31) & 1)

    def _is_ours(self, to: bytes) -> bool:
        low, high = int.from_bytes(to[:4], "little"), int.from_bytes(to[4:], "little") | R.RAH_VALID
        get = self._registers.get
        return any(get(at) == low and get(at + 4, 0) & (R.RAH_VALID | 0xFFFF) == high
                   for at in range(R.RECEIVE_ADDRESSES[0], R.RECEIVE_ADDRESSES[1], 8))

    def _missed(self) -> None:
        self.dropped += 1
        self._count(R.MISSED)
        self._cause(R.RX_OVERRUN)

    def _free(self, value: int) -> None:
        """RDT: the driver has given descriptors."""
        self._registers[R.RDT] = value & 0xFFFF
        self._receive()

    def _receive_control(self, value: int) -> None:
        self._registers[R.RCTL] = value
        if not value & R.RCTL_ENABLE:
            self._waiting.clear()
        self._receive()

    def _buffer_size(self) -> int:
        control = self._registers[R.RCTL]
        size = 2048 >> (control >> R.RCTL_SIZE_SHIFT & 3)
        return size * 16 if control & R.RCTL_SIZE_EXTENDED and size < 2048 else size

    def _receive(self) -> None:
        """Move frames that wait into descriptors that are free: those from the head up to the tail."""
        registers, causes = self._registers, 0
        base, size = self._ring(R.RDBAL, R.RDLEN)
        if not registers[R.RCTL] & R.RCTL_ENABLE or not self.is_master or registers[R.RDT] >= size:
            return
        buffer = self._buffer_size()
        while self._waiting:
            head, tail = registers[R.RDH] % size, registers[R.RDT]
            frame, tag, status = self._prepared(self._waiting[0])
            free, needed = (tail - head) % size, -(-len(frame) // buffer)
            if needed > free:
                if needed >= size:
                    self._waiting.popleft()  # it never will fit
                    self._missed()
                    continue
                break
            self._waiting.popleft()
            for part in range(needed):
                self._fill(base + head * R.DESCRIPTOR, frame[part * buffer : (part + 1) * buffer], tag,
                           status if part < needed - 1 else status | R.RX_END)
                head = (head + 1) % size
            registers[R.RDH] = head
            self._counted(frame)
            causes |= R.RX_TIMER
            if free - needed <= size >> 1 + (registers[R.RCTL] >> R.RCTL_THRESHOLD_SHIFT & 3):
                causes |= R.RX_FEW
        self._cause(causes)

    def _prepared(self, frame: bytes) -> tuple[bytes, bytes, int]:
        """A frame as it goes to memory, its VLAN tag (descriptor order) if that was taken out, and its status bits."""
        tag, status = b"\0\0", R.DONE | R.RX_NO_CHECKSUM
        frame = frame.ljust(SHORTEST, b"\0")
        checksum = b"" if self._registers[R.RCTL] & R.RCTL_STRIP_CRC else zlib.crc32(frame).to_bytes(4, "little")
        if self._registers[R.CTRL] & R.CTRL_VLAN and frame[12:14] == b"\x81\x00":
            tag, status = frame[15:13:-1], status | R.RX_VLAN
            frame = frame[:12] + frame[16:]
        return frame + checksum, tag, status

    def _fill(self, at: int, part: bytes, tag: bytes, status: int) -> None:
        dma.store(self._memory, int.from_bytes(dma.fetch(self._memory, at, 8), "little"), part)
        dma.store(self._memory, at + 8, len(part).to_bytes(2, "little") + b"\0\0" + bytes([status, 0]) + tag)

    def _counted(self, frame: bytes) -> None:
        for register in (R.RX_GOOD, R.RX_TOTAL):
            self._count(register)
        for register in (R.RX_GOOD_OCTETS, R.RX_OCTETS):
            self._count(register, len(frame))
        if frame[0] & 1:
            self._count(R.RX_BROADCAST if frame[:6] == _BROADCAST else R.RX_MULTICAST)


_ARRAYS = (R.MULTICAST_TABLE, R.RECEIVE_ADDRESSES, R.VLAN_TABLE)
_OCTETS = frozenset((R.RX_GOOD_OCTETS, R.TX_GOOD_OCTETS, R.RX_OCTETS, R.TX_OCTETS))


def _kept(register: int, mask: int) -> Callable[[E1000, int], None]:
    def write(card: E1000, value: int) -> None:
        card._registers[register] = value & mask

    return write


_READS: dict[int, Callable[[E1000], int]] = {
    R.STATUS: E1000._status, R.EECD: E1000._eeprom_state, R.ICR: E1000._take_causes,
    R.IMS: lambda card: card._mask,
}
_WRITES: dict[int, Callable[[E1000, int], None]] = {
    R.CTRL: E1000._control, R.EECD: E1000._eeprom_lines, R.EERD: E1000._eeprom_read, R.MDIC: E1000._phy_access,
    R.ICR: E1000._clear_causes, R.ICS: E1000._cause, R.IMS: E1000._set_mask, R.IMC: E1000._clear_mask,
    R.TCTL: E1000._transmit_control, R.TDT: E1000._tail, R.RCTL: E1000._receive_control, R.RDT: E1000._free,
    R.RDLEN: _kept(R.RDLEN, 0xFFF80), R.TDLEN: _kept(R.TDLEN, 0xFFF80),
    R.RDH: _kept(R.RDH, 0xFFFF), R.TDH: _kept(R.TDH, 0xFFFF),
}
