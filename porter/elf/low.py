"""Code that runs where it was loaded, before paging maps it to where it is linked.

A jump to the hole is relative to where it stands, so code that runs elsewhere than it is linked needs one that is not.
From the entry point on, code runs at its load address until it jumps to a link address.
"""

from __future__ import annotations

from porter.binary.flow import Flow
from porter.elf.proof import Proof


class LowCode:
    """Link addresses of code that runs at its load address: `only` there, or (`mixed`) perhaps in both places."""

    def __init__(self, flow: Flow, proof: Proof) -> None:
        self.only: set[int] = set()
        self.mixed: set[int] = set()
        entry, starts = flow.image.entry, set(flow.by_load_address)
        if entry is not None and flow.image.physical(entry) not in (entry, None):
            starts.add(entry)
        low = proof.reachable(starts)
        entered = [address for address in low if self._is_entered(flow, proof, address, low)]
        self.mixed = proof.reachable(entered) & low
        self.only = low - self.mixed

    @staticmethod
    def _is_entered(flow: Flow, proof: Proof, address: int, low: set[int]) -> bool:
        """Whether something else than this code leads to `address`, as it is linked, or has it so."""
        loaded = flow.by_load_address.get(address, ())
        return address in flow.references or any(
            source not in low and source not in loaded for source in proof.before(address))  # fmt: skip
