"""Whatever the file holds, surveying it gives a result or PortError."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from porter.binary import survey
from porter.errors import PortError
from tests.porter import compiled

SOURCE = """
int table[4] = {1, 2, 3, 4};
static int helper(int a) { __asm__ volatile("cli; hlt"); return table[a & 3]; }
int start(int a)
{
    switch (a) { case 0: return 5; case 1: return helper(9); case 2: return a * 3; case 3: return 7; case 4: return 1; }
    return helper(a) + helper(a + 1);
}
"""

relaxed = settings(
    max_examples=250,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module", params=["linked", "object"])
def original(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("fuzz")
    make = compiled.kernel if request.param == "linked" else compiled.compile_object
    return make(folder, SOURCE, "-g", "-O1", name="part.c").read_bytes()


def _survey(folder: Path, data: bytes) -> None:
    path = folder / "file"
    path.write_bytes(data)
    with contextlib.suppress(PortError):
        survey(path)


@relaxed
@given(data=st.binary(max_size=400))
def test_random_bytes(tmp_path: Path, data: bytes) -> None:
    _survey(tmp_path, data)
    _survey(tmp_path, b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x02\x00\x03\x00" + data)


@relaxed
@given(data=st.data())
def test_truncated(tmp_path: Path, original: bytes, data: st.DataObject) -> None:
    _survey(tmp_path, original[: data.draw(st.integers(0, len(original)))])


@relaxed
@given(data=st.data())
def test_changed_bytes(tmp_path: Path, original: bytes, data: st.DataObject) -> None:
    image = bytearray(original)
    for _ in range(data.draw(st.integers(1, 8))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    _survey(tmp_path, bytes(image))


@relaxed
@given(data=st.data())
def test_changed_words_in_the_headers(tmp_path: Path, original: bytes, data: st.DataObject) -> None:
    image = bytearray(original)
    sections = int.from_bytes(image[32:36], "little")
    places = [*range(16, 52, 2), *range(52, 52 + 64, 4), *range(sections, len(image) - 3, 4)]
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.sampled_from(places))
        value = data.draw(st.sampled_from([0, 1, 0x7FFFFFFF, 0xFFFFFFFF, 0x100000]) | st.integers(0, 0xFFFFFFFF))
        image[at : at + 4] = value.to_bytes(4, "little")
    _survey(tmp_path, bytes(image))


@settings(relaxed, max_examples=60)
@given(code=st.binary(min_size=1, max_size=300))
def test_random_code(tmp_path: Path, code: bytes) -> None:
    section = ", ".join(map(str, code))
    path = compiled.kernel(tmp_path, f".globl start\nstart: .byte {section}\n.type more, @function\nmore: ret\n")
    survey(path)  # a good file: nothing is raised
