"""Killing any process of a guest, or its VMM, ends all of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypervisor.bus import Device
from hypervisor.domain import Domain, DomainConfig
from hypervisor.errors import RingError
from tests.hypervisor.engine import guests
from tests.hypervisor.hostile.processes import limited, living, members
from tests.samples import kernels

MEMBERS = 4  # at least: the zygote, and a process for each of the address spaces below
SECONDS = 10.0
SLAYER_PORT = 0x1234  # nothing else is there

# Goes round three address spaces for ever.
ROUND = """
	.set DIRECTORIES,0x400000
test:	movl $DIRECTORIES,%edi
	xorl %eax,%eax
	movl $3*1024,%ecx
	rep stosl
	movl $0x87,DIRECTORIES
	movl $0x87,DIRECTORIES+0x1000
	movl $0x87,DIRECTORIES+0x2000
	movl $0x400087,DIRECTORIES+4
	movl $0x400087,DIRECTORIES+0x1004
	movl $0x400087,DIRECTORIES+0x2004
	movl $0x10,%eax
	r3_write_cr4 %eax
	movl $DIRECTORIES,%eax
	r3_write_cr3 %eax
	movl $0x80000011,%eax
	r3_write_cr0 %eax
1:	movl $DIRECTORIES,%eax
2:	r3_write_cr3 %eax
	addl $0x1000,%eax
	cmpl $DIRECTORIES+0x3000,%eax
	jne 2b
	jmp 1b
"""


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory, monitor: Path) -> Path:
    return guests.assemble(ROUND, tmp_path_factory.mktemp("round") / "round", ported=True)


def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition` holds; an assertion fails where it does not within SECONDS."""
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline, "the guest did not come up"
        time.sleep(0.01)


@pytest.fixture
def killing(kernel: Path) -> Iterator[Callable[[Callable[[Domain], int]], str]]:
    """``killing(choose)``: run the guest, kill the process that `choose` names; gives the VMM's words."""
    with Domain(DomainConfig(kernel, memory=guests.MEMORY)) as domain:
        domain.build()

        def run(choose: Callable[[Domain], int]) -> str:
            def kill() -> None:
                until(lambda: len(domain.engine.pids) >= MEMBERS)
                os.kill(choose(domain), signal.SIGKILL)

            killer = threading.Thread(target=kill)
            killer.start()
            try:
                return limited(SECONDS, domain).cause
            except RingError as refusal:
                return str(refusal)
            finally:
                killer.join()
                assert not living(domain.engine.pids[0])

        yield run


def test_member_killed(killing: Callable[[Callable[[Domain], int]], str]) -> None:
    assert "died (signal 9)" in killing(lambda domain: domain.engine.pids[-1])


class Slayer(Device):
    """Kills who asks, and answers when nobody is left who waits for it."""

    name = "slayer"
    ports = (range(SLAYER_PORT, SLAYER_PORT + 1),)

    def __init__(self, domain: Domain) -> None:
        self._domain = domain

    def port_in(self, port: int, size: int) -> int:
        zygote, member = self._domain.engine.pids
        os.kill(member, signal.SIGKILL)
        living(zygote)
        return 0


def test_member_killed_while_it_asks(tmp_path: Path, monitor: Path) -> None:
    kernel = guests.assemble(f"test:\tmovw ${SLAYER_PORT},%dx\n\tr3_in %dx,%al\n", tmp_path / "asks", ported=True)
    with Domain(DomainConfig(kernel, memory=guests.MEMORY)) as domain:
        domain.build()
        domain.bus.add(Slayer(domain))
        assert "died (signal 9)" in limited(SECONDS, domain).cause


def test_zygote_killed(killing: Callable[[Callable[[Domain], int]], str]) -> None:
    assert "monitor ended (status -9)" in killing(lambda domain: domain.engine.pids[0])


def test_vmm_killed(kernel: Path) -> None:
    vmm = subprocess.Popen(
        [sys.executable, "-m", "hypervisor.cli.main", "run", str(kernel)],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=kernels.environment(),
    )  # fmt: skip

    def children() -> list[int]:
        text = Path(f"/proc/{vmm.pid}/task/{vmm.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    try:
        until(lambda: any(len(members(pid)) >= MEMBERS for pid in children()))
        sessions = children()
    finally:
        vmm.kill()
        vmm.wait()
    assert [living(session) for session in sessions] == [[]] * len(sessions)
