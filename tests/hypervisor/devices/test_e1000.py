"""The network card as drivers use it: rings, filters, offloads, interrupts, EEPROM and PHY."""

from __future__ import annotations

import struct
import zlib
from random import Random

import pytest

from hypervisor.devices import e1000_registers as R
from hypervisor.devices.e1000 import SHORTEST, WAITING
from hypervisor.devices.pci import COMMAND
from tests.hypervisor.devices.e1000_driver import ENTRIES, MAC, OTHER, TX_DATA, TX_RING, Driver, frame


def test_frames_go_out_in_order_and_padded() -> None:
    driver = Driver()
    sent = [frame(OTHER, size, size) for size in (14, 59, 60, 61, 600, 1514)]
    for data in sent * 5:
        driver.send(driver.legacy(data))
        assert driver.memory.read(TX_RING + 16 * ((driver.tail - 1) % ENTRIES) + 12, 1)[0] & R.DONE
    assert driver.cable.frames == [data.ljust(SHORTEST, b"\0") for data in sent] * 5
    assert driver.read(R.TX_GOOD) == 30 and driver.read(R.TX_GOOD) == 0, "statistics are cleared by reading"


def test_a_frame_of_several_descriptors_is_one() -> None:
    driver = Driver()
    data = frame(OTHER, 300)
    driver.send(driver.legacy(data[:20], command=0), driver.legacy(data[20:200], command=0, at=TX_DATA + 512),
                driver.legacy(data[200:], at=TX_DATA + 1024))
    assert driver.cable.frames == [data]


def internet_sum(data: bytes) -> int:
    data += b"\0" * (len(data) % 2)
    total = sum(data[at] << 8 | data[at + 1] for at in range(0, len(data), 2))
    return total % 0xFFFF


def tcp_packet(payload: bytes, flags: int = 0x18, total: int | None = None) -> bytes:
    """Ethernet, IPv4 without its checksum, TCP with the pseudo header's sum but for the length."""
    ip = bytearray(struct.pack(">BBHHHBBHII", 0x45, 0, 40 + len(payload), 7, 0, 64, 6, 0, 0x0A000001, 0x0A000002))
    pseudo = internet_sum(bytes(ip[12:20]) + struct.pack(">HH", 6, 0 if total is None else total))
    tcp = struct.pack(">HHIIBBHHH", 80, 90, 1000, 0, 0x50, flags, 512, pseudo, 0)
    return OTHER + MAC + b"\x08\x00" + bytes(ip) + tcp + payload


def check_sums(packet: bytes) -> None:
    ip, tcp = packet[14:34], packet[34:]
    assert internet_sum(ip) in (0, 0xFFFF) or internet_sum(ip) % 0xFFFF == 0
    assert internet_sum(ip[12:20] + struct.pack(">HH", 6, len(tcp)) + tcp) % 0xFFFF == 0


def context(command: int = 0, payload: int = 0, header: int = 0, mss: int = 0) -> bytes:
    return struct.pack("<BBHBBHIBBH", 14, 24, 33, 34, 50, 0, payload | (0x20 | command) << 24, 0, header, mss)


def test_checksums_are_inserted() -> None:
    driver = Driver()
    data = tcp_packet(b"hello world", total=20 + 11)
    driver.memory.write(TX_DATA, data)
    driver.send(context(), struct.pack("<QIBBH", TX_DATA, len(data) | 0x2900_0000 | 1 << 20, 0, 3, 0))
    (packet,) = driver.cable.frames
    check_sums(packet)
    assert packet[54:65] == b"hello world"
    legacy = driver.legacy(tcp_packet(b"again", total=25), R.TX_END | R.TX_CHECKSUM, cso=50, css=34)
    driver.send(legacy)
    packet = driver.cable.frames[-1]
    assert internet_sum(packet[26:34] + struct.pack(">HH", 6, 25) + packet[34:59]) % 0xFFFF == 0


@pytest.mark.parametrize("size", [1, 1000, 1001, 4500])
def test_long_packets_are_cut(size: int) -> None:
    driver = Driver()
    payload = Random(size).randbytes(size)
    data = tcp_packet(payload, flags=0x19)  # FIN, PSH, ACK
    driver.memory.write(TX_DATA, data)
    driver.send(context(7, size, 54, 1000),
                struct.pack("<QIBBH", TX_DATA, 54 | 1 << 20 | 0x2400_0000, 0, 3, 0),
                struct.pack("<QIBBH", TX_DATA + 54, size | 1 << 20 | 0x2D00_0000, 0, 0, 0))
    packets = driver.cable.frames
    assert b"".join(packet[54 : 14 + int.from_bytes(packet[16:18], "big")] for packet in packets) == payload
    for number, packet in enumerate(packets):
        packet = packet[: 14 + int.from_bytes(packet[16:18], "big")]
        check_sums(packet)
        assert int.from_bytes(packet[18:20], "big") == 7 + number
        assert int.from_bytes(packet[38:42], "big") == 1000 + 1000 * number
        assert packet[47] == (0x19 if number == len(packets) - 1 else 0x10)


def test_frames_come_in_and_interrupt() -> None:
    driver = Driver()
    driver.write(R.IMS, R.RX_TIMER)
    sent = [frame(MAC, size, size) for size in (60, 100, 1514)]
    for data in sent:
        driver.card.received(data)
    assert driver.machine.irqs == [driver.card.config[0x3C]]
    assert driver.read(R.ICR) & R.RX_TIMER and driver.read(R.ICR) == 0
    assert [data for data, _, _ in driver.received()] == sent
    driver.card.received(sent[0])
    assert len(driver.machine.irqs) == 2, "lowered by reading the causes, raised again"


def test_a_short_frame_is_padded_and_the_checksum_is_there_if_wanted() -> None:
    driver = Driver()
    driver.start(R.RCTL_ENABLE | R.RCTL_BROADCAST)
    driver.card.received(frame(size=20))
    ((data, _, _),) = driver.received()
    assert data[:60] == frame(size=20).ljust(60, b"\0")
    assert zlib.crc32(data) == 0x2144DF1C, "the residue of CRC-32"


@pytest.mark.parametrize(("to", "control", "taken"), [
    (MAC, 0, True), (OTHER, 0, False), (OTHER, R.RCTL_UNICAST_ALL, True), (b"\xff" * 6, R.RCTL_BROADCAST, True),
    (b"\xff" * 6, 0, False), (b"\x01\0\x5e\0\0\1", 0, False), (b"\x01\0\x5e\0\0\1", R.RCTL_MULTICAST_ALL, True),
])  # fmt: skip
def test_addresses_are_filtered(to: bytes, control: int, taken: bool) -> None:
    driver = Driver()
    driver.start(R.RCTL_ENABLE | control)
    driver.card.received(frame(to))
    assert bool(driver.received()) == taken


def test_the_multicast_table() -> None:
    driver = Driver()
    to = bytes.fromhex("01005e7f3412")
    hashed = (to[4] | to[5] << 8) >> 4 & 0xFFF
    driver.write(R.MULTICAST_TABLE[0] + (hashed >> 5) * 4, 1 << (hashed & 31))
    driver.card.received(frame(to))
    driver.card.received(frame(bytes.fromhex("01005e7f4412")))
    assert len(driver.received()) == 1


def test_vlan_tags_are_taken_out_and_put_in() -> None:
    driver = Driver()
    driver.write(R.CTRL, R.CTRL_VLAN)
    tagged = MAC + OTHER + b"\x81\x00\x20\x05\x08\x00" + bytes(60)
    driver.card.received(tagged)
    ((data, status, tag),) = driver.received()
    assert (data, tag) == (tagged[:12] + tagged[16:], 0x2005) and status & R.RX_VLAN
    driver.send(driver.legacy(data, R.TX_END | R.TX_VLAN, tag=0x2005))
    assert driver.cable.frames == [tagged]


def test_frames_wait_for_descriptors_and_then_are_missed() -> None:
    driver = Driver()
    sent = [frame(seed=number) for number in range(ENTRIES + WAITING + 10)]
    for data in sent:
        driver.card.received(data)
    assert driver.card.dropped == 11 and driver.read(R.ICR) & (R.RX_OVERRUN | R.RX_FEW) == R.RX_OVERRUN | R.RX_FEW
    assert [data for data, _, _ in driver.received()] == sent[: ENTRIES - 1 + WAITING]


def test_a_frame_over_several_buffers() -> None:
    driver = Driver()
    driver.start(R.RCTL_ENABLE | R.RCTL_STRIP_CRC | 3 << R.RCTL_SIZE_SHIFT)  # 256 bytes
    driver.card.received(frame(size=1000))
    assert [data for data, _, _ in driver.received()] == [frame(size=1000)]
    assert driver.taken == 4


def test_nothing_moves_without_link_or_mastering() -> None:
    driver = Driver()
    driver.card.set_link(False)
    assert driver.read(R.ICR) & R.LINK_CHANGE and not driver.read(R.STATUS) & R.STATUS_LINK_UP
    driver.send(driver.legacy(frame(OTHER)))
    driver.card.received(frame())
    assert driver.cable.frames == [] and driver.received() == []
    driver.card.set_link(True)
    driver.card.write_config(COMMAND, 2, 2)
    driver.send(driver.legacy(frame(OTHER)))
    driver.card.received(frame())
    assert driver.cable.frames == [] and driver.received() == []


def test_the_eeprom_by_both_ways() -> None:
    driver = Driver(start=False)
    words = []
    for word in range(64):
        driver.write(R.EERD, word << 8 | R.EERD_START)
        value = driver.read(R.EERD)
        assert value & R.EERD_DONE
        words.append(value >> 16)
    assert sum(words) & 0xFFFF == 0xBABA and struct.pack("<3H", *words[:3]) == MAC
    assert [microwire(driver, word) for word in range(64)] == words


def microwire(driver: Driver, word: int) -> int:
    """Read a word as drivers for the 82540 do: a bit at a time."""
    driver.write(R.EECD, R.EECD_REQUEST)
    assert driver.read(R.EECD) & R.EECD_GRANT
    select = R.EECD_REQUEST | R.EECD_SELECT
    driver.write(R.EECD, select)
    for bit in f"110{word:06b}":
        line = select | (R.EECD_IN if bit == "1" else 0)
        for lines in (line, line | R.EECD_CLOCK, line):
            driver.write(R.EECD, lines)
    value = 0
    for _ in range(16):
        driver.write(R.EECD, select | R.EECD_CLOCK)
        value = value << 1 | bool(driver.read(R.EECD) & R.EECD_OUT)
        driver.write(R.EECD, select)
    driver.write(R.EECD, 0)
    return value


def test_the_phy() -> None:
    driver = Driver(start=False)

    def read(register: int, phy: int = 1) -> int:
        driver.write(R.MDIC, R.MDIC_READ | phy << 21 | register << 16)
        value = driver.read(R.MDIC)
        assert value & R.MDIC_READY
        return -1 if value & R.MDIC_ERROR else value & 0xFFFF

    assert read(2) << 16 | read(3) == 0x0141_0C20 and read(2, phy=2) == -1
    assert read(1) & 0x24 == 0x24
    driver.card.set_link(False)
    assert not read(1) & 4
    driver.write(R.MDIC, R.MDIC_WRITE | 1 << 21 | 4 << 16 | 0x0101)
    driver.write(R.MDIC, R.MDIC_WRITE | 1 << 21 | 2 << 16 | 0x0101)
    assert (read(4), read(2)) == (0x0101, 0x0141)


def test_a_reset_stops_all_but_keeps_the_address() -> None:
    driver = Driver()
    driver.write(R.IMS, 0xFF)
    driver.write(R.CTRL, R.CTRL_RESET)
    assert driver.read(R.IMS) == driver.read(R.TDT) == driver.read(R.RCTL) == 0
    assert driver.read(R.RAL0) == int.from_bytes(MAC[:4], "little")
    assert driver.read(R.CTRL) & R.CTRL_RESET == 0
