"""The command as a whole: subcommands, help, refusals, a speedy start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from hypervisor.cli.main import COMMANDS
from tests.hypervisor.cli.commands import refusal, ring3
from tests.hypervisor.trace.traces import BEGIN, end, numbered, record, write
from tests.samples.kernels import environment


def test_help_lists_every_command() -> None:
    run = ring3("--help")
    assert run.returncode == 0
    assert all(f"  {name} " in run.stdout.decode() for name in COMMANDS)


def test_no_command_shows_the_usage_as_an_error() -> None:
    run = ring3()
    assert run.returncode == 2 and b"usage: ring3 COMMAND" in run.stderr


def test_an_unknown_command_is_refused() -> None:
    assert "there is no command 'rnu'" in refusal("rnu")


def test_the_version_names_the_abi() -> None:
    run = ring3("--version")
    assert run.returncode == 0 and b"hypercall ABI" in run.stdout


@pytest.mark.parametrize("command", ["run", "doctor", "abi"])
def test_wrong_arguments_are_refused_in_one_line(command: str) -> None:
    assert "--help' tells" in refusal(command, "--no-such-option")


def test_abi_prints_the_contract() -> None:
    run = ring3("abi")
    assert run.returncode == 0 and b"| 23 | `iret` |" in run.stdout


def test_a_reader_that_goes_away_is_no_crash() -> None:
    command = f"{sys.executable} -m hypervisor.cli.main abi | head -n 1"
    run = subprocess.run(["sh", "-c", command], capture_output=True, env=environment(), cwd=Path(__file__).parents[3])
    assert run.stderr == b"" and run.stdout.count(b"\n") == 1


def test_doctor_finds_this_host_fit(monitor: Path) -> None:
    run = ring3("doctor")
    text = run.stdout.decode()
    assert run.returncode == 0, text
    assert "this host can run guests" in text
    for question in ("modify_ldt", "seccomp", "address 0", "vm.max_map_count", "cost of a trap", "a guest"):
        assert question in text


def test_starting_does_not_import_what_other_commands_need() -> None:
    """``ring3 cc`` runs once per file of a build."""
    code = "import sys, hypervisor.cli.main; print(*[m for m in sys.modules if m.split('.')[0] in " \
           "('elftools', 'capstone', 'lark', 'rich', 'argparse')])"  # fmt: skip
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, env=environment(), check=True)
    assert run.stdout == b"\n"


def test_only_who_chooses_records_waits_for_the_grammar(tmp_path: Path) -> None:
    """Importing lark takes as long as reading 50,000 records."""
    trace = write(tmp_path, BEGIN, numbered(record()), end(9, 1))
    code = "import sys, hypervisor.cli.main as ring3; status = ring3.main(); " \
           "print('lark' in sys.modules, status)"  # fmt: skip
    for choice, loaded in ([], b"False 0"), (["--where", "ring == 0"], b"True 0"):
        arguments = [sys.executable, "-c", code, "trace", "list", str(trace), *choice]
        run = subprocess.run(arguments, capture_output=True, env=environment(), check=True)
        assert run.stdout.splitlines()[-1] == loaded
