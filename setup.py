"""The one step that pyproject.toml cannot express: compile the monitor while the package is built."""

from __future__ import annotations

import sys
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))  # build front ends do not put the project there

from hypervisor.errors import RingError
from hypervisor.monitor.build import MONITOR, build


class BuildWithMonitor(build_py):
    """Python files plus the monitor: in the source tree for an editable install, else beside the copies."""

    def run(self) -> None:
        super().run()
        target = MONITOR if self.editable_mode else Path(self.build_lib) / "hypervisor" / "monitor" / MONITOR.name
        try:
            build(target)
        except RingError as error:
            sys.exit(f"\nring3: {error}\n")


class PlatformDistribution(Distribution):
    """Holds machine code, if none that setuptools compiled."""

    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    """Any Python 3, but only the platform that the monitor was compiled for."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(distclass=PlatformDistribution, cmdclass={"build_py": BuildWithMonitor, "bdist_wheel": PlatformWheel})
