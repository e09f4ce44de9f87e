"""A request to a guest's control socket."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """What is asked of guest `name`, which was `started` at that time (monotonic seconds).

    `arguments` are as they came, an object if the client is ours. `fds`: descriptors that came with it; who takes one
    takes it out of the list, the others are closed.
    """

    name: str
    started: float
    arguments: object
    fds: list[int]
