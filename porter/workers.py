"""Work on many files by all processors, with results in the order of the files whatever runs first."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from types import TracebackType
from typing import TypeVar

from porter import interrupts
from porter.errors import PortError

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

_PIECE = 1 << 18  # bytes of source in one piece of work: a fraction of a second
_PIECE_FILES = 64
_WORTH_IT = 1 << 19  # bytes under which starting processes costs more than it saves
_POLL = 0.1  # seconds between two looks whether a signal came
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))


def _begin_worker() -> None:
    interrupts.ignore_in_worker()
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def _do(function: Callable[[_Item], _Result], piece: Sequence[_Item]) -> list[_Result]:
    return [function(item) for item in piece]


def _pieces(items: Sequence[_Item], sizes: Sequence[int]) -> Iterator[list[_Item]]:
    piece: list[_Item] = []
    total = 0
    for item, size in zip(items, sizes, strict=True):
        piece.append(item)
        total += size
        if total >= _PIECE or len(piece) == _PIECE_FILES:
            yield piece
            piece, total = [], 0
    if piece:
        yield piece


class Workers:
    """Processes that are copies of this one as it is when the first work of some size comes up."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self._pool:
            self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[_Item], _Result], items: Sequence[_Item],
            sizes: Sequence[int]) -> Iterator[_Result]:
        """`function` of each item, in order. `sizes` are in bytes.

        Raises what the first item that fails raises, PortError where a worker was killed, and Interrupted.
        """
        if self._jobs == 1 or (self._pool is None and sum(sizes) < _WORTH_IT):
            for item in items:
                interrupts.checkpoint()
                yield function(item)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(self._jobs, multiprocessing.get_context("fork"), _begin_worker)
        try:
            futures = [self._pool.submit(_do, function, piece) for piece in _pieces(items, sizes)]
            for future in futures:
                yield from self._waited(future)
        except BrokenProcessPool:
            interrupts.checkpoint()
            raise PortError("a worker process was killed, perhaps for want of memory: "
                            "use fewer with --jobs 1") from None

    @staticmethod
    def _waited(future: Future[list[_Result]]) -> list[_Result]:
        while True:
            interrupts.checkpoint()
            try:
                return future.result(_POLL)
            except TimeoutError:
                continue
