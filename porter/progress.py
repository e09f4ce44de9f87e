"""A progress bar on standard error, where that is a terminal and the work takes long enough to watch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

_Item = TypeVar("_Item")
_PATIENCE = 0.7  # seconds
_INTERVAL = 0.1  # seconds between two pictures


class Bar:
    """Shows the steps of one command, one after the other."""

    def __init__(self) -> None:
        self._began = self._shown = time.monotonic()
        self._progress: Progress | None = None

    def over(self, what: str, items: Iterable[_Item], total: int) -> Iterator[_Item]:
        """The items, counted on the bar as they pass."""
        done, task = 0, None
        try:
            for item in items:
                yield item
                done += 1
                now = time.monotonic()
                if now - self._began < _PATIENCE or now - self._shown < _INTERVAL or not sys.stderr.isatty():
                    continue
                self._shown = now
                progress = self._started()
                task = progress.add_task(what, total=total) if task is None else task
                progress.update(task, completed=done)
                progress.refresh()
        finally:
            if self._progress and task is not None:
                self._progress.remove_task(task)

    def show(self, what: str, done: int, total: int) -> None:
        """What is being done, and how much of it is done."""
        now = time.monotonic()
        late = now - self._began >= _PATIENCE and now - self._shown >= _INTERVAL
        if not late or not sys.stderr.isatty():
            return
        self._shown = now
        progress = self._started()
        for task in progress.task_ids:
            progress.remove_task(task)
        progress.add_task(what, total=total, completed=done)
        progress.refresh()

    def _started(self) -> Progress:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            # No thread of its own: workers are forked from this process.
            self._progress = Progress(
                TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(),
                console=Console(stderr=True), auto_refresh=False, transient=True)
            self._progress.start()
        return self._progress

    def close(self) -> None:
        """Take the bar off the terminal."""
        if self._progress:
            self._progress.stop()
            self._progress = None
