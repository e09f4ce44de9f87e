"""US keyboard, scan code set 1: which keys give which character."""

from __future__ import annotations

LEFT_SHIFT, LEFT_CTRL = 0x2A, 0x1D
RELEASE = 0x80

_ROWS = (
    (0x02, "1234567890-=", "!@#$%^&*()_+"),
    (0x10, "qwertyuiop[]", "QWERTYUIOP{}"),
    (0x1E, "asdfghjkl;'`", 'ASDFGHJKL:"~'),
    (0x2B, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
)
_SPECIAL = {"\x1b": 0x01, "\x7f": 0x0E, "\b": 0x0E, "\t": 0x0F, "\r": 0x1C, "\n": 0x1C, " ": 0x39}

PLAIN: dict[str, int] = dict(_SPECIAL)
SHIFTED: dict[str, int] = {}
for _first, _plain, _shifted in _ROWS:
    for _code, (_a, _b) in enumerate(zip(_plain, _shifted, strict=True), _first):
        PLAIN[_a], SHIFTED[_b] = _code, _code


def keystrokes(character: str) -> bytes:
    """Make and break codes that type one character; empty where no key gives it."""
    modifier = 0
    code = PLAIN.get(character)
    if code is None and character in SHIFTED:
        code, modifier = SHIFTED[character], LEFT_SHIFT
    if code is None and "\x01" <= character <= "\x1a":
        code, modifier = PLAIN[chr(ord(character) + 0x60)], LEFT_CTRL
    if code is None:
        return b""
    stroke = bytes([code, code | RELEASE])
    return bytes([modifier]) + stroke + bytes([modifier | RELEASE]) if modifier else stroke
