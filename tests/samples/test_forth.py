"""The Forth kernel says the same on a bare PC and, ported, in ring3, whoever types: a serial line or a keyboard."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from porter.binary import survey
from tests.porter.nasm_toolchain import needs_nasm
from tests.samples import kernels, play
from tests.samples.sessions import SESSIONS

pytestmark = needs_nasm
Build = Callable[..., Path]
FORTH = [name for name, session in SESSIONS.items() if session.sample == "forth"]


@pytest.mark.skipif(not kernels.have_pc(), reason="QEMU is not installed: the transcript stands for it")
@pytest.mark.parametrize("name", FORTH)
def test_the_transcript_is_what_a_pc_prints(name: str, sample_kernel: Build) -> None:
    assert play.on_pc(name, sample_kernel("forth", ported=False)) == kernels.transcript(name).read_text()


@pytest.mark.parametrize("options", [(), ("--keyboard",)], ids=["serial", "keyboard"])
@pytest.mark.parametrize("name", FORTH)
def test_ported_prints_the_same(name: str, options: tuple[str, ...], sample_kernel: Build, monitor: Path) -> None:
    assert play.in_ring3(name, sample_kernel("forth", ported=True), *options) == kernels.transcript(name).read_text()


def test_check_finds_all_of_it_and_nothing_once_ported(sample_kernel: Build) -> None:
    left = {site.text.split()[0] for site in survey(sample_kernel("forth", ported=False)).left}
    assert left == {"cli", "sti", "hlt", "popfd", "lgdt", "lidt", "ljmp", "mov", "iretd", "in", "out"}
    found = survey(sample_kernel("forth", ported=True))
    assert not found.left and found.ported["safe_halt"] == 1
