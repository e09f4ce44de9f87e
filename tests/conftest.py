"""What tests of every room share: the repository, the built monitor, the sample kernels."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

from hypervisor.monitor.build import build
from tests.samples import kernels

# In CI the same examples each time, so that a red run means the change; at a desk new ones each time.
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None)
hypothesis.settings.register_profile("desk", deadline=None)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "desk")

# What is started in the background, or by nohup, ignores these, and so would all that it starts.
for number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return kernels.ROOT


@pytest.fixture(scope="session")
def monitor() -> Path:
    """The monitor, compiled from the sources as they are now, where the engine looks for it."""
    return build()


@pytest.fixture(scope="session")
def sample_kernel(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """``sample_kernel("hello", ported=True)``: the built kernel. Each is built once for all tests."""
    built: dict[tuple[str, bool], Path] = {}

    def get(sample: str, ported: bool) -> Path:
        key = sample, ported
        if key not in built:
            built[key] = kernels.make(sample, tmp_path_factory.mktemp(sample), ported)
        return built[key]

    return get
