"""A domain: one guest with its memory, virtual CPU, devices and kernel.

States, and what is legal in each:

========  =========================================================================
new       `build` (RingError: the domain stays new, nothing is held)
built     `run`, `close`; memory, devices and the boot state may be inspected
running   in `run`, until it returns or raises; other threads may type to the console
ended     `close`; memory and state still tell how the guest ended
closed    nothing; memory, state and disks are released
========  =========================================================================
"""

from __future__ import annotations

import contextlib
import errno
import os
import typing
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any

from hypercalls.binary_port import BinaryPort
from hypercalls.structs import ExitReason, LostTicks, MonitorError, Shutdown
from hypervisor import cpu_model, interrupts, memory_map
from hypervisor.bus import Bus, MachineStop
from hypervisor.devices.ata import AtaDrive
from hypervisor.devices.atapi import PacketDrive
from hypervisor.devices.cmos import cmos_memory
from hypervisor.devices.disk import DiskImage
from hypervisor.devices.e1000 import E1000
from hypervisor.devices.i440fx import ISA_SLOT, pci_bus
from hypervisor.devices.i8042 import I8042
from hypervisor.devices.ide import IdeDrive, ide_channels
from hypervisor.devices.pci import PciBus
from hypervisor.devices.pci_firmware import assign
from hypervisor.devices.piix_ide import PiixIde
from hypervisor.devices.post import PostCode
from hypervisor.devices.power import DebugExit, PowerOff, ResetControl
from hypervisor.devices.vga import Vga
from hypervisor.engine import Engine
from hypervisor.errors import RingError
from hypervisor.firmware.firmware import make_firmware
from hypervisor.gdb.server import Debugger, GdbConfig, Killed
from hypervisor.gdb.target import Target
from hypervisor.inventory import devices
from hypervisor.loaders.boot import plan_boot, set_boot_state, write
from hypervisor.loaders.handover import BootMachine, BootRequest, ModuleFile, Protocol
from hypervisor.loaders.replaced_code import replace_code
from hypervisor.loaders.symbols import Symbols
from hypervisor.memory import GuestMemory
from hypervisor.net.capture import Capture
from hypervisor.net.config import NetConfig
from hypervisor.net.pump import Line, Pump
from hypervisor.outcome import Ending, Outcome, outcome
from hypervisor.rings import SerialRings
from hypervisor.serial import SerialConfig, SerialPort
from hypervisor.state import SERIAL_PORTS, StateFile
from hypervisor.trace.recorder import Recorder
from hypervisor.trace.recording import DEFAULT_SLOTS, Recording, TraceConfig

DEFAULT_MEMORY = 256 * memory_map.MIB
DISK_PLACES = 4
_CDROM_PLACES = (2, 3, 1)  # in the order in which CD drives without an index take them
_FIRST_CARD = 3  # PCI slot of the first network card, as on QEMU's board


@dataclass(frozen=True)
class DiskConfig:
    """A disk image; `index` 0-3 is its place (primary master, slave, secondary master, slave).

    `cdrom`: a CD in a CD drive, which is read-only and, without an index, the secondary master if that is free.
    """

    path: Path
    read_only: bool = False
    index: int | None = None
    cdrom: bool = False


@dataclass(frozen=True)
class DomainConfig:
    """What a domain is made of; sizes in bytes.

    A PC's first disk is the one it booted from, so unless a disk asks for index 0, that place shows the
    kernel file, read-only, and `disks` without an index follow from index 1.
    `cpu_model`: a name of `cpu_model.MODELS`. `exact_dirty`: page table entries get their accessed and dirty
    bits when the guest accesses and writes, not before (slower).
    `serials`: the serial ports beside the console; others do not exist.
    `traps`: (guest-physical address, first byte) of instructions to replace by HLT for emulation.
    `port`: what makes the kernel, a binary, a ported one, unless its file says.
    `counted`: (guest-physical address, number in sequences.SEQUENCES) of inline sequences to count; None: nothing is
    counted.
    """

    kernel: Path
    memory: int = DEFAULT_MEMORY
    disks: tuple[DiskConfig, ...] = ()
    append: str = ""
    modules: tuple[ModuleFile, ...] = ()
    initrd: Path | None = None
    protocol: Protocol | None = None
    load_at: int | None = None
    entry: int | None = None
    nets: tuple[NetConfig, ...] = ()
    name: str = ""
    slide: bool = False
    cpu: int | None = None
    cpu_model: str = cpu_model.DEFAULT
    exact_dirty: bool = False
    keyboard: bool = False
    serials: tuple[SerialConfig, ...] = ()
    lost_ticks: LostTicks = LostTicks.DISCARD
    trace: TraceConfig | Recording | None = None
    gdb: GdbConfig | None = None
    traps: tuple[tuple[int, int], ...] = field(default=(), repr=False)
    port: BinaryPort | None = field(default=None, repr=False)
    counted: tuple[tuple[int, int], ...] | None = field(default=None, repr=False)

    @property
    def boot_request(self) -> BootRequest:
        """What the loaders are asked for."""
        return BootRequest(
            self.kernel, self.append, self.modules, self.initrd, self.protocol, self.load_at, self.entry
        )


class Console(typing.Protocol):
    """The other end of a guest's serial line and keyboard."""

    def open(self, domain: Domain) -> None:
        """The guest is about to run: input may be typed to `domain.type_bytes` from now on."""

    def write(self, data: bytes) -> None:
        """Output of the guest, in order."""

    def close(self) -> None:
        """The guest has ended; called on every way out of `Domain.run`."""


class DomainState(Enum):
    """Where a domain is in its life (see the module's table)."""

    NEW = "new"
    BUILT = "built"
    RUNNING = "running"
    ENDED = "ended"
    CLOSED = "closed"


class Domain:
    """One guest. Use as a context manager, so that everything is released on every way out."""

    def __init__(self, config: DomainConfig) -> None:
        self.config = config
        self.name = config.name or config.kernel.stem
        self.state = DomainState.NEW
        self.notices: list[str] = []  # what the user should know, but needs not act on
        self._boot_disk = DiskConfig(config.kernel, read_only=True)
        self._held = contextlib.ExitStack()  # what `close` releases

    def __enter__(self) -> Domain:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _require(self, *states: DomainState) -> None:
        if self.state not in states:
            raise RuntimeError(f"domain {self.name} is {self.state.value}")

    # --- building -----------------------------------------------------------------------------------

    def build(self) -> None:
        """Make memory, devices and boot state. Legal when new. Raises RingError for what cannot be."""
        self._require(DomainState.NEW)
        with contextlib.ExitStack() as held:
            self._build(held)
            self._held = held.pop_all()
        self.state = DomainState.BUILT

    def _build(self, held: contextlib.ExitStack) -> None:
        config = self.config
        memory_map.check_size(config.memory)
        model = cpu_model.find(config.cpu_model)
        places = self._disk_places()
        ports = [SERIAL_PORTS[number] for number in sorted({0, *(serial.number for serial in config.serials)})]
        firmware = make_firmware(config.memory, sum(disk is not None and not disk.cdrom for disk in places),
                                 ports, model)
        machine = BootMachine(config.memory, firmware.rsdp_address, firmware.rsdp, firmware.smbios_entry)
        self.boot = plan_boot(config.boot_request, machine)
        video = self.boot.framebuffer.size if self.boot.framebuffer else 0
        self.memory = GuestMemory(config.memory + video)
        held.callback(self.memory.close)
        write(self.memory, self.boot)
        drives = self._open_drives(held, places)
        self.recording = Recording(config.trace) if isinstance(config.trace, TraceConfig) else config.trace
        held.callback(self._finish_recording)
        self.shared = StateFile(self.recording.config.slots if self.recording else DEFAULT_SLOTS)
        held.callback(self.shared.close)
        self.recorder = Recorder(self.shared, config.kernel, self.name,
                                 lambda: self.symbols, lambda: devices(self), os.sched_getaffinity(0))
        self.control = self.shared.control
        self.engine = Engine(self.memory, self.shared, slide=config.slide, cpu=config.cpu)
        held.callback(self.engine.close)
        self.engine.set_cpu_model(model)
        self.engine.set_exact_dirty(config.exact_dirty)
        self.rings = SerialRings(self.shared, self.engine.wake)
        self.keyboard, self.vga = I8042(), Vga(self.boot.framebuffer)
        self.bus = Bus(self.memory, self.shared, self.engine.pulse_irq, self.engine.set_irq)
        channels, pci = ide_channels(drives), pci_bus()
        pci.plug(PiixIde(channels), ISA_SLOT, 1)
        self._pump = self._plug_network(held, pci)
        for device in (
            self.keyboard, self.vga, PostCode(), DebugExit(), ResetControl(), PowerOff(),
            *channels, pci,
        ):  # fmt: skip
            self.bus.add(device)
        assign(pci)
        self._add_serials(held)
        self.control.cmos[:] = cmos_memory(config.memory)
        self.control.lost_ticks = config.lost_ticks
        self.engine.disks = [image.fd for image in self.bus.disks]
        firmware.write(self.memory)
        self.control.rom_base, self.control.rom_size = memory_map.ROM, memory_map.HIGH - memory_map.ROM
        set_boot_state(self.shared, self.boot)
        self._debugger = self._open_debugger(held)
        replace_code(self)

    @cached_property
    def symbols(self) -> Symbols:
        """Those of the kernel where it is loaded; read when they are asked for. Not legal when new."""
        return Symbols(self.config.kernel, self.boot.image.distance)

    def _open_debugger(self, held: contextlib.ExitStack) -> Debugger | None:
        if not self.config.gdb:
            return None
        target = Target(self.memory, self.shared, self.symbols.loaded_at)
        debugger = Debugger(self.config.gdb, target, self.control, self.engine.wake)
        held.callback(debugger.close)
        return debugger

    def _add_serials(self, held: contextlib.ExitStack) -> None:
        self._serials: list[SerialPort] = []
        for serial in self.config.serials:
            if self.control.serial[serial.number].present:
                raise RingError(f"serial port {serial.number + 1} is given twice; leave one of them out")
            self.shared.add_serial(serial.number)
            port = SerialPort(serial, SerialRings(self.shared, self.engine.wake, serial.number))
            held.callback(port.close)
            self._serials.append(port)
            if port.notice:
                self.notices.append(port.notice)

    def _plug_network(self, held: contextlib.ExitStack, pci: PciBus) -> Pump:
        lines = []
        for number, net in enumerate(self.config.nets):
            endpoint = net.endpoint()
            line = None
            if endpoint:
                line = Line(endpoint, Capture(net.capture, net.append) if net.capture else None)
                held.callback(line.close)
                lines.append(line)
            card = E1000(net.address(self.name, number), line)
            if line:
                line.card = card
            pci.plug(card, _FIRST_CARD + number)
        pump = Pump(lines, self.bus.lock, self.engine.wake)
        held.callback(pump.stop)
        return pump

    def _disk_places(self) -> list[DiskConfig | None]:
        """Which disk is where. Raises RingError where two want one place, or one cannot be."""
        places: list[DiskConfig | None] = [None] * DISK_PLACES
        for disk in self.config.disks:
            if disk.index is None:
                continue
            if not 0 <= disk.index < DISK_PLACES:
                raise RingError(f"disk {disk.path}: index {disk.index} is not one of 0 to {DISK_PLACES - 1}")
            if places[disk.index]:
                raise RingError(f"disk {disk.path}: index {disk.index} is taken; give each disk its own")
            places[disk.index] = disk
        for disk in sorted(self.config.disks, key=lambda disk: not disk.cdrom):
            if disk.index is None:
                order = _CDROM_PLACES if disk.cdrom else range(1, DISK_PLACES)
                free = [index for index in order if places[index] is None]
                if not free:
                    raise RingError(f"disk {disk.path}: no place left; leave it out or give it ',index=0'")
                places[free[0]] = disk
        places[0] = places[0] or self._boot_disk
        return places

    def _open_drives(self, held: contextlib.ExitStack, places: list[DiskConfig | None]) -> list[IdeDrive | None]:
        return [
            self._open_drive(held, index, disk, padded=disk is self._boot_disk) for index, disk in enumerate(places)
        ]

    def _open_drive(
        self, held: contextlib.ExitStack, index: int, disk: DiskConfig | None, padded: bool
    ) -> IdeDrive | None:
        if disk is None:
            return None
        image = DiskImage(disk.path, read_only=disk.read_only or disk.cdrom, padded=padded or disk.cdrom)
        held.callback(image.close)
        if image.leftover:
            self.notices.append(f"disk {disk.path}: the last {image.leftover} bytes are no sector and are left out")
        return (PacketDrive if disk.cdrom else AtaDrive)(image, f"RING3-{index}")

    # --- running ------------------------------------------------------------------------------------

    def type_bytes(self, data: bytes) -> int:
        """Type to the guest's serial port (or keyboard, as configured); bytes taken. Legal when running."""
        if not self.config.keyboard:
            return self.rings.feed(data)
        taken = self.keyboard.type_bytes(data)
        self.engine.wake()  # for the keyboard's interrupt
        return taken

    def press_keys(self, strokes: list[tuple[int, bool]]) -> bool:
        """Press (True) and release keys of the PC keyboard, as `I8042.press`. Legal when running."""
        taken = self.keyboard.press(strokes)
        self.engine.wake()
        return taken

    def move_mouse(self, right: int, up: int, wheel: int, buttons: int) -> None:
        """Move the PC's mouse, as `I8042.move_mouse`. Legal when running."""
        self.keyboard.move_mouse(right, up, wheel, buttons)
        self.engine.wake()

    def run(self, console: Console) -> Outcome:
        """Run the guest to its end. Legal when built.

        Raises RingError where the host cannot run guests, and what `console` or a signal handler raises.
        """
        self._require(DomainState.BUILT)
        self.state = DomainState.RUNNING
        try:
            if self.recording:
                self.recorder.start(self.recording)
            self.engine.start()
            try:
                console.open(self)
                for port in self._serials:
                    port.open()
                self._pump.start()
                if self._debugger:
                    self._debugger.start()
                with interrupts.taken():
                    result = self._serve(console)
                    if self._debugger:
                        self._debugger.ended(result.status)
                    self.bus.settle()
                    self._drain(console)
                    for port in self._serials:
                        port.drain()
            finally:
                console.close()
        finally:
            if self._debugger:
                self._debugger.close()
            self.engine.kill()
            self._pump.stop()
            self._stop_recorder()
            self.state = DomainState.ENDED
        return result

    def _stop_recorder(self) -> None:
        recorder = self.recorder
        self.recording = recorder.stop(guest_ended=True)
        if recorder.problem:
            self.notices.append(recorder.problem)
        elif self.recording and recorder.lost:
            self.notices.append(f"trace {self.recording.config.path}: {recorder.lost:,} records came too fast")

    def start_recording(self, recording: Recording) -> None:
        """Begin to record. Legal when running. TraceError as `Recorder.start`."""
        self.recorder.start(recording)
        self.recording = recording

    def stop_recording(self) -> tuple[Recording, int, str]:
        """End the recording: with it, records lost and what went wrong. RingError where none is being made."""
        recording = self.recorder.stop()
        if not recording:
            raise RingError(f"guest {self.name} is not being recorded; begin with 'ring3 trace start {self.name} FILE'")
        self._finish_recording()
        self.recording = None
        return recording, self.recorder.lost, self.recorder.problem

    def take_recording(self) -> Recording | None:
        """The recording that is being made, if any: it is the caller's now, to be gone on with in another domain."""
        recording, self.recording = self.recording, None
        return recording

    def _finish_recording(self) -> None:
        self.recorder.stop()
        if self.recording:
            try:
                self.recording.finish()
            except OSError as error:
                path = self.recording.config.path
                raise RingError(f"trace {path} cannot be written ({error.strerror}); "
                                "make room or choose another file") from error

    def _drain(self, console: Console) -> None:
        data = self.rings.drain()
        if data:
            console.write(data)

    def _serve(self, console: Console) -> Outcome:
        wait, answer, handle = self.engine.wait, self.engine.answer, self.bus.handle
        serial, rings, recorder, lock = self.control.serial[0], self.rings, self.recorder, self.bus.lock
        try:
            while True:
                try:
                    record = wait()
                except InterruptedError:
                    continue  # a signal was handled, for example SIGTSTP: eventfd_read does not go on by itself
                except RingError as ended:
                    return outcome(Ending.MONITOR, str(ended))
                if serial.out_head != rings.tail:
                    self._drain(console)
                for port in self._serials:
                    port.drain()
                if record is None:
                    recorder.call()
                    continue
                if record.reason == ExitReason.DEBUG:
                    answer(self._debugger.stopped(record) if self._debugger else 0)
                    continue
                end = _ENDINGS.get(record.reason)
                if end:
                    return end(record)
                with lock:
                    value = handle(record)
                answer(value)
        except Killed:
            return outcome(Ending.QUIT, "killed by gdb")
        except MachineStop as stop:
            ending = {"poweroff": Ending.POWEROFF, "reset": Ending.RESET, "exit": Ending.EXIT}[stop.action]
            return Outcome(ending, stop.status, stop.cause)

    # --- after --------------------------------------------------------------------------------------

    def close(self) -> None:
        """Release everything and end what still runs. Legal in every state, also twice."""
        self._held.close()
        self.state = DomainState.CLOSED


# --- endings that the monitor reports -----------------------------------------------------------------

_SHUTDOWNS = {
    int(Shutdown.POWEROFF): (Ending.POWEROFF, "shutdown hypercall"),
    int(Shutdown.REBOOT): (Ending.RESET, "shutdown hypercall, reason reboot"),
    int(Shutdown.SUSPEND): (Ending.POWEROFF, "shutdown hypercall, reason suspend"),
    int(Shutdown.CRASH): (Ending.CRASH, "shutdown hypercall, reason crash"),
}

_HOST_ERRORS = {
    MonitorError.MAP: "cannot map guest memory",
    MonitorError.LDT: "refuses modify_ldt (CONFIG_MODIFY_LDT_SYSCALL)",
    MonitorError.SIGNALS: "refuses signal handling",
    MonitorError.SECCOMP: "refuses the seccomp filter",
    MonitorError.FORK: "refuses another process (limit of processes?)",
    MonitorError.TIMER: "refuses a timer",
    MonitorError.XSAVE: "has no XSAVE, or does not use it",
}


def _shutdown(record: Any) -> Outcome:
    ending, cause = _SHUTDOWNS.get(record.code, (Ending.CRASH, f"shutdown hypercall, reason {record.code}"))
    return outcome(ending, cause, record)


def _triple_fault(record: Any) -> Outcome:
    return outcome(Ending.TRIPLE_FAULT, f"triple fault at {record.eip:#010x}, vector {record.code}", record)


def _dead_halt(record: Any) -> Outcome:
    return outcome(Ending.DEAD_HALT, f"halted with interrupts off at {record.eip:#010x}", record)


def _member_died(record: Any) -> Outcome:
    return outcome(Ending.MONITOR, f"process {record.address} of the guest died (signal {record.code})", record)


def _fatal(record: Any) -> Outcome:
    words = _HOST_ERRORS.get(record.code)
    if words:
        reason = os.strerror(record.detail) if record.detail in errno.errorcode else f"detail {record.detail:#x}"
        raise RingError(f"this host {words} ({reason}); run 'ring3 doctor' for what to change")
    name = {error.value: error.name for error in MonitorError}.get(record.code, "error")
    return outcome(Ending.MONITOR, f"the monitor gave up: {name} ({record.code}), detail {record.detail:#x}", record)


_ENDINGS = {
    int(ExitReason.SHUTDOWN): _shutdown,
    int(ExitReason.TRIPLE_FAULT): _triple_fault,
    int(ExitReason.DEAD_HALT): _dead_halt,
    int(ExitReason.MEMBER_DIED): _member_died,
    int(ExitReason.FATAL): _fatal,
}
