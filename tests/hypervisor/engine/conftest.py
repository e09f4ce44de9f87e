"""``machine(body)`` runs a guest in each of the four ways that it must behave the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.hypervisor.engine import guests

Machine = Callable[..., dict[str, int]]


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


@pytest.fixture(params=["ported", "ported-slide", "unported", "unported-slide"])
def machine(
    request: pytest.FixtureRequest, assembled: Callable[[str, bool], Path], monitor: Path
) -> Machine:
    """``machine(body, **config)`` runs a guest until it finishes; gives what it said. `config`: of DomainConfig."""
    form, _, slide = request.param.partition("-")

    def run(body: str, **config: Any) -> dict[str, int]:
        kernel = assembled(body, form == "ported")
        traps = () if form == "ported" else guests.silent_instructions(kernel)
        result = guests.run(kernel, slide=bool(slide), traps=traps, **config)
        assert result.outcome.cause == "debug exit with value 0x0", (result.outcome, result.text)
        return result.items

    return run
