"""``ring3 port``: the porter's command, with what it cannot know itself: how to read a trace."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from porter import tree
from porter.profile import Profile, Trapped


def main(arguments: Sequence[str]) -> int:
    """Port a source tree; returns the exit status."""
    return tree.main(arguments, _profile)


def _profile(path: Path) -> Profile:
    """What a trace tells the porter. Raises TraceError."""
    from hypervisor.trace import profile
    from hypervisor.trace.reader import open_trace

    trace = open_trace(path)
    return Profile(profile.kernel(trace), [Trapped(*place) for place in profile.trapped(trace)])
