"""The keyboard controller, its keyboard and its mouse, as kernels set them up and read them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.bus import MachineStop
from hypervisor.devices.i8042 import I8042, QUEUE
from hypervisor.devices.ps2 import UNTAKEN
from hypervisor.devices.ps2_mouse import LEFT, MIDDLE, RIGHT
from hypervisor.devices.scancodes import KEYS, PAUSE, PRINT_SCREEN, TRANSLATION, chord, set_1, set_2
from tests.hypervisor.devices.machine import Machine


@pytest.fixture
def guest() -> Machine:
    return Machine(I8042())


def controller(guest: Machine) -> I8042:
    device = guest.bus.devices[0]
    assert isinstance(device, I8042)
    return device


def replies(guest: Machine) -> list[int]:
    out = []
    while guest.in_(0x64) & 1:
        out.append(guest.in_(0x60))
    return out


def configure(guest: Machine, value: int) -> None:
    guest.out(0x64, 0x60)
    guest.out(0x60, value)


def tell_mouse(guest: Machine, *values: int) -> list[int]:
    out = []
    for value in values:
        guest.out(0x64, 0xD4)
        guest.out(0x60, value)
        out += replies(guest)
    return out


# --- the controller


def test_a_byte_is_there_when_its_interrupt_comes(guest: Machine) -> None:
    """A guest that runs while somebody types may take the interrupt at once, and is not told again."""
    seen: list[tuple[int, int]] = []
    guest.bus.pulse_irq = lambda line: seen.append((line, guest.in_(0x64) & 0x21))
    controller(guest).type_bytes(b"a")
    assert seen == [(1, 1)]


@pytest.mark.parametrize(
    ("command", "reply"),
    [(0xAA, 0x55), (0xAB, 0x00), (0xA9, 0x00), (0x20, 0x65), (0xA4, 0xF1), (0xC0, 0xA0), (0x3F, 0x00), (0xD0, 0xCF)],
)
def test_controller_commands(guest: Machine, command: int, reply: int) -> None:
    guest.out(0x64, command)
    assert replies(guest) == [reply]


def test_the_configuration_byte_is_kept(guest: Machine) -> None:
    configure(guest, 0x44)
    guest.out(0x64, 0x20)
    assert replies(guest) == [0x44]
    assert guest.irqs == [], "interrupts are disabled in it"


def test_the_controller_s_memory(guest: Machine) -> None:
    for index in range(1, 32):
        guest.out(0x64, 0x60 + index)
        guest.out(0x60, index * 7)
    for index in range(1, 32):
        guest.out(0x64, 0x20 + index)
        assert replies(guest) == [index * 7]


def test_devices_are_disabled_and_enabled(guest: Machine) -> None:
    for command, config in ((0xAD, 0x75), (0xA8, 0x55), (0xAE, 0x45), (0xA7, 0x65)):
        guest.out(0x64, command)
        guest.out(0x64, 0x20)
        assert replies(guest) == [config]


def test_keys_wait_while_the_keyboard_is_disabled(guest: Machine) -> None:
    guest.out(0x64, 0xAD)
    controller(guest).type_bytes(b"a")
    assert replies(guest) == [] and guest.irqs == []
    guest.out(0x64, 0xAE)
    assert replies(guest) == [0x1E, 0x9E] and guest.irqs == [1, 1]


def test_status_bits(guest: Machine) -> None:
    assert guest.in_(0x64) == 0x14
    guest.out(0x64, 0xAA)
    assert guest.in_(0x64) == 0x1D, "the last byte written was a command, and the answer is there"
    guest.in_(0x60)
    guest.out(0x60, 0xEE)
    assert guest.in_(0x64) == 0x15
    configure(guest, 0x00)
    assert guest.in_(0x64) & 4 == 0


def test_an_interrupt_enabled_late_comes(guest: Machine) -> None:
    configure(guest, 0x44)
    controller(guest).type_bytes(b"a")
    assert guest.irqs == []
    configure(guest, 0x45)
    assert guest.irqs == [1]


def test_bytes_put_into_the_output_buffer(guest: Machine) -> None:
    configure(guest, 0x47)
    guest.out(0x64, 0xD2)
    guest.out(0x60, 0x12)
    assert guest.in_(0x64) & 0x21 == 0x01 and replies(guest) == [0x12]
    guest.out(0x64, 0xD3)
    guest.out(0x60, 0x34)
    assert guest.in_(0x64) & 0x21 == 0x21 and replies(guest) == [0x34]
    assert guest.irqs == [1, 12]


def test_the_output_port_shows_a20_and_full_buffers(guest: Machine) -> None:
    guest.out(0x64, 0xDD)
    guest.out(0x64, 0xD0)
    assert replies(guest) == [0xCD]
    guest.out(0x64, 0xDF)
    guest.out(0x64, 0xD1)
    guest.out(0x60, 0xDD)
    guest.out(0x64, 0xD0)
    assert replies(guest) == [0xCD]
    guest.out(0x60, 0xEE)
    guest.out(0x64, 0xD0)
    assert replies(guest) == [0xEE, 0xDD & ~0x20 | 0x10]


@pytest.mark.parametrize("writes", [[(0x64, 0xFE)], [(0x64, 0xD1), (0x60, 0xFE)], [(0x64, 0xF0)]])
def test_the_reset_line(guest: Machine, writes: list[tuple[int, int]]) -> None:
    with pytest.raises(MachineStop) as stop:
        for port, value in writes:
            guest.out(port, value)
    assert stop.value.action == "reset"


# --- the keyboard


@pytest.mark.parametrize(
    ("sent", "received"),
    [([0xFF], [0xFA, 0xAA]), ([0xF2], [0xFA, 0xAB, 0x41]), ([0xED, 7], [0xFA, 0xFA]), ([0xEE], [0xEE]),
     ([0xF0, 0], [0xFA, 0xFA, 0x41]), ([0xF0, 1], [0xFA, 0xFA]), ([0xF0, 3], [0xFA, 0xFE]), ([0xF4], [0xFA]),
     ([0x99], [0xFE]), ([0xF3, 0x20], [0xFA, 0xFA]), ([0xF5], [0xFA]), ([0xF6], [0xFA]), ([0xFA], [0xFA]),
     ([0xED, 0xEE], [0xFA, 0xEE]), ([0xED, 0xF3, 0], [0xFA, 0xFA, 0xFA])],
)  # fmt: skip
def test_keyboard_commands(guest: Machine, sent: list[int], received: list[int]) -> None:
    for byte in sent:
        guest.out(0x60, byte)
    assert replies(guest) == received


def test_untranslated_answers(guest: Machine) -> None:
    configure(guest, 0x05)
    for byte in (0xF2, 0xF0, 0):
        guest.out(0x60, byte)
    assert replies(guest) == [0xFA, 0xAB, 0x83, 0xFA, 0xFA, 2]


def test_resend_gives_the_last_byte_again(guest: Machine) -> None:
    guest.out(0x60, 0xEE)
    assert replies(guest) == [0xEE]
    guest.out(0x60, 0xFE)
    assert replies(guest) == [0xEE]


def test_leds(guest: Machine) -> None:
    guest.out(0x60, 0xED)
    guest.out(0x60, 0x06)
    assert controller(guest).keyboard.leds == 6


def test_a_keyboard_that_does_not_scan_is_silent(guest: Machine) -> None:
    guest.out(0x60, 0xF5)
    assert replies(guest) == [0xFA]
    assert controller(guest).type_bytes(b"a") == 1 and replies(guest) == []
    guest.out(0x60, 0xF4)
    controller(guest).type_bytes(b"a")
    assert replies(guest) == [0xFA, 0x1E, 0x9E]


def test_answers_come_before_keys_that_wait(guest: Machine) -> None:
    controller(guest).type_bytes(b"ab")
    guest.out(0x60, 0xED)
    assert replies(guest)[:2] == [0x1E, 0xFA]


def test_typing_gives_scan_codes_and_an_interrupt_for_each(guest: Machine) -> None:
    assert controller(guest).type_bytes(b"aB\r") == 3
    assert replies(guest) == [0x1E, 0x9E, 0x2A, 0x30, 0xB0, 0xAA, 0x1C, 0x9C]
    assert guest.irqs == [1] * 8


def test_scan_code_set_2_and_1_untranslated(guest: Machine) -> None:
    configure(guest, 0x05)
    controller(guest).press([(0xE048, True), (0xE048, False), (0x1E, True)])
    assert replies(guest) == [0xE0, 0x75, 0xE0, 0xF0, 0x75, 0x1C]
    guest.out(0x60, 0xF0)
    guest.out(0x60, 1)
    controller(guest).press([(0xE048, True), (0xE048, False)])
    assert replies(guest) == [0xFA, 0xFA, 0xE0, 0x48, 0xE0, 0xC8]


def test_typing_stops_where_the_queue_is_full(guest: Machine) -> None:
    keyboard = controller(guest)
    taken = keyboard.type_bytes(b"a" * QUEUE)
    assert QUEUE // 3 <= taken <= QUEUE // 3 + 2
    assert keyboard.type_bytes(b"a") == 0
    replies(guest)
    assert keyboard.type_bytes(b"a") == 1


def test_every_printable_character_has_keys() -> None:
    chords = [chord(chr(code)) for code in range(32, 127)]
    assert all(chords) and len(set(chords)) == len(chords)


@pytest.mark.parametrize(
    ("character", "keys"), [("a", (0x1E,)), ("A", (0x2A, 0x1E)), ("\x03", (0x1D, 0x2E)), ("\n", (0x1C,)), ("\x80", ())]
)
def test_chords(character: str, keys: tuple[int, ...]) -> None:
    assert chord(character) == keys


def translated(codes: bytes) -> bytes:
    """What the controller makes of codes of set 2, in the words of its manual."""
    out, release = bytearray(), 0
    for code in codes:
        if code == 0xF0:
            release = 0x80
        else:
            out.append(TRANSLATION[code] | release)
            release = 0
    return bytes(out)


def test_the_translation_of_set_2_is_set_1() -> None:
    assert len(TRANSLATION) == 256 and len(set(TRANSLATION[:0x80])) == 128
    keys = [*KEYS.values(), *range(1, 0x59), 0xE01C, 0xE01D, 0xE038, 0xE035, PAUSE, PRINT_SCREEN]
    for key in keys:
        for pressed in (True, False):
            assert translated(set_2(key, pressed)) == set_1(key, pressed), hex(key)


# --- the mouse


def test_the_mouse_answers_by_its_own_line(guest: Machine) -> None:
    configure(guest, 0x47)
    guest.out(0x64, 0xD4)
    guest.out(0x60, 0xFF)
    assert guest.in_(0x64) & 0x21 == 0x21
    assert replies(guest) == [0xFA, 0xAA, 0] and set(guest.irqs) == {12}


@pytest.mark.parametrize(
    ("sent", "received"),
    [([0xF2], [0xFA, 0]), ([0xE9], [0xFA, 0, 2, 100]), ([0xE8, 3, 0xE7, 0xF4, 0xE9], [0xFA] * 5 + [0x30, 3, 100]),
     ([0xF3, 40, 0xE9], [0xFA] * 3 + [0, 2, 40]), ([0xF3, 41], [0xFA, 0xFE]), ([0xE8, 4], [0xFA, 0xFE]),
     ([0xEB], [0xFA, 8, 0, 0]), ([0xEE, 0x55, 0xE9, 0xEC], [0xFA, 0x55, 0xE9, 0xFA]), ([0x12], [0xFE]),
     ([0xF0, 0xE9, 0xEA, 0xE9], [0xFA, 0xFA, 0x40, 2, 100, 0xFA, 0xFA, 0, 2, 100]), ([0xF6], [0xFA]),
     ([0xF2, 0xFE], [0xFA, 0, 0])],
)  # fmt: skip
def test_mouse_commands(guest: Machine, sent: list[int], received: list[int]) -> None:
    assert tell_mouse(guest, *sent) == received


def test_movement_is_told_once_enabled(guest: Machine) -> None:
    mouse = controller(guest)
    mouse.move_mouse(1, 1, 0, LEFT)
    assert replies(guest) == []
    tell_mouse(guest, 0xF4)
    mouse.move_mouse(3, -2, 5, LEFT | RIGHT)
    assert replies(guest) == [0x08 | 0x20 | 3, 3, 0xFE]
    mouse.move_mouse(0, 0, 0, MIDDLE)
    assert replies(guest) == [0x0C, 0, 0]
    mouse.move_mouse(0, 0, 0, MIDDLE)
    assert replies(guest) == [], "nothing has changed"


def test_a_long_way_takes_several_packets(guest: Machine) -> None:
    tell_mouse(guest, 0xF4)
    controller(guest).move_mouse(-600, 0, 0, 0)
    data = replies(guest)
    packets = [data[at : at + 3] for at in range(0, len(data), 3)]
    assert sum(x - (256 if first & 0x10 else 0) for first, x, _ in packets) == -600


def test_doubled_scaling(guest: Machine) -> None:
    tell_mouse(guest, 0xE7, 0xF4)
    controller(guest).move_mouse(3, -7, 0, 0)
    assert replies(guest) == [0x28, 3, 256 - 14]


@pytest.mark.parametrize(
    ("rates", "identity", "packet"),
    [((200, 100, 80), 3, [0x09, 1, 0, 2]), ((200, 200, 80), 4, [0x09, 1, 0, 0x12]), ((200, 100, 60), 0, [0x09, 1, 0])],
)
def test_knocking_for_a_wheel(guest: Machine, rates: tuple[int, ...], identity: int, packet: list[int]) -> None:
    for rate in rates:
        tell_mouse(guest, 0xF3, rate)
    assert tell_mouse(guest, 0xF2) == [0xFA, identity]
    tell_mouse(guest, 0xF4)
    controller(guest).move_mouse(1, 0, 2, LEFT | 8)
    assert replies(guest) == packet
    assert tell_mouse(guest, 0xFF, 0xF2) == [0xFA, 0xAA, 0, 0xFA, 0]


def test_remote_mode_answers_when_asked(guest: Machine) -> None:
    tell_mouse(guest, 0xF4, 0xF0)
    controller(guest).move_mouse(5, 0, 0, 0)
    assert replies(guest) == []
    assert tell_mouse(guest, 0xEB) == [0xFA, 8, 5, 0] and tell_mouse(guest, 0xEB) == [0xFA, 8, 0, 0]


def test_movements_that_nobody_takes_add_up(guest: Machine) -> None:
    tell_mouse(guest, 0xF4)
    for _ in range(1000):
        controller(guest).move_mouse(1, 0, 0, 0)
    assert controller(guest).mouse.waiting <= 260
    seen = replies(guest)
    controller(guest).move_mouse(0, 0, 0, 0)
    seen += replies(guest)
    controller(guest).move_mouse(0, 0, 0, 0)
    seen += replies(guest)
    assert sum(seen[1::3]) == 1000


@given(st.lists(st.tuples(st.sampled_from([0x60, 0x64]), st.integers(0, 255)), max_size=200))
def test_no_script_of_writes_breaks_it(script: list[tuple[int, int]]) -> None:
    guest = Machine(I8042())
    for port, value in script:
        try:
            guest.out(port, value)
        except MachineStop:
            continue
        assert 0 <= guest.in_(0x60) <= 255
    controller(guest).type_bytes(b"abc")
    controller(guest).move_mouse(1, 2, 3, 4)
    replies(guest)


@pytest.mark.parametrize("first, second", [(0x20, 0xEE), (0xD4, 0xEB), (0xD3, 0x55), (0xD2, 0x55)])
def test_answers_that_nobody_takes_are_not_kept_without_end(guest: Machine, first: int, second: int) -> None:
    for _ in range(1000):
        guest.out(0x64, first)
        guest.out(0x60, second)
    assert len(replies(guest)) <= 3 * UNTAKEN
