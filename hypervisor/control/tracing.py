"""Recording a guest that runs: what the control socket does of `ring3 trace`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypercalls.layout import TRACE_STACK_MOST
from hypervisor.control.request import Request
from hypervisor.errors import RingError
from hypervisor.trace.recording import Recording, TraceConfig
from hypervisor.trace.selection import Selection

if TYPE_CHECKING:
    from hypervisor.domain import Domain


def start(domain: Domain, request: Request) -> dict[str, Any]:
    """Begin a recording into the descriptor that came with the request."""
    fd = _descriptor(request)
    try:
        given = request.arguments
        assert isinstance(given, dict)
        config = TraceConfig(Path(given["path"]), Selection(str(given["only"]), str(given["caller"])),
                             min(max(int(given["stack"]), 0), TRACE_STACK_MOST) & ~3, float(given["keep"]), fd=fd)
        domain.start_recording(Recording(config))
    except (AssertionError, KeyError, TypeError, ValueError):
        os.close(fd)
        raise RingError("a request to record has path, only, caller, stack and keep") from None
    except BaseException:
        os.close(fd)
        raise
    return {"name": request.name}


def stop(domain: Domain, request: Request) -> dict[str, Any]:
    """End the recording; what came of it."""
    recording, lost, problem = domain.stop_recording()
    return {
        "name": request.name,
        "path": str(recording.config.path),
        "records": recording.recorded,
        "lost": lost,
        "problem": problem,
    }


def dump(domain: Domain, request: Request) -> dict[str, Any]:
    """Write what a flight recorder remembers into the descriptor that came with the request."""
    fd = _descriptor(request)
    try:
        recording = domain.recorder.recording
        if not recording or not recording.config.keep:
            raise RingError("no flight recorder is running; begin one: ring3 trace start NAME FILE --last SECONDS")
        try:
            return {"name": request.name, "seconds": recording.dump(fd)}
        except OSError as error:
            raise RingError(f"the file takes no more ({error.strerror}); make room or choose another one") from error
    finally:
        os.close(fd)


def _descriptor(request: Request) -> int:
    if not request.fds:
        raise RingError("a request to record comes with a descriptor to write to")
    return request.fds.pop(0)
