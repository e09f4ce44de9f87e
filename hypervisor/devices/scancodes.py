"""Keys of a PC's keyboard: their codes in scan code sets 1 and 2, and which keys type which character (US).

A key is named by its make code of set 1, as everything since the first PC does; keys that came with the
enhanced keyboard have 0xE0 in front. Source: IBM PS/2 Hardware Technical Reference, "Keyboards (101- and
102-Key)", and "Keyboard and Auxiliary Device Controller" for the translation.
"""

from __future__ import annotations

LEFT_SHIFT, LEFT_CTRL, LEFT_ALT = 0x2A, 0x1D, 0x38
PAUSE, PRINT_SCREEN = 0xE11D, 0xE037
RELEASE = 0x80  # set 1: added to the make code
BREAK = 0xF0  # set 2: in front of the code
EXTENDED = 0xE0

# What the controller makes of a code of set 2, by code; from 0x80 on it leaves codes alone, but for two.
TRANSLATION = bytes.fromhex(
    "ff43413f3d3b3c58 64444240 3e0f2959 65382a701d10025a 66712c1f 1e11035b 672e2d201205045c 68392f21 1413065d"
    "693130232215075e 6a723224 1608095f 6b332517180b0a60 6c343526 27190c61 6d7328741a0d626e 3a361c1b 752b6376"
    "55567778797a0e7b 7c4f7d4b 477e7f6f 5253504c4d480145 574e514a 37494654"
) + bytes([0x80, 0x81, 0x82, 0x41, 0x54, *range(0x85, 0x100)])

_SET_2 = {code: number for number, code in enumerate(TRANSLATION[:0x80])} | {0x41: 0x83, 0x54: 0x84}

KEYS: dict[str, int] = {  # by the names that terminals' sequences are known by
    "escape": 0x01, "backspace": 0x0E, "tab": 0x0F, "enter": 0x1C, "space": 0x39, "caps lock": 0x3A, "num lock": 0x45,
    "scroll lock": 0x46, "up": 0xE048, "down": 0xE050, "left": 0xE04B, "right": 0xE04D, "home": 0xE047, "end": 0xE04F,
    "page up": 0xE049, "page down": 0xE051, "insert": 0xE052, "delete": 0xE053, "print screen": PRINT_SCREEN,
    "pause": PAUSE, "menu": 0xE05D, "shift": LEFT_SHIFT, "ctrl": LEFT_CTRL, "alt": LEFT_ALT, "centre": 0x4C,
    **{f"f{number}": 0x3A + number for number in range(1, 11)}, "f11": 0x57, "f12": 0x58,
}  # fmt: skip

_ROWS = (
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
)
_SPECIAL = {"\x1b": 0x01, "\x7f": 0x0E, "\b": 0x0E, "\t": 0x0F, "\r": 0x1C, "\n": 0x1C, " ": 0x39}
_CONTROL = {"\0": "2", "\x1c": "\\", "\x1d": "]", "\x1e": "6", "\x1f": "-"}  # keys that give these with Ctrl

PLAIN: dict[str, int] = dict(_SPECIAL)
SHIFTED: dict[str, int] = {}
for _first, _plain, _shifted in _ROWS:
    for _code, (_a, _b) in enumerate(zip(_plain, _shifted, strict=True), _first):
        PLAIN[_a], SHIFTED[_b] = _code, _code


def chord(character: str) -> tuple[int, ...]:
    """Keys that type one character when pressed in this order; empty where no keys do."""
    if character in PLAIN:
        return (PLAIN[character],)
    if character in SHIFTED:
        return LEFT_SHIFT, SHIFTED[character]
    if "\x01" <= character <= "\x1a":
        return LEFT_CTRL, PLAIN[chr(ord(character) + 0x60)]
    if character in _CONTROL:
        return LEFT_CTRL, PLAIN[_CONTROL[character]]
    return ()


def set_1(key: int, pressed: bool) -> bytes:
    """What a keyboard that speaks set 1 sends."""
    if key == PAUSE:
        return bytes.fromhex("e11d45e19dc5") if pressed else b""  # never released
    if key == PRINT_SCREEN:
        return bytes.fromhex("e02ae037") if pressed else bytes.fromhex("e0b7e0aa")
    return _prefix(key) + bytes([key & 0x7F | (0 if pressed else RELEASE)])


def set_2(key: int, pressed: bool) -> bytes:
    """What a keyboard that speaks set 2 sends."""
    if key == PAUSE:
        return bytes.fromhex("e11477e1f014f077") if pressed else b""
    if key == PRINT_SCREEN:
        return bytes.fromhex("e012e07c") if pressed else bytes.fromhex("e0f07ce0f012")
    return _prefix(key) + (b"" if pressed else bytes([BREAK])) + bytes([_SET_2[key & 0x7F]])


def _prefix(key: int) -> bytes:
    return bytes([EXTENDED]) if key >> 8 else b""
