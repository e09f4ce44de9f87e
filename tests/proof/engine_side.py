"""The engine with the ported machine in it; answers one case at a time, as the bare machine does."""

from __future__ import annotations

import queue
import threading

from hypervisor.bus import Device, MachineStop
from hypervisor.console import NoConsole
from hypervisor.domain import Domain, DomainConfig
from hypervisor.memory_map import MIB
from tests.proof.build import Kernel
from tests.proof.machine import EXCHANGE_PORT, MAX_CHANGES, RESULT, RESULT_SIZE, Raw, State

MEMORY = 32 * MIB
TIMEOUT = 10.0


class Died(Exception):
    """The guest ended, or did not answer."""


class Mailbox(Device):
    """Port EXCHANGE_PORT: the guest is done with one case and takes the next."""

    name = "mailbox"
    ports = (range(EXCHANGE_PORT, EXCHANGE_PORT + 1),)

    def __init__(self, domain: Domain, address: int) -> None:
        self.domain, self.address = domain, address
        self.cases: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[Raw | None] = queue.SimpleQueue()
        self._first = True

    def port_out(self, port: int, size: int, value: int) -> None:
        if not self._first:
            data = self.domain.memory.read(self.address + RESULT, RESULT_SIZE + 8 * MAX_CHANGES)
            self.results.put(Raw.unpack(bytes(data)))
        self._first = False
        case = self.cases.get()
        if case is None:
            raise MachineStop("exit", 0, "no more cases")
        self.domain.memory.write(self.address, case)


class EngineSide:
    """A guest that stays up from case to case; a new one where it died."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.mailbox: Mailbox | None = None
        self._thread: threading.Thread | None = None
        self._ending = ""

    def _start(self) -> Mailbox:
        # The model that the bare machine is (oracle.py).
        domain = Domain(DomainConfig(self.kernel.path, memory=MEMORY, cpu_model="pentium3"))
        domain.build()
        mailbox = Mailbox(domain, self.kernel.symbols["mailbox"])
        domain.bus.add(mailbox)
        self._domain = domain

        def serve() -> None:
            self._ending = str(domain.run(NoConsole()))
            mailbox.results.put(None)

        self._thread = threading.Thread(target=serve, daemon=True)
        self._thread.start()
        self.mailbox = mailbox
        return mailbox

    def run(self, number: int, state: State) -> Raw:
        """What site `number` makes of `state`. Raises Died where the guest does not answer."""
        mailbox = self.mailbox or self._start()
        mailbox.cases.put(state.pack(number))
        try:
            result = mailbox.results.get(timeout=TIMEOUT)
        except queue.Empty:
            self._ending, result = "no answer", None
        if result is None:
            ending = self._ending
            self.close()
            raise Died(ending)
        return result

    def close(self) -> None:
        """End the guest; `run` starts another."""
        if self.mailbox:
            self.mailbox.cases.put(None)
            assert self._thread is not None and self._domain.engine.process
            self._thread.join(TIMEOUT)
            if self._thread.is_alive():  # it does not come for its case
                self._domain.engine.process.kill()
                self._thread.join()
            self._domain.close()
        self.mailbox = None
