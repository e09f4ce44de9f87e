"""``ring3 run``: run one kernel on the terminal."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypercalls.binary_port import BinaryPort
from hypercalls.structs import LostTicks
from hypervisor import cpu_model, interrupts
from hypervisor.cli.arguments import Parser
from hypervisor.cli.main import raise_again
from hypervisor.cli.recording import add_recording_options, recording_config
from hypervisor.cli.sites import CountedSites, binary_port, traps
from hypervisor.console import TerminalConsole, Terminated, UserQuit
from hypervisor.control.server import ControlServer
from hypervisor.coverage.collect import Collector
from hypervisor.domain import DiskConfig, Domain, DomainConfig
from hypervisor.errors import RingError
from hypervisor.gdb.events import Events
from hypervisor.gdb.server import GdbConfig
from hypervisor.loaders.handover import ModuleFile, Protocol
from hypervisor.memory_map import parse_size
from hypervisor.net.config import NetConfig
from hypervisor.outcome import Ending, Outcome, outcome
from hypervisor.report import crash_report, statistics
from hypervisor.serial import parse_serial
from hypervisor.trace.recording import Recording

_STAT_PROCESSOR = 36  # field "processor" of /proc/PID/stat, counted behind the command's name (proc(5))
_LAST_ADDRESS = 0xFFFF_FFFF
_SHORTEST, _LONGEST = 1e-3, 1e9  # seconds: a timer set to 0 would never go off, nor can it be set to infinity


class _CpuModel(argparse.Action):
    """``--cpu-model NAME``; for ``list``, which needs no kernel, show the models and leave."""

    def __call__(self, parser: argparse.ArgumentParser, options: argparse.Namespace, value: Any, _: Any = None) -> None:
        if value == "list":
            print("\n".join(f"{model.name:<10}{model.summary}" for model in cpu_model.MODELS.values()))
            parser.exit()
        options.cpu_model = value


class _TimeIsUp(Exception):
    """SIGALRM: the time given by --timeout is over."""


def main(arguments: list[str]) -> int:
    """Run a kernel as `arguments` say; the exit status is the guest's."""
    options = _parser().parse_args(arguments)
    config, collector = _covered(configuration(options), options)
    deadline = time.monotonic() + options.timeout if options.timeout else None
    before = signal.signal(signal.SIGUSR1, _on_quit)  # for a stop that comes while the guest does not run
    try:
        with ControlServer(options.name, otherwise=options.kernel.stem) as control:
            if control.problem:
                _tell(control.problem)
            return _run_again_and_again(replace(config, name=control.name), options, deadline, control, collector)
    except UserQuit:
        return Ending.QUIT.status or 0
    except Terminated as ended:
        return raise_again(ended.signum)
    finally:
        signal.signal(signal.SIGUSR1, before)


def _on_quit(_number: int, _frame: Any) -> None:
    interrupts.post(UserQuit())


def _starts_again(result: Outcome, options: argparse.Namespace) -> bool:
    return result.ending is Ending.RESET and not options.no_reboot


def _run_again_and_again(
    config: DomainConfig, options: argparse.Namespace, deadline: float | None, control: ControlServer,
    collector: Collector | None,
) -> int:
    """Run the guest until it ends other than by a reset."""
    while True:
        result, recording = _run(config, options, deadline, control, collector)
        if not _starts_again(result, options):
            return result.status
        _tell(f"{result.cause}; the guest starts again")
        config = replace(config, serials=tuple(replace(serial, append=True) for serial in config.serials),
                         nets=tuple(replace(net, append=True) for net in config.nets))
        config = replace(config, trace=recording)


def _parser() -> Parser:
    endings = "\n".join(
        f"  {'odd' if ending.status is None else ending.status:>3}  {ending.meaning}" for ending in Ending
    )
    parser = Parser(
        prog="ring3 run",
        description="Run a ported kernel. Ctrl-A h on the terminal lists the keys.",
        epilog=f"exit status:\n{endings}\n    2  bad input, or a host that cannot run guests",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("kernel", type=Path, metavar="KERNEL", help="the linked kernel: i386 ELF, multiboot 1 or 2, Linux bzImage, "
        "or with --load-at a flat binary")  # fmt: skip
    add("--memory", "-m", default="256M", metavar="SIZE", help="RAM, for example 64M or 1G (default 256M)")
    add("--disk", action="append", default=[], metavar="IMG[,ro][,cdrom][,index=N]",
        help="a raw disk image (up to 4). Index 0, the disk that a PC boots from, shows the kernel file unless "
        "given; others follow from 1. cdrom: as --cdrom")  # fmt: skip
    add("--cdrom", action="append", default=[], metavar="IMG[,index=N]",
        help="a CD image in a CD drive: the secondary master (index 2) unless said or taken")  # fmt: skip
    add("--append", default="", metavar="TEXT", help="the kernel's command line")
    add("--module", action="append", default=[], metavar="FILE[=TEXT]",
        help="a multiboot module and its string (default: FILE)")  # fmt: skip
    add("--net", action="append", default=[], metavar="CABLE[,mac=ADDRESS][,pcap=FILE]",
        help="a network card (e1000); CABLE is listen=SOCKET or connect=SOCKET (a path with a slash or HOST:PORT: "
        "another guest, QEMU's -netdev stream, passt), tap=INTERFACE of the host, or none")  # fmt: skip
    add("--initrd", type=Path, metavar="FILE", help="Linux's initial RAM disk")
    add("--protocol", choices=[protocol.value for protocol in Protocol], help="how to start the kernel (default: as "
        "its file shows; a vmlinux needs 'linux', unless there is an --initrd)")  # fmt: skip
    add("--load-at", metavar="ADDRESS", help="the kernel is a flat binary: where it goes in memory")
    add("--entry", metavar="ADDRESS", help="where a flat binary is entered (default: its first byte)")
    add("--name", default="", help="name of the guest, by which 'ring3 list', info, screenshot and stop know "
        "it (default: the kernel file's, with a number if that is taken)")  # fmt: skip
    add("--unported", action="store_true", help="emulate the sensitive instructions left in the kernel (slow)")
    add("--port", action="store_true", help="port the linked kernel in memory, as 'ring3 port KERNEL' does in a file")
    add("--guesses", action="store_true", help="with --port: port what looks like code, too, where nothing proves it")
    add("--keyboard", action="store_true", help="type to the PC keyboard instead of the serial port")
    add("--display", action="store_true",
        help="show the guest's VGA screen on the terminal, with its keyboard and mouse; Ctrl-A s shows the serial line")
    add("--serial", action="append", default=[], metavar="N=END", help="give the machine serial port N (2 to 4; 1 is "
        "this terminal), connected to END: file:PATH (output), pty (a pseudo terminal, whose name is told) or null")
    add("--lost-ticks", choices=[policy.name.lower() for policy in LostTicks], default="discard", help="timer "
        "interrupts that came too late: discard forgets them, slew hands them in later, faster (default discard)")
    add("--slide", action="store_true", help="run as on hosts where address 0 cannot be mapped")
    add("--cpu", default="auto", metavar="N|auto|any", help="run all of the guest on host CPU N; auto: on the one "
        "where ring3 was started, since a hand-over between CPUs costs several times one within a CPU; any: on all")
    add("--cpu-model", action=_CpuModel, default=cpu_model.DEFAULT, metavar="NAME",
        help=f"what CPUID tells the guest (default {cpu_model.DEFAULT}); 'list' lists the models")
    add("--exact-dirty", action="store_true", help="set accessed and dirty bits in page tables with each first access "
        "and write, as processors do, not earlier (slower)")
    add("--timeout", type=float, metavar="SECONDS", help="end the guest after this time")
    add("--no-reboot", action="store_true", help="end where the guest restarts its machine")
    add("--no-report", action="store_true", help="no report when the guest dies")
    add("--stats", action="store_true", help="show the counters at the end")
    add("--gdb", metavar="[HOST:]PORT", help="wait for gdb on this port (of 127.0.0.1) before the first instruction")
    add("--gdb-go", action="store_true", help="do not wait for it: gdb may come at any time")
    add("--break-on", action="append", default=[], metavar="EVENT,...", help="stand still in gdb at hypercall:NAME, "
        "exception:VECTOR, interrupt:VECTOR or port:NUMBER")  # fmt: skip
    add("--coverage", type=Path, metavar="FILE", help="count what each place of the kernel asks for, and add it to "
        "FILE ('ring3 coverage' shows it)")  # fmt: skip
    add("--trace", type=Path, metavar="FILE", help="record what the guest asks for ('ring3 trace' shows it)")
    add_recording_options(parser, "--trace-")
    return parser


def configuration(options: argparse.Namespace) -> DomainConfig:
    """The domain that the options describe. Raises RingError for values that make no sense."""
    if options.timeout is not None and not 0 < options.timeout <= _LONGEST:
        raise RingError(f"--timeout {options.timeout:g} is no time; give seconds above 0, up to {_LONGEST:.0e}")
    if (options.gdb_go or options.break_on) and not options.gdb:
        raise RingError(f"--{'gdb-go' if options.gdb_go else 'break-on'} needs --gdb PORT")
    if options.guesses and not options.port:
        raise RingError("--guesses says how --port is to port; give both")
    if options.port and options.unported:
        raise RingError("--port and --unported exclude each other")
    return DomainConfig(
        kernel=options.kernel,
        memory=parse_size(options.memory),
        disks=tuple(_disk(text) for text in options.disk) + tuple(_cdrom(text) for text in options.cdrom),
        append=options.append,
        modules=tuple(_module(text) for text in options.module),
        initrd=options.initrd,
        protocol=Protocol(options.protocol) if options.protocol else None,
        load_at=_address("--load-at", options.load_at),
        entry=_address("--entry", options.entry),
        nets=tuple(NetConfig.parse(text) for text in options.net),
        name=options.name,
        slide=options.slide,
        cpu=_cpu(options.cpu),
        cpu_model=cpu_model.find(options.cpu_model).name,
        exact_dirty=options.exact_dirty,
        keyboard=options.keyboard,
        serials=tuple(parse_serial(text) for text in options.serial),
        lost_ticks=LostTicks[options.lost_ticks.upper()],
        trace=recording_config(options, options.trace, "--trace-"),
        gdb=GdbConfig.parse(options.gdb, options.gdb_go, Events.parse(options.break_on)) if options.gdb else None,
        traps=traps(options.kernel) if options.unported else (),
        port=_port(options.kernel, options.guesses) if options.port else None,
    )


def _port(kernel: Path, guesses: bool) -> BinaryPort:
    """The kernel, ported in memory. Tells where it may run wrong."""
    port, refused = binary_port(kernel, guesses)
    if refused:
        _tell(f"{refused} instructions of {kernel} were not ported, since nothing proves that they are code; "
              f"'ring3 port {kernel} --dry-run' names them")
    return port


def _covered(config: DomainConfig, options: argparse.Namespace) -> tuple[DomainConfig, Collector | None]:
    """`config` with what --coverage asks for, and who writes it down."""
    if not options.coverage:
        return config, None
    found = CountedSites(options.kernel, options.unported, config.port)
    collector = Collector(options.coverage, options.kernel, found.sites, found.describe)
    return replace(config, counted=tuple(found.sequences)), collector


def _cpu(text: str) -> int | None:
    """The host CPU that `text` asks for; None: all that are allowed."""
    allowed = os.sched_getaffinity(0)
    if text == "any":
        return None
    if text == "auto":
        here = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[_STAT_PROCESSOR])
        return here if here in allowed else min(allowed)
    if text.isdigit() and int(text) in allowed:
        return int(text)
    raise RingError(f"--cpu {text} is not available; choose auto, any or one of {', '.join(map(str, sorted(allowed)))}")


def _disk(text: str) -> DiskConfig:
    path, *flags = text.split(",")
    index = _index(flags)
    for flag in flags:
        if flag not in ("ro", "cdrom"):
            raise RingError(f"--disk {text}: '{flag}' is no disk option; use ro, cdrom or index=0 to index=3")
    return DiskConfig(Path(path), "ro" in flags, index, "cdrom" in flags)


def _cdrom(text: str) -> DiskConfig:
    path, *flags = text.split(",")
    index = _index(flags)
    if flags:
        raise RingError(f"--cdrom {text}: '{flags[0]}' is no option of a CD; use index=0 to index=3")
    return DiskConfig(Path(path), read_only=True, index=index, cdrom=True)


def _index(flags: list[str]) -> int | None:
    """The place that `flags` ask for; that is taken out of them."""
    index = None
    for flag in [flag for flag in flags if flag.startswith("index=") and flag[6:].isdecimal()]:
        flags.remove(flag)
        index = int(flag[6:])
    return index


def _module(text: str) -> ModuleFile:
    path, given, string = text.partition("=")
    return ModuleFile(Path(path), string if given else path)


def _address(option: str, text: str | None) -> int | None:
    """A physical address as people write it: decimal, or hexadecimal with 0x."""
    if text is None:
        return None
    try:
        address = int(text, 0)
    except ValueError:
        address = -1
    if not 0 <= address <= _LAST_ADDRESS:
        raise RingError(f"{option} {text} is no address; write for example 0x100000")
    return address


def _run(
    config: DomainConfig, options: argparse.Namespace, deadline: float | None, control: ControlServer,
    collector: Collector | None,
) -> tuple[Outcome, Recording | None]:
    """Run the guest once; how it ended, and what is to be gone on with where it starts again."""
    console = _console(options.display)
    with Domain(config) as domain:
        domain.build()
        _tell_all(domain)
        with control.serving(domain):
            try:
                result = _to_the_end(domain, deadline, console)
            finally:
                if collector:
                    collector.add(domain.shared, domain.boot.image.distance)
        if not _starts_again(result, options):
            control.no_more_stops()
        _tell_all(domain)
        if result.died and not options.no_report:
            print(crash_report(domain, result), file=sys.stderr)
        elif result.died or result.ending is Ending.TIMEOUT:
            _tell(f"{result.ending.title}: {result.cause}")
        if options.stats:
            print(statistics(domain), file=sys.stderr)
        return result, domain.take_recording() if _starts_again(result, options) else None


def _console(display: bool) -> TerminalConsole:
    if not display:
        return TerminalConsole()
    from hypervisor.display.console import DisplayConsole  # and all that draws

    return DisplayConsole()


def _to_the_end(domain: Domain, deadline: float | None, console: TerminalConsole) -> Outcome:
    """Run a built domain until the guest, the user or the time (monotonic seconds) ends it."""

    def alarm(_number: int, _frame: Any) -> None:
        interrupts.post(_TimeIsUp())

    before = signal.signal(signal.SIGALRM, alarm)
    try:
        if deadline is not None:
            signal.setitimer(signal.ITIMER_REAL, max(deadline - time.monotonic(), _SHORTEST))
        return domain.run(console)
    except UserQuit:
        return outcome(Ending.QUIT, "ended by the user")
    except _TimeIsUp:
        return outcome(Ending.TIMEOUT, "the time given is over")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _tell_all(domain: Domain) -> None:
    """Tell the domain's notices, each once."""
    for notice in domain.notices:
        _tell(notice)
    domain.notices.clear()


def _tell(message: str) -> None:
    print(f"ring3: {message}", file=sys.stderr)
