"""Command-line parsing whose refusals look like all others of ring3: one line, with the remedy."""

from __future__ import annotations

import argparse
from typing import NoReturn

from hypervisor.errors import RingError


class Parser(argparse.ArgumentParser):
    """`argparse.ArgumentParser` that raises RingError for wrong arguments instead of leaving."""

    def error(self, message: str) -> NoReturn:
        raise RingError(f"{message}; '{self.prog} --help' tells what is possible")
