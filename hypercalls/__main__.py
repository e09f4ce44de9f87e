"""``python -m hypercalls``: write the generated files; ``--check`` tells which are stale (exit 1)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from hypercalls import cheader, gas, gas_intel, nasm, reference

ROOT = Path(__file__).resolve().parent.parent
GENERATED: dict[str, Callable[[], str]] = {
    "hypervisor/monitor/abi.h": cheader.header,
    "hypercalls/generated/ring3.inc": gas.macros,
    "hypercalls/generated/ring3.h": gas.c_header,
    "hypercalls/generated/ring3_intel.inc": gas_intel.macros,
    "hypercalls/generated/ring3_intel.h": gas_intel.c_header,
    "hypercalls/generated/ring3.nasm": nasm.macros,
    "docs/hypercalls.md": reference.markdown,
}


def stale() -> list[str]:
    """Paths, relative to the repository, whose content differs from what the contract gives."""
    return [path for path, text in GENERATED.items()
            if not (ROOT / path).exists() or (ROOT / path).read_text() != text()]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m hypercalls", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only report stale files")
    options = parser.parse_args(argv)
    paths = stale()
    for path in paths:
        if options.check:
            print(f"stale: {path} (run python -m hypercalls)", file=sys.stderr)
        else:
            target = ROOT / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(GENERATED[path]())
            print(f"wrote {path}")
    return 1 if options.check and paths else 0


if __name__ == "__main__":
    sys.exit(main())
