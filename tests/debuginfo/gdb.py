"""What the real gdb says of a state: from a core file that holds its registers and stack, nothing else."""

from __future__ import annotations

import json
import struct
import subprocess
from pathlib import Path

from debuginfo.unwind import State

_EHDR = struct.Struct("<16sHHIIIIIHHHHHH")
_PHDR = struct.Struct("<8I")
_NOTE = struct.Struct("<III8s")
_PRSTATUS = 144  # bytes of i386's elf_prstatus; its registers lie at 72 (Linux: include/uapi/linux/elfcore.h)
_REGISTERS_AT = 72
_FLAT_CODE, _FLAT_DATA = 8, 16

_SCRIPT = """
import gdb, json
found = []
for path in {paths}:
    gdb.execute("core-file " + path, to_string=True)
    frames, frame = [], gdb.newest_frame()
    while frame is not None and len(frames) < 64:
        place = frame.find_sal()
        frames.append([frame.pc(), frame.name(), place.symtab.filename if place.symtab else "", place.line,
                       frame.type() == gdb.INLINE_FRAME])
        try:
            frame = frame.older()
        except gdb.error:
            break
    found.append(frames)
print("FOUND" + json.dumps(found))
"""


def core(state: State, stack_base: int = 0) -> bytes:
    """An i386 core file of `state`."""
    status = bytearray(_PRSTATUS)
    values = (0, 0, 0, 0, 0, state.ebp, 0, _FLAT_DATA, _FLAT_DATA, 0, 0, 0, state.eip,
              _FLAT_CODE, 2, state.esp, _FLAT_DATA)  # fmt: skip
    struct.pack_into("<17I", status, _REGISTERS_AT, *values)
    note = _NOTE.pack(5, _PRSTATUS, 1, b"CORE") + bytes(status)
    headers = _EHDR.size + 2 * _PHDR.size
    ident = b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
    return (
        _EHDR.pack(ident, 4, 3, 1, 0, _EHDR.size, 0, 0, _EHDR.size, _PHDR.size, 2, 0, 0, 0)
        + _PHDR.pack(4, headers, 0, 0, len(note), 0, 0, 4)
        + _PHDR.pack(1, headers + len(note), state.esp + stack_base, 0, len(state.stack), len(state.stack), 6, 1)
        + note + state.stack
    )  # fmt: skip


class Frame(tuple[int, str, str, int, bool]):
    """Address, function, file, line, and whether it was inlined."""


def backtraces(kernel: Path, states: list[State], folder: Path) -> list[list[Frame]]:
    """gdb's own backtrace of each state."""
    paths = []
    for number, state in enumerate(states):
        path = folder / f"core{number}"
        path.write_bytes(core(state))
        paths.append(str(path))
    script = folder / "bt.py"
    script.write_text(_SCRIPT.format(paths=paths))
    run = subprocess.run(["gdb", "-batch", "-nx", "-ex", "set architecture i386", str(kernel), "-x", str(script)],
                         capture_output=True, text=True, timeout=110, check=False)  # fmt: skip
    line = next((line for line in run.stdout.splitlines() if line.startswith("FOUND")), None)
    assert line, run.stdout + run.stderr
    return [[Frame(frame) for frame in frames] for frames in json.loads(line.removeprefix("FOUND"))]
