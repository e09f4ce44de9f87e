"""The doctor's questions: what each says on hosts that lack something."""

from __future__ import annotations

import errno
import os
import platform
from pathlib import Path

import pytest

from hypervisor import hostcheck
from hypervisor.cli import doctor
from hypervisor.hostcheck import FAIL, LACKS, OK, SLOW, Finding, findings
from hypervisor.hostcost import branch_seconds, measure


def ask(question: str) -> Finding:
    return next(finding for finding in findings() if finding.question == question)


def sysctl(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    read = Path.read_text

    def answer(path: Path, *arguments: object) -> str:
        return value if path.name == name else read(path, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "read_text", answer)


@pytest.mark.parametrize("question", ["modify_ldt", "seccomp filters"])
def test_a_refused_system_call_is_a_failure(monkeypatch: pytest.MonkeyPatch, question: str) -> None:
    monkeypatch.setattr(hostcheck, "_syscall", lambda *_: -errno.ENOSYS)
    finding = ask(question)
    assert finding.verdict == FAIL and finding.found == os.strerror(errno.ENOSYS) and "CONFIG_" in finding.remedy


def test_the_real_answers_of_this_host_are_those_of_the_kernel() -> None:
    assert ask("modify_ldt").verdict == ask("seccomp filters").verdict == OK


def test_an_old_kernel_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "release", lambda: "4.19.0-27-amd64")
    assert ask("host kernel").verdict == FAIL


def test_another_architecture_ends_the_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    asked = list(findings())
    assert asked[-1].question == "architecture" and asked[-1].verdict == FAIL


def test_a_processor_without_xsave_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    sysctl(monkeypatch, "cpuinfo", "processor\t: 0\nflags\t\t: fpu fxsr sse2 lm\nbugs\t\t:\n")
    finding = ask("processor")
    assert finding.verdict == FAIL and "-cpu host" in finding.remedy


def test_few_mappings_are_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    sysctl(monkeypatch, "max_map_count", "1024\n")
    finding = ask("vm.max_map_count")
    assert finding.verdict == SLOW and "sysctl vm.max_map_count" in finding.remedy


def test_no_compiler_does_not_keep_guests_from_running(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], monitor: Path
) -> None:
    monkeypatch.setenv("CC", "/nowhere/cc")
    assert ask("compiler for -m32").verdict == LACKS
    assert doctor.main([]) == 0
    assert "this host can run guests" in capsys.readouterr().out


def test_a_failure_is_told_with_its_remedy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], monitor: Path
) -> None:
    monkeypatch.setattr(hostcheck, "_syscall", lambda *_: -errno.EPERM)
    assert doctor.main([]) == 1
    out = capsys.readouterr().out
    assert "fail   modify_ldt" in out and "-> the kernel needs CONFIG_MODIFY_LDT_SYSCALL" in out
    assert "this host cannot run guests" in out


def test_costs_that_cannot_be_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> tuple[float, float]:
        raise PermissionError(errno.EACCES, "no executable memory")

    monkeypatch.setattr(hostcheck, "measure", refused)
    assert ask("cost of a trap").verdict == LACKS


def test_a_trap_costs_more_than_a_system_call() -> None:
    syscall, trap = measure()
    assert 0 < syscall < trap < 1e-3


def test_a_guest_that_cannot_start_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    from hypervisor import engine
    from hypervisor.errors import RingError

    def refuse() -> Path:
        raise RingError("no monitor here; install it")

    monkeypatch.setattr(engine, "monitor_path", refuse)
    finding = ask("a guest")
    assert finding.verdict == FAIL and finding.remedy == "no monitor here; install it"


@pytest.mark.parametrize(("seconds", "verdict"), [(0.02, OK), (0.5, SLOW)])
def test_guest_code_that_is_slower_than_the_hosts(
    monkeypatch: pytest.MonkeyPatch, monitor: Path, seconds: float, verdict: str
) -> None:
    monkeypatch.setattr(hostcheck, "branch_seconds", lambda _: 0.3e-9)
    monkeypatch.setattr(hostcheck, "_run", lambda code: (0.01 + seconds * (len(code) > 16), None))
    finding = hostcheck._guest_code()
    assert finding.verdict == verdict and "setcap cap_sys_rawio+ep" in finding.remedy


def test_a_branch_takes_some_time() -> None:
    assert 1e-11 < branch_seconds(1_000_000) < 1e-7
