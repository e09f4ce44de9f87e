"""A cable to an interface of the host: a TAP device (Linux, Documentation/networking/tuntap.rst)."""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct

from hypervisor.errors import RingError
from hypervisor.net.endpoint import LONGEST, Ready

_TUNSETIFF = 0x400454CA  # include/uapi/linux/if_tun.h
_IFF_TAP, _IFF_NO_PI = 2, 0x1000
_BURST = 64  # frames taken at once


class TapEndpoint:
    """The interface `name`, which an administrator has made for this user. RingError where it cannot be had."""

    def __init__(self, name: str) -> None:
        if not 0 < len(name.encode()) < 16:
            raise RingError(f"--net: '{name}' is no name of an interface; give one of at most 15 characters")
        try:
            self._fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise RingError(f"--net: this host has no TAP devices ({error.strerror}); "
                            "use connect= or listen=") from None
        try:
            fcntl.ioctl(self._fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TAP | _IFF_NO_PI))
        except OSError as error:
            os.close(self._fd)
            raise RingError(f"--net: cannot use interface {name} ({error.strerror}); as root: "
                            f"ip tuntap add {name} mode tap user {os.getuid()}") from None

    @property
    def connected(self) -> bool:
        return self._fd >= 0

    @property
    def backlog(self) -> bool:
        return False

    def waits(self) -> list[Ready]:
        return [(self._fd, False)]

    def receive(self) -> list[bytes]:
        frames: list[bytes] = []
        with contextlib.suppress(OSError):
            while len(frames) < _BURST:
                frames.append(os.read(self._fd, LONGEST))
        return frames

    def send(self, frame: bytes) -> None:
        with contextlib.suppress(OSError):
            os.write(self._fd, frame)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
