"""What terminals send, understood, however it is torn."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hypervisor.devices.ps2_mouse import LEFT, RIGHT
from hypervisor.devices.scancodes import KEYS
from hypervisor.display.keys import Keys, MouseEvent, TerminalInput

SHIFT, CTRL, ALT, ESCAPE = KEYS["shift"], KEYS["ctrl"], KEYS["alt"], KEYS["escape"]
KNOWN = [
    (b"a", (0x1E,)), (b"A", (SHIFT, 0x1E)), (b"\x01", (CTRL, 0x1E)), (b"\x7f", (KEYS["backspace"],)),
    (b"\t", (KEYS["tab"],)), (b"\x1b[Z", (SHIFT, KEYS["tab"])), (b"\x1b[A", (KEYS["up"],)),
    (b"\x1bOD", (KEYS["left"],)), (b"\x1b[1;2B", (SHIFT, KEYS["down"])),
    (b"\x1b[1;8H", (SHIFT, ALT, CTRL, KEYS["home"])), (b"\x1b[3~", (KEYS["delete"],)),
    (b"\x1b[5;5~", (CTRL, KEYS["page up"])), (b"\x1b[15~", (KEYS["f5"],)), (b"\x1b[24~", (KEYS["f12"],)),
    (b"\x1bOS", (KEYS["f4"],)), (b"\x1b[[C", (KEYS["f3"],)), (b"\x1b[29~", (KEYS["menu"],)), (b"\x1bq", (ALT, 0x10)),
    (b"\x1bQ", (ALT, SHIFT, 0x10)), (b"\x1b[4~", (KEYS["end"],)), (b"\x1b[F", (KEYS["end"],)),
]  # fmt: skip


@pytest.mark.parametrize(("data", "keys"), KNOWN)
def test_known_sequences(data: bytes, keys: tuple[int, ...]) -> None:
    events = list(TerminalInput().feed(data))
    assert [event.keys for event in events if isinstance(event, Keys)] == [keys] and len(events) == 1


@pytest.mark.parametrize("data", [b"\x1b[999~", b"\x1b[I", b"\xc3\xa4", b"\x1b[<1;2M", b"\x1b[?62;1c"])
def test_what_no_key_gives_is_passed_over(data: bytes) -> None:
    assert list(TerminalInput().feed(data + b"a")) == [Keys((0x1E,), "a")]


def test_the_escape_key_is_known_when_nothing_follows() -> None:
    terminal = TerminalInput()
    assert list(terminal.feed(b"\x1b")) == [] and terminal.is_unfinished
    assert list(terminal.feed(b"", over=True)) == [Keys((ESCAPE,))] and not terminal.is_unfinished
    assert list(terminal.feed(b"\x1b[")) == [] and list(terminal.feed(b"", over=True)) == [Keys((ALT, 0x1A))]
    assert list(terminal.feed(b"\x1b\x1b")) == [Keys((ESCAPE,))]
    assert list(terminal.feed(b"", over=True)) == [Keys((ESCAPE,))]


def test_the_mouse() -> None:
    terminal = TerminalInput()
    data = b"\x1b[<0;1;1M\x1b[<32;3;2M\x1b[<2;3;2M\x1b[<0;3;2m\x1b[<2;3;2m\x1b[<65;3;2M\x1b[<64;3;2M\x1b[<35;300;200M"
    assert list(terminal.feed(data)) == [
        MouseEvent(0, 0, LEFT), MouseEvent(2, 1, LEFT), MouseEvent(2, 1, LEFT | RIGHT), MouseEvent(2, 1, RIGHT),
        MouseEvent(2, 1, 0), MouseEvent(2, 1, 0, 1), MouseEvent(2, 1, 0, -1), MouseEvent(299, 199, 0),
    ]  # fmt: skip


@given(st.lists(st.sampled_from([data for data, _ in KNOWN]), max_size=20), st.data())
def test_torn_sequences_are_the_same(pieces: list[bytes], draw: st.DataObject) -> None:
    whole = b"".join(pieces)
    expected = list(TerminalInput().feed(whole))
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(whole)), max_size=5)))
    terminal, events = TerminalInput(), []
    for start, end in zip([0, *cuts], [*cuts, len(whole)], strict=True):
        events += list(terminal.feed(whole[start:end]))
    assert events == expected


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_no_bytes_break_it(chunks: list[bytes]) -> None:
    terminal = TerminalInput()
    for chunk in chunks:
        for event in terminal.feed(chunk):
            assert isinstance(event, Keys | MouseEvent)
    list(terminal.feed(b"", over=True))
    assert not terminal.is_unfinished
