"""The keyboard controller as kernels set it up and read it."""

from __future__ import annotations

import pytest

from hypervisor.bus import MachineStop
from hypervisor.devices.i8042 import I8042, QUEUE
from hypervisor.devices.scancodes import keystrokes
from tests.hypervisor.devices.machine import Machine


@pytest.fixture
def guest() -> Machine:
    return Machine(I8042())


def replies(guest: Machine) -> list[int]:
    out = []
    while guest.in_(0x64) & 1:
        out.append(guest.in_(0x60))
    return out


@pytest.mark.parametrize(("command", "reply"), [(0xAA, 0x55), (0xAB, 0x00), (0xA9, 0x00), (0x20, 0x65)])
def test_controller_commands(guest: Machine, command: int, reply: int) -> None:
    guest.out(0x64, command)
    assert replies(guest) == [reply]


def test_the_configuration_byte_is_kept(guest: Machine) -> None:
    guest.out(0x64, 0x60)
    guest.out(0x60, 0x44)
    guest.out(0x64, 0x20)
    assert replies(guest) == [0x44]
    assert guest.irqs == [], "interrupts are disabled in it"


@pytest.mark.parametrize(
    ("sent", "received"),
    [([0xFF], [0xFA, 0xAA]), ([0xF2], [0xFA, 0xAB, 0x83]), ([0xED, 7], [0xFA, 0xFA]), ([0xEE], [0xEE]),
     ([0xF0, 0], [0xFA, 0xFA, 2]), ([0xF4], [0xFA]), ([0x99], [0xFE])],
)  # fmt: skip
def test_keyboard_commands(guest: Machine, sent: list[int], received: list[int]) -> None:
    for byte in sent:
        guest.out(0x60, byte)
    assert replies(guest) == received


def test_the_mouse_answers_by_its_own_line(guest: Machine) -> None:
    guest.out(0x64, 0x60)
    guest.out(0x60, 0x47)
    guest.out(0x64, 0xD4)
    guest.out(0x60, 0xFF)
    assert guest.in_(0x64) & 0x21 == 0x21
    assert replies(guest) == [0xFA, 0xAA, 0] and set(guest.irqs) == {12}


def test_typing_gives_scan_codes_and_an_interrupt(guest: Machine) -> None:
    keyboard = guest.bus.devices[0]
    assert isinstance(keyboard, I8042)
    assert keyboard.type_bytes(b"aB\r") == 3
    assert guest.irqs and set(guest.irqs) == {1}
    assert replies(guest) == [0x1E, 0x9E, 0x2A, 0x30, 0xB0, 0xAA, 0x1C, 0x9C]


def test_typing_stops_where_the_queue_is_full(guest: Machine) -> None:
    keyboard = guest.bus.devices[0]
    assert isinstance(keyboard, I8042)
    assert keyboard.type_bytes(b"a" * QUEUE) == QUEUE // 2
    replies(guest)
    assert keyboard.type_bytes(b"a") == 1


@pytest.mark.parametrize("writes", [[(0x64, 0xFE)], [(0x64, 0xD1), (0x60, 0xFE)]])
def test_the_reset_line(guest: Machine, writes: list[tuple[int, int]]) -> None:
    with pytest.raises(MachineStop) as stop:
        for port, value in writes:
            guest.out(port, value)
    assert stop.value.action == "reset"


def test_every_printable_character_has_a_key() -> None:
    strokes = [keystrokes(chr(code)) for code in range(32, 127)]
    assert all(strokes) and len(set(strokes)) == len(strokes)


@pytest.mark.parametrize(
    ("character", "codes"), [("a", "1e9e"), ("A", "2a1e9eaa"), ("\x03", "1d2eae9d"), ("\n", "1c9c"), ("\x80", "")]
)
def test_keystrokes(character: str, codes: str) -> None:
    assert keystrokes(character).hex() == codes
