"""What pyproject.toml cannot express: compile the programs that are written in C while the package is built."""

from __future__ import annotations

import shutil
import sys
from distutils.command.build_scripts import build_scripts  # after setuptools, which brings it
from pathlib import Path

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

sys.path.insert(0, str(Path(__file__).resolve().parent))  # build front ends do not put the project there

from hypervisor.monitor import build as monitor
from native.build import BuildError
from porter.stage import build as stage


def compiled(recipe: object, target: Path) -> None:
    """Compile a program, or end in one line."""
    try:
        recipe.program().build(target)
    except BuildError as error:
        sys.exit(f"\nring3: {error}\n")


class BuildWithPrograms(build_py):
    """Python files plus what is compiled: in the source tree for an editable install, else beside the copies."""

    def run(self) -> None:
        super().run()
        for recipe, path in ((monitor, monitor.MONITOR), (stage, stage.STAGE)):
            inside = path.relative_to(Path(__file__).resolve().parent)
            compiled(recipe, path if self.editable_mode else Path(self.build_lib) / inside)


class BuildCommands(build_scripts):
    """The commands: one program under several names."""

    def get_source_files(self) -> list[str]:
        return []

    def run(self) -> None:
        for name in stage.COMMANDS:
            target = Path(self.build_dir) / name
            if name == stage.COMMANDS[0]:
                compiled(stage, target)
            else:
                shutil.copy2(target.with_name(stage.COMMANDS[0]), target)


class PlatformDistribution(Distribution):
    """Holds machine code, if none that setuptools compiled."""

    def has_ext_modules(self) -> bool:
        return True


class PlatformWheel(bdist_wheel):
    """Any Python 3, but only the platform that the programs were compiled for."""

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    distclass=PlatformDistribution,
    scripts=list(stage.COMMANDS),
    cmdclass={"build_py": BuildWithPrograms, "build_scripts": BuildCommands, "bdist_wheel": PlatformWheel},
)
