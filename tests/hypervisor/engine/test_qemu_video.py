"""VGA, keyboard and mouse answer as those of QEMU's PC do, access by access."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hypervisor.engine import qemu_video
from tests.hypervisor.engine.port_script import have_qemu

pytestmark = pytest.mark.parametrize("name", qemu_video.CASES)


@pytest.mark.skipif(not have_qemu(), reason="QEMU is not installed: the recording stands for it")
def test_the_recording_is_what_qemu_answers(name: str, tmp_path: Path) -> None:
    assert qemu_video.on_qemu(name, tmp_path) == qemu_video.recorded(name)


def test_ring3_answers_the_same(name: str, tmp_path: Path, monitor: Path) -> None:
    assert qemu_video.in_ring3(name, tmp_path) == qemu_video.recorded(name)
