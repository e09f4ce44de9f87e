"""Port 0x80: the diagnostic code of the power-on self test, and the kernels' favourite delay."""

from __future__ import annotations

from hypervisor.bus import Bus, Device

POST_CODE = 0x80


class PostCode(Device):
    """Takes codes and keeps the last one."""

    name = "POST code"
    ports = (range(POST_CODE, POST_CODE + 1),)

    def __init__(self) -> None:
        self.code = 0

    def attach(self, bus: Bus) -> None:
        bus.post([POST_CODE])

    def port_in(self, port: int, size: int) -> int:
        return self.code

    def port_out(self, port: int, size: int, value: int) -> None:
        self.code = value
