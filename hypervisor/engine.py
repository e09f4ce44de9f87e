"""The engine: the monitor's processes, and the VMM's end of the exits.

One `Engine` runs one guest. The first process is the zygote; it forks an address-space process for each
guest CR3 in use. All end with the zygote, the zygote ends with this process (PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
import select
import signal
import subprocess
import threading
from dataclasses import dataclass, fields
from pathlib import Path

from hypercalls import layout
from hypercalls.structs import CONTROL, EXIT, ConfigFlag, ExitReason
from hypervisor.cpu_model import CpuModel
from hypervisor.errors import RingError
from hypervisor.memory import GuestMemory
from hypervisor.monitor.build import MONITOR, build
from hypervisor.state import StateFile

POOL_MAX = 64
_FDS = (layout.RAM_FD, layout.STATE_FD, layout.EXIT_FD, layout.RESUME_FD, layout.WAKE_FD,
        *range(layout.DISK_FD, layout.DISK_FD + layout.DISK_COUNT))  # fmt: skip
_FDS_END = max(_FDS) + 1
_MS_TO_DIE = 5000  # a killed process that takes longer hangs in the host's kernel


@dataclass(slots=True)
class Exit:
    """A question of the monitor, copied out of shared memory once. Fields as in hypercalls.structs.EXIT."""

    reason: int
    port: int
    address: int
    size: int
    count: int
    value: int
    code: int
    eip: int
    cr3: int
    detail: int


assert [field.name for field in fields(Exit)] == [field.name for field in EXIT.fields]


def monitor_path() -> Path:
    """The monitor's executable; built here where ring3 runs from its sources. RingError if impossible."""
    if MONITOR.exists() and not (MONITOR.parent / "main.c").exists():
        return MONITOR
    return build()


class Engine:
    """Runs the guest that `memory` and `state` describe.

    `slide` forces the mmap_min_addr slide; `cpu` pins the guest's processes and the calling thread to
    one CPU (a hand-over between CPUs costs several times one on the same CPU).
    """

    def __init__(self, memory: GuestMemory, state: StateFile, slide: bool = False, cpu: int | None = None) -> None:
        self.memory, self.state, self.cpu = memory, state, cpu
        self.control = state.control
        # An exit is the VMM's hot path: one copy of the record, and no look-up of it.
        self._exit_record = state.window(layout.CONTROL_OFFSET + CONTROL.offset("exit"), EXIT.size)
        self._last_words = state.window(layout.CONTROL_OFFSET + CONTROL.offset("end"), EXIT.size)
        self._unpack_exit, self._answer = EXIT.packer.unpack, self.control.exit
        self.control.ram_size = memory.size
        self.control.pool_max = POOL_MAX
        self.control.vmm_pid = os.getpid()
        if slide:
            self.control.flags |= ConfigFlag.FORCE_SLIDE
        self.process: subprocess.Popen[bytes] | None = None
        self._members: dict[int, int] = {}  # pid -> pidfd
        self._ended = threading.Event()
        self._watcher: threading.Thread | None = None
        self._exit_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._resume_fd = os.eventfd(0, os.EFD_CLOEXEC)
        self._wake_fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._events = [self._exit_fd, self._resume_fd, self._wake_fd]
        self.disks: list[int] = []  # descriptors of the images that the monitor is to map, by place; set before `start`

    def set_cpu_model(self, model: CpuModel) -> None:
        """What the guest's CPUID answers. Legal before `start`."""
        leaves = model.leaves()
        for number, leaf in enumerate(leaves):
            place = self.control.cpuid[number]
            place.leaf, place.eax, place.ebx, place.ecx, place.edx = leaf
        self.control.cpuid_count = len(leaves)

    def set_exact_dirty(self, exact: bool) -> None:
        """Whether accessed and dirty bits are set with each access, not before. Legal before `start`."""
        if exact:
            self.control.flags |= ConfigFlag.EXACT_DIRTY

    @property
    def pids(self) -> list[int]:
        """Host processes of this guest: the zygote first."""
        return ([self.process.pid] if self.process else []) + list(self._members)

    def start(self) -> None:
        """Start the monitor; the guest runs at once. RingError where this host cannot."""
        path = monitor_path()
        if self.cpu is not None:
            try:
                os.sched_setaffinity(0, {self.cpu})
            except OSError as error:
                raise RingError(f"CPU {self.cpu} cannot be used ({error.strerror}); "
                                f"choose one of {sorted(os.sched_getaffinity(0))}") from error
        ours = (self.memory.fd, self.state.fd, self._exit_fd, self._resume_fd, self._wake_fd, *self.disks)
        # The child needs these under fixed numbers; copies above them cannot be overwritten on the way.
        high = [_dup_above(fd, _FDS_END) for fd in ours]
        try:
            self.process = subprocess.Popen(
                [str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                close_fds=False, start_new_session=True, env={}, cwd="/",
                preexec_fn=lambda: _hand_over(high),
            )
        except OSError as error:
            raise RingError(f"cannot start the monitor {path} ({error.strerror}); run ring3 doctor") from error
        finally:
            for fd in high:
                os.close(fd)
        self._watcher = threading.Thread(target=self._watch, name="ring3-watch", daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        """Notice the monitor's end, however it comes, so that `wait` never waits for a dead guest."""
        assert self.process is not None
        self.process.wait()
        self._ended.set()
        os.eventfd_write(self._exit_fd, 1)

    def wait(self) -> Exit | None:
        """Block until the monitor has something: an exit to `answer`, or None for console output only.

        MEMBER_DIED is the end, and has no answer. RingError when the monitor has ended without saying why.
        """
        control = self.control
        if not self._ended.is_set():  # else there is what a dead guest left, and no news
            os.read(self._exit_fd, 8)  # unlike eventfd_read, goes on by itself after a signal
        control.doorbell = 0
        if not control.exit_pending:
            if self._ended.is_set():
                last = Exit(*self._unpack_exit(self._last_words))
                if last.reason == ExitReason.MEMBER_DIED:
                    return last
                status = self.process.returncode if self.process else None
                raise RingError(f"the guest's monitor ended (status {status}); run ring3 doctor")
            return None
        event = Exit(*self._unpack_exit(self._exit_record))
        if event.reason == ExitReason.NEW_MEMBER:
            self._add_member(event.address)
            self.answer()
            return None
        return event

    def answer(self, value: int = 0) -> None:
        """Answer the exit that `wait` returned; the guest goes on."""
        self._answer.value = value & 0xFFFFFFFF
        self.control.exit_pending = 0
        os.eventfd_write(self._resume_fd, 1)

    def _add_member(self, pid: int) -> None:
        """Take note of an address-space process, if it is a new one: a child of the zygote."""
        if pid in self._members:
            return
        try:
            stat = Path(f"/proc/{pid}/stat").read_text()
            parent = int(stat[stat.rindex(")") + 2 :].split()[1])
            if self.process and parent == self.process.pid and len(self._members) < POOL_MAX:
                self._members[pid] = os.pidfd_open(pid)
        except (OSError, ValueError):
            return

    def pulse_irq(self, line: int) -> None:
        """Raise ISA interrupt `line` (0-15), as an edge; taken when the guest goes on or is woken."""
        self.control.irq_request[line] = 1

    def set_irq(self, line: int, high: bool) -> None:
        """Drive ISA interrupt `line` (0-15) high or low; taken when the guest goes on or is woken."""
        self.control.irq_request[line] = 2 if high else 3

    def wake(self) -> None:
        """Make the guest look at requests and console input now, whether it runs or idles."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_write(self._wake_fd, 1)
        if self.control.run_state == 2:
            return
        pidfd = self._members.get(self.control.current_pid)
        if pidfd is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGUSR1)

    def kill(self) -> None:
        """End all processes of the guest. Legal at any time, also more than once."""
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for pidfd in self._members.values():
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        for pidfd in self._members.values():
            _wait_for_end(pidfd)  # until then it holds the disks
            os.close(pidfd)
        self._members.clear()

    def close(self) -> None:
        """End the guest and release the descriptors. Legal at any time, also more than once."""
        self.kill()
        while self._watcher and self._watcher.is_alive():
            # The guest can fill the event's counter, which blocks the watcher's own write.
            if select.select([self._exit_fd], [], [], 0)[0]:
                os.read(self._exit_fd, 8)
            self._watcher.join(0.01)
        self._watcher = None
        for fd in self._events:
            os.close(fd)
        self._events.clear()


def _wait_for_end(pidfd: int) -> None:
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.poll(_MS_TO_DIE)


def _dup_above(fd: int, lowest: int) -> int:
    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)


def _hand_over(fds: list[int]) -> None:
    """In the child: the descriptors at their numbers, nothing else, and no core dumps."""
    for source, target in zip(fds, _FDS, strict=False):
        os.dup2(source, target, inheritable=True)
    os.closerange(_FDS[0] + len(fds), 4096)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
