"""The monitor's selector tables are those of the contract."""

from __future__ import annotations

import struct

from bench.launch import CODE, DATA, engine_milliseconds
from hypercalls import layout
from hypervisor.state import StateFile


def test_monitor_and_contract_agree(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    tables: list[tuple[bytes, bytes]] = []
    close = StateFile.close

    def keep(state: StateFile) -> None:
        tables.append((bytes(state.window(layout.SELMAP_OFFSET, 0x20000)),
                       bytes(state.window(layout.REVMAP_OFFSET, 0x20000))))
        close(state)

    monkeypatch.setattr(StateFile, "close", keep)
    engine_milliseconds()
    selmap, revmap = (struct.unpack("<65536H", table) for table in tables[0])
    # What ring 0 may load inline: null selectors, and the two descriptors of that guest, with RPL 0.
    loadable = {0, 1, 2, 3, CODE, DATA}
    assert list(selmap) == [layout.host_selector(selector) if selector in loadable else layout.FAULTING_SELECTOR
                            for selector in range(65536)]
    assert list(revmap) == [layout.guest_selector(selector) for selector in range(65536)]
