"""The 8x16 font of CP437 that firmware would have left in the VGA. It is our own: no BIOS is copied.

Letters are drawn in `font.txt`, six bands of sixteen characters from the space on, each 5 dots by 8, and
shown twice as high. Lines, boxes, blocks and shades follow from their names, accented letters from the
letter and its accent. What is left, of the mathematical signs and the Greek letters, shows as a frame.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from pathlib import Path

from hypervisor.screen.text import CHARACTERS

HEIGHT = 16
_FIRST, _BAND = 0x20, 16
_DOTS = str.maketrans(".#", "01")
_FRAME = (0, 0, 0x7C, *[0x44] * 10, 0x7C, 0, 0)
_ACCENTS = {  # combining accent -> its two lines
    "\u0300": (0x20, 0x10), "\u0301": (0x08, 0x10), "\u0302": (0x10, 0x28), "\u0303": (0x34, 0x58),
    "\u0308": (0x28, 0x28), "\u030a": (0x10, 0x28),
}  # fmt: skip
# Characters that look enough like a drawn one.
_ALIKE = dict(zip(
    "\u00a1\u00bf\u2022\u00b7\u2219\u00b0\u2261\u00f7\u00b1\u00ab\u00bb\u2264\u2265\u00df\u00b5\u00a2"
    "\u00a3\u00a5\u00aa\u00ba\u00e6\u00c6\u20a7\u0192\u2248\u203c\u25ba\u25c4\u2191\u2193\u2192\u2190"
    "\u25b2\u25bc",
    "i?o..*=++<><>BucLYaoeEPf~!><^v><^v", strict=True,
))  # fmt: skip


@cache
def font() -> tuple[bytes, ...]:
    """256 shapes of 16 lines, the leftmost dot in bit 7."""
    letters = _letters()
    return tuple(bytes(_glyph(character, letters)) for character in CHARACTERS)


def _letters() -> dict[str, list[int]]:
    """The shapes drawn in `font.txt`, by character."""
    bands = (Path(__file__).parent / "font.txt").read_text().strip().split("\n\n")
    letters = {}
    for number, band in enumerate(bands):
        lines = [line.split() for line in band.translate(_DOTS).splitlines()]
        for column in range(_BAND):
            rows = [int(line[column], 2) << 2 for line in lines]
            letters[CHARACTERS[_FIRST + number * _BAND + column]] = [row for row in rows for _ in (0, 1)]
    return letters


def _glyph(character: str, letters: dict[str, list[int]]) -> list[int]:
    drawn = letters.get(_ALIKE.get(character, character))
    if drawn:
        return drawn
    name = unicodedata.name(character, "")
    if character in "\u00a0 ":
        return [0] * HEIGHT
    if name.startswith("BOX DRAWINGS "):
        return _box(name.split()[2:])
    if name.endswith((" BLOCK", " SHADE")) or name == "BLACK SQUARE":
        return _block(name)
    base, *accents = list(unicodedata.normalize("NFD", character))
    if accents and base in letters and accents[0] in _ACCENTS:
        return _accented(letters[base], _ACCENTS[accents[0]], base.islower())
    return list(_FRAME)


def _accented(letter: list[int], accent: tuple[int, int], small: bool) -> list[int]:
    """A small letter has room above it (and an i loses its dot); a capital one moves down."""
    if small:
        return [line for line in accent for _ in (0, 1)] + letter[4:]
    return [*accent, *letter[1:14], 0]


# Scan lines and dots that box lines take: the middle of the cell, one line or two.
_HORIZONTAL = {"SINGLE": (7, 8), "DOUBLE": (6, 9)}
_VERTICAL = {"SINGLE": 0x18, "DOUBLE": 0x24}
_REACH = {"UP": range(10), "DOWN": range(6, HEIGHT)}  # scan lines, the joint included
_SIDE = {"LEFT": 0xFC, "RIGHT": 0x3F}  # dots
_BOTH = {"VERTICAL": ("UP", "DOWN"), "HORIZONTAL": ("LEFT", "RIGHT")}


def _box(words: list[str]) -> list[int]:
    """A shape from its name's words: [weight] direction [weight] [AND direction [weight]]."""
    weight, shape = "SINGLE", [0] * HEIGHT
    for number, word in enumerate(words):
        if word in ("LIGHT", "DOUBLE", "SINGLE", "AND"):
            weight = word if number == 0 and word == "DOUBLE" else weight
            continue
        own = words[number + 1] if number + 1 < len(words) and words[number + 1] in _VERTICAL else weight
        for part in _BOTH.get(word, (word,)):
            for line in _REACH.get(part, _HORIZONTAL[own]):
                shape[line] |= _VERTICAL[own] if part in _REACH else _SIDE[part]
    return shape


def _block(name: str) -> list[int]:
    halves = "LOWER" not in name, "UPPER" not in name  # which of them are filled
    dots = {"LEFT": 0xF0, "RIGHT": 0x0F}.get(name.split()[0], 0xFF)
    shades = {"LIGHT": (0x88, 0x22), "MEDIUM": (0xAA, 0x55), "DARK": (0x77, 0xDD)}
    if name == "BLACK SQUARE":
        return [0x3C if 4 <= line < 12 else 0 for line in range(HEIGHT)]
    pattern = shades.get(name.split()[0], (dots, dots))
    return [pattern[line & 1] if halves[line // 8] else 0 for line in range(HEIGHT)]
