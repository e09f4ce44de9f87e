"""``machine(body)`` runs a guest in each of the four ways that it must behave the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hypervisor.engine import emulators, guests

Machine = Callable[[str], dict[str, int]]


@pytest.fixture(scope="session")
def assembled(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    """``assembled(body, ported)``: the kernel; each is made once for all tests."""
    made: dict[tuple[str, bool], Path] = {}
    folder = tmp_path_factory.mktemp("guests")

    def get(body: str, ported: bool) -> Path:
        key = body, ported
        if key not in made:
            made[key] = guests.assemble(body, folder / f"guest{len(made)}", ported)
        return made[key]

    return get


WAYS = ("ported", "ported-slide", "unported", "unported-slide")


def _runner(way: str, assembled: Callable[[str, bool], Path]) -> Machine:
    form, _, slide = way.partition("-")

    def run(body: str) -> dict[str, int]:
        kernel = assembled(body, form == "ported")
        traps = () if form == "ported" else guests.silent_instructions(kernel)
        result = guests.run(kernel, slide=bool(slide), traps=traps)
        assert result.outcome.cause == "debug exit with value 0x0", (result.outcome, result.text)
        return result.items

    return run


@pytest.fixture(params=WAYS)
def machine(
    request: pytest.FixtureRequest, assembled: Callable[[str, bool], Path], monitor: Path
) -> Machine:
    """Runs a guest until it finishes; gives what it said."""
    return _runner(request.param, assembled)


def _emulator(name: str, installed: bool) -> object:
    return pytest.param(name, marks=pytest.mark.skipif(not installed, reason=f"no {name}"))


@pytest.fixture(params=[*WAYS, _emulator("bochs", emulators.BOCHS)])
def bare(
    request: pytest.FixtureRequest, assembled: Callable[[str, bool], Path], monitor: Path, tmp_path: Path
) -> Machine:
    """As `machine`, and unported in Bochs, to which all that the test says applies as well."""
    if request.param == "bochs":
        return lambda body: emulators.run_in_bochs(assembled(body, False), tmp_path)
    return _runner(request.param, assembled)


@pytest.fixture(params=[*WAYS, _emulator("bochs", emulators.BOCHS), _emulator("qemu", bool(emulators.QEMU))])
def pc(
    request: pytest.FixtureRequest, assembled: Callable[[str, bool], Path], monitor: Path, tmp_path: Path
) -> Machine:
    """The same, and in QEMU."""
    if request.param == "qemu":
        return lambda body: emulators.run_in_qemu(assembled(body, False))
    if request.param == "bochs":
        return lambda body: emulators.run_in_bochs(assembled(body, False), tmp_path)
    return _runner(request.param, assembled)
