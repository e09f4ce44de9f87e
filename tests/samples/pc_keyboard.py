"""The keyboard of QEMU's PC: keys are pressed through its monitor (command ``sendkey``)."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

HOLD_MS = 5
"""How long a key is held: long enough for the controller's queue, which would lose keys, to be read."""
_SECONDS = 10

# Keys whose names are not the characters that they give, without and with Shift. Source: QEMU's manual, "sendkey".
_NAMES = {
    " ": "spc", "\r": "ret", "\b": "backspace", ".": "dot", ",": "comma", ";": "semicolon", "-": "minus",
    "=": "equal", "/": "slash", "'": "apostrophe", "[": "bracket_left", "]": "bracket_right", "\\": "backslash",
    "\x03": "ctrl-c",
}  # fmt: skip
_SHIFTED = {shifted: plain for plain, shifted in zip("1234567890-=;'[]\\,./", '!@#$%^&*()_+:"{}|<>?', strict=True)}


def key(character: str) -> str:
    """The name of the key, or keys, for a character. Raises KeyError where the tables have none."""
    if character.isupper() or character in _SHIFTED:
        return f"shift-{key(_SHIFTED.get(character, character.lower()))}"
    return character if character.isascii() and character.isalnum() else _NAMES[character]


class PcKeyboard:
    """Give QEMU the ``options``; then `type`. Raises OSError where its monitor does not answer."""

    def __enter__(self) -> PcKeyboard:
        self._folder = tempfile.TemporaryDirectory()
        path = str(Path(self._folder.name) / "monitor")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(1)
        self._listener.settimeout(_SECONDS)
        self._monitor: socket.socket | None = None
        self.options = ("-monitor", f"unix:{path}")
        return self

    def type(self, text: str) -> None:
        """Press a key for each character."""
        if self._monitor is None:
            self._monitor, _ = self._listener.accept()
            self._monitor.settimeout(_SECONDS)
        for character in text:
            self._monitor.sendall(f"sendkey {key(character)} {HOLD_MS}\n".encode())

    def __exit__(self, *_: object) -> None:
        if self._monitor is not None:
            self._monitor.close()
        self._listener.close()
        self._folder.cleanup()
