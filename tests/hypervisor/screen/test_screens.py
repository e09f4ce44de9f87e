"""What a guest draws by the registers of the VGA looks as on a PC, dot by dot.

`recorded.json` holds what an emulated PC showed; ``python -m tests.hypervisor.screen.record`` makes it anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hypervisor.screen import screens


@pytest.mark.parametrize("screen", screens.SCREENS)
def test_a_screen_looks_as_on_a_pc(screen: str, tmp_path: Path, monitor: Path) -> None:
    assert screens.drawn(screen, tmp_path) == screens.recorded()[screen]


@pytest.mark.parametrize("screen", screens.SCREENS)
def test_the_recording_is_what_a_pc_shows(screen: str, tmp_path: Path) -> None:
    if not screens.have_pc():
        pytest.skip("qemu-system-i386 is not here; the other test compares with what was recorded of it")
    assert screens.summary(screens.on_pc(screens.build(screen, tmp_path))) == screens.recorded()[screen]
