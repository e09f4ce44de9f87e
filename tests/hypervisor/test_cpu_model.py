"""What models of the virtual CPU tell a guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from hypercalls.structs import CONTROL
from hypervisor import cpu_model
from hypervisor.errors import RingError


@pytest.mark.parametrize("name", cpu_model.MODELS)
def test_leaves(name: str) -> None:
    model = cpu_model.find(name)
    leaves = {number: registers for number, *registers in model.leaves()}
    assert len(leaves) == len(model.leaves()) <= len(CONTROL.ctype().cpuid)
    assert all(0 <= value < 1 << 32 for registers in leaves.values() for value in registers)
    assert all(number <= leaves[number & 0xC000_0000][0] for number in leaves)
    brand = b"".join(value.to_bytes(4, "little") for i in range(3) for value in leaves.get(0x8000_0002 + i, []))
    assert brand.rstrip(b"\0").decode() == model.brand


@pytest.mark.parametrize(
    ("feature", "needed"), [("nx", "pae"), ("sse2", "sse"), ("sse", "fxsr"), ("pni", "sse2"), ("pge", "pse")]
)
def test_features_that_need_others(feature: str, needed: str) -> None:
    assert all(needed in model.features for model in cpu_model.MODELS.values() if feature in model.features)


def test_the_default_has_what_all_others_but_the_host_have() -> None:
    default = cpu_model.find(cpu_model.DEFAULT).features
    assert all(model.features <= default for model in cpu_model.MODELS.values())


def test_the_host_adds_only_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu_model, "host_features", lambda: frozenset({"popcnt", "svm", "lm"}))
    default, host = cpu_model.find(cpu_model.DEFAULT), cpu_model.find("host")
    assert host.features - default.features == {"popcnt"}


def test_unknown_models_are_refused() -> None:
    with pytest.raises(RingError, match="choose one of ring3, i486"):
        cpu_model.find("pentium6")


@pytest.mark.parametrize("name", cpu_model.MODELS)
def test_the_documented_signatures(name: str) -> None:
    """docs/cpu.md has the table of models: family, model and stepping."""
    lines = (Path(__file__).parents[2] / "docs/cpu.md").read_text().splitlines()
    row = next(line for line in lines if line.startswith(f"| `{name}`"))
    family, model, stepping = (int(word) for word in row.split("|")[2].split(","))
    assert cpu_model.MODELS[name].signature == family << 8 | model << 4 | stepping
