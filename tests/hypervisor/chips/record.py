"""``python -m tests.hypervisor.chips.record``: play the scripts on an emulated PC and keep what it answered.

A line of the recording is one script, by device and seed, with a digest of its actions, so that one that was changed
since is noticed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from random import Random

from tests.hypervisor.chips import player
from tests.hypervisor.chips.player import Action, Answer
from tests.hypervisor.chips.scripts import DEVICES

FILE = Path(__file__).resolve().parent / "recorded.jsonl"
SEEDS = range(10)
_ANSWER = struct.Struct("<IQ")


def digest(script: list[Action]) -> str:
    """A short name of exactly these actions."""
    return hashlib.sha256(repr(script).encode()).hexdigest()[:16]


def read() -> Iterator[tuple[str, int, str, list[Answer]]]:
    """What was recorded: device, seed, digest of the script, answers."""
    for text in FILE.read_text().splitlines():
        device, seed, name, packed = json.loads(text)
        data = zlib.decompress(base64.b64decode(packed))
        yield device, seed, name, [Answer(*fields) for fields in _ANSWER.iter_unpack(data)]


def _line(device: str, seed: int) -> str:
    script = DEVICES[device](Random(seed))
    with tempfile.TemporaryDirectory() as scratch:
        answers = player.on_pc(script, Path(scratch))
    packed = b"".join(_ANSWER.pack(answer.value, answer.ns) for answer in answers)
    return json.dumps([device, seed, digest(script), base64.b64encode(zlib.compress(packed, 9)).decode()])


def main() -> int:
    if not player.have_pc():
        print("record: qemu-system-i386 not found (Debian: apt-get install qemu-system-x86)", file=sys.stderr)
        return 2
    FILE.write_text("".join(f"{_line(device, seed)}\n" for device in DEVICES for seed in SEEDS))
    print(f"wrote {FILE.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
