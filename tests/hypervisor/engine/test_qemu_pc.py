"""PCI, IDE, VGA, keyboard and mouse answer as QEMU's PC does, access by access, and leave the same on the disks."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hypervisor.engine import qemu_pc
from tests.hypervisor.engine.port_script import have_qemu

pytestmark = pytest.mark.parametrize("name", qemu_pc.CASES)


@pytest.mark.skipif(not have_qemu(), reason="QEMU is not installed: the recording stands for it")
def test_the_recording_is_what_qemu_answers(name: str, tmp_path: Path) -> None:
    assert qemu_pc.on_qemu(name, tmp_path) == qemu_pc.recorded(name)


def test_ring3_answers_the_same(name: str, tmp_path: Path, monitor: Path) -> None:
    assert qemu_pc.in_ring3(name, tmp_path) == qemu_pc.recorded(name)
