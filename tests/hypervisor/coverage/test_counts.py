"""Coverage counts exactly: against a kernel that counts its own operations, by gates, inline forms and traps."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hypercalls import by_name
from hypercalls.layout import GATES_OFFSET, HOLE
from hypervisor.coverage.format import Coverage, Place, load
from tests.hypervisor.cli.commands import ring3
from tests.hypervisor.engine import guests
from tests.porter.compiled import compile_object, link
from tests.samples import kernels, play

pytestmark = pytest.mark.usefixtures("monitor")
ROOT = Path(__file__).resolve().parents[3]
# What the kernel calls an instruction, and what the hypercalls for it are called.
CALLS = {"inb": "in8", "outb": "out8", "inl": "in32", "outl": "out32", "int3": "int", "sti_hlt": "safe_halt"}
Accounts = dict[tuple[str, str], int]


def own_accounts(output: str) -> tuple[Accounts, Accounts]:
    """What the kernel says that it did by hypercalls, and by itself."""
    found = []
    for kind in ("count", "inline"):
        lines = re.findall(rf"^{kind}: (\w+) ([a-z]\w*) (\d+)\r?$", output, re.MULTILINE)
        found.append({(function, CALLS.get(name, name)): int(times) for function, name, times in lines
                      if function != "vector"})  # fmt: skip
    return found[0], found[1]


def accounts(places: list[Place], form: str) -> Accounts:
    """What was counted in the functions that keep accounts, by function and operation."""
    found: defaultdict[tuple[str, str], int] = defaultdict(int)
    for place in places:
        if place.form == form and place.count:
            found[re.split(r"[.+]", place.symbol)[0], place.operation] += place.count
    return found


def agrees(counted: Accounts, own: Accounts) -> bool:
    """Whether all that the kernel has accounts of was counted as often. A function may prepare that by more, of which
    it has none."""
    return own != {} and all(counted.get(key) == times for key, times in own.items())


@pytest.fixture(scope="module")
def counted(sample_kernel: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    """Coverage of one run, and what the kernel printed."""
    path = tmp_path_factory.mktemp("coverage") / "coverage.json"
    run = ring3("run", sample_kernel("count", ported=True), "--coverage", path)
    assert run.returncode == 0, run.stderr
    yield path, run.stdout.decode()


def test_gates_and_inline_forms(counted: tuple[Path, str]) -> None:
    coverage, (gates, inline) = load(counted[0]), own_accounts(counted[1])
    assert len(gates) == 23 and len(inline) == 11
    assert agrees(accounts(coverage.sites, "gate"), gates)
    done = accounts(coverage.sites, "inline")
    assert agrees(done, inline)
    assert {key for key in done if key[0] in ("flags", "reads", "segments")} == set(inline)


def test_exits_are_counted(counted: tuple[Path, str]) -> None:
    ports = [place for place in load(counted[0]).sites if place.symbol.startswith("wide_ports")]
    assert [place.exits for place in ports] == [40, 40] and all(place.nanoseconds > 0 for place in ports)


def test_a_halt_does_not_cost_the_time_that_it_sleeps(counted: tuple[Path, str]) -> None:
    (halt,) = (place for place in load(counted[0]).sites if place.operation == "safe_halt")
    assert halt.count == 7 and halt.nanoseconds < 7 * 1e9 / 100  # the timer's period


def test_source_lines_are_those_of_the_kernel(counted: tuple[Path, str]) -> None:
    text = (ROOT / "sample_kernels/count/count.c").read_text().splitlines()
    places = [place for place in load(counted[0]).sites if place.file.endswith("count.c")]
    lines = {place.operation: text[place.line - 1] for place in places}
    assert "invlpg" in lines["invlpg"] and "pushfl" in lines["pushf"] and "outl" in lines["out32"]


def test_runs_add_up(counted: tuple[Path, str], sample_kernel: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "coverage.json"
    path.write_bytes(counted[0].read_bytes())
    assert ring3("run", sample_kernel("count", ported=True), "--coverage", path).returncode == 0
    once, twice = load(counted[0]), load(path)
    assert (once.runs, twice.runs) == (1, 2)
    flags = [place.key for place in once.sites if place.symbol.startswith(("flags", "reads", "tables"))]

    def counts(coverage: Coverage) -> dict[object, int]:
        return {place.key: place.count for place in coverage.sites}

    assert flags and all(counts(twice)[key] == 2 * counts(once)[key] for key in flags)


def test_an_unported_kernel(sample_kernel: Callable[..., Path], tmp_path: Path) -> None:
    path = tmp_path / "coverage.json"
    run = ring3("run", sample_kernel("count", ported=False), "--unported", "--coverage", path)
    assert run.returncode == 0, run.stderr
    coverage, (gates, inline) = load(path), own_accounts(run.stdout.decode())
    assert {place.form for place in coverage.sites} == {"trap"}
    by_function: defaultdict[str, int] = defaultdict(int)
    for place in coverage.sites:
        by_function[re.split(r"[.+]", place.symbol)[0]] += place.count
    for function in ("ports", "wide_ports", "tables", "identity", "flags", "reads", "segments"):
        assert by_function[function] == sum(times for key, times in (gates | inline).items() if key[0] == function)
    assert {place.form for place in coverage.elsewhere if place.ring == 0} <= {"trap"}


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_binary_port(sample_kernel: Callable[..., Path], tmp_path: Path, in_memory: bool) -> None:
    """Trampolines count as what they stand for, where that is, and what was left to trap does, too."""
    path, kernel = tmp_path / "coverage.json", sample_kernel("count", ported=False)
    options: tuple[str | Path, ...] = ("--port",)
    if not in_memory:
        assert ring3("port", kernel, "-o", tmp_path / "ported").returncode == 1
        kernel, options = tmp_path / "ported", ()
    run = ring3("run", kernel, *options, "--coverage", path)
    assert run.returncode == 0, run.stderr
    coverage, (gates, inline) = load(path), own_accounts(run.stdout.decode())
    assert len(gates) == 23 and len(inline) == 11
    assert gates.pop(("breakpoints", "int")) == 11  # INT3 needs no port: it raises its exception by itself
    assert agrees(accounts(coverage.sites, "gate"), gates)
    assert agrees(accounts(coverage.sites, "inline"), inline)
    assert {place.form for place in coverage.elsewhere if place.ring == 0} <= {"trap"}


def test_what_trapped_feeds_the_porter(sample_kernel: Callable[..., Path], tmp_path: Path) -> None:
    path, report = tmp_path / "coverage.json", tmp_path / "report.json"
    assert ring3("run", sample_kernel("count", ported=False), "--unported", "--coverage", path).returncode == 0
    run = ring3("port", ROOT / "sample_kernels", "--dry-run", "--profile", path, "--report", report)
    assert run.returncode in (0, 1), run.stderr
    hot = json.loads(report.read_text())["port"]["hot"]
    times = {place["what"]: place["times"] for place in hot if place["symbol"].startswith("identity")}
    assert times["cpuid"] == times["rdmsr"] == 12


def test_what_another_build_did_does_not(sample_kernel: Callable[..., Path], tmp_path: Path) -> None:
    path, made = tmp_path / "coverage.json", tmp_path / "count.elf"
    made.write_bytes(sample_kernel("count", ported=True).read_bytes())
    assert ring3("run", made, "--coverage", path).returncode == 0
    for change, message in ((lambda: made.write_bytes(made.read_bytes() + b"\0"), "has changed since"),
                            (made.unlink, "cannot be read")):
        change()
        run = ring3("port", ROOT / "sample_kernels", "--dry-run", "--profile", path)
        assert run.returncode == 2 and not run.stdout
        assert message in run.stderr.decode() and str(made) in run.stderr.decode()


def test_only_a_gate_that_coverage_put_there_counts(tmp_path: Path) -> None:
    """A kernel that calls that gate by itself has asked for nothing: #UD, which here becomes a triple fault."""
    gate = HOLE + GATES_OFFSET + 4 * by_name["covered"].number
    source = f"\t.globl start\nstart: call *%cs:{gate:#x}\n"
    made, path = link(tmp_path, [compile_object(tmp_path, source)], "-n"), tmp_path / "coverage.json"
    for more in ((), ("--coverage", path)):
        run = ring3("run", made, "--no-reboot", "--timeout", "5", *more)
        assert "triple fault" in run.stderr.decode()


def test_recording_beside_it_sees_the_same_as_alone(sample_kernel: Callable[..., Path], tmp_path: Path) -> None:
    path, trace = tmp_path / "coverage.json", tmp_path / "trace"
    assert ring3("run", sample_kernel("count", ported=True), "--coverage", path, "--trace", trace).returncode == 0
    run = ring3("trace", "list", trace, "--where", "hypercall and caller:tables*", "--json")
    recorded = len(run.stdout.splitlines())
    coverage = load(path)
    assert recorded == sum(p.count for p in coverage.sites if p.symbol.startswith("tables") and p.form == "gate") == 60
    assert not any(p.count and p.operation == "covered" for p in (*coverage.sites, *coverage.elsewhere))


@pytest.mark.parametrize("options", [(), ("--slide",)], ids=["", "slide"])
def test_code_that_the_kernel_copies(
    sample_kernel: Callable[..., Path], tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Programs and a driver run from copies of what is in the kernel's file, inline forms among it."""
    path = tmp_path / "coverage.json"
    said = play.in_ring3("tasks", sample_kernel("tasks", ported=True), *options, "--coverage", str(path))
    assert said == kernels.transcript("tasks").read_text()
    coverage = load(path)
    inside = [place for place in coverage.sites if place.symbol.startswith("driver_") and place.form == "inline"]
    assert len(inside) >= 6 and all(place.count for place in inside)


def test_a_copy_that_begins_with_an_inline_form(tmp_path: Path) -> None:
    """Nothing in front of it tells which it was: the rest of it does."""
    kernel = guests.assemble("""
test:	movl $from,%esi
	movl $0x300000,%edi
	movl $until-from,%ecx
	cld
	rep movsb
	movl $0x300000,%eax
	call *%eax
	andl $0x200,%eax
	say flags, %eax
	finish
from:	r3_pushf
	popl %eax
	ret
until:
""", tmp_path / "copy", ported=True)
    plain, counted = ring3("run", kernel), ring3("run", kernel, "--coverage", tmp_path / "coverage.json")
    assert b"flags" in plain.stdout
    assert (counted.stdout, counted.returncode) == (plain.stdout, plain.returncode)
