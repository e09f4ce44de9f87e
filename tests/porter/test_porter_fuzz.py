"""Properties that hold for any text."""

from __future__ import annotations

import contextlib

from hypothesis import example, given, settings
from hypothesis import strategies as st

from porter.asm_port import port_assembly
from porter.c_port import port_c
from porter.errors import PortError
from porter.source_port import port_source
from tests.porter.spellings import ORDINARY, PORTED

STATEMENTS = [line.split("->")[0].strip() for line in PORTED.strip().splitlines()] + ORDINARY.strip().splitlines()
SEPARATORS = ["\n", "; ", " # note\n", " /* note\n */ ", "\n1: ", "\n\t", "\r\n"]
texts = st.lists(st.tuples(st.sampled_from(STATEMENTS), st.sampled_from(SEPARATORS)), max_size=12).map(
    lambda pairs: "".join(f"{statement}{separator}" for statement, separator in pairs))
noise = st.text(alphabet="cli hlt%()\"'\\/*#;:$,@mov\n\t\x02\xffraxs0{}|", max_size=80)


@settings(max_examples=150, deadline=None)
@given(texts)
def test_porting_is_idempotent_and_keeps_lines(text: str) -> None:
    with contextlib.suppress(PortError):
        once = port_assembly(text, "x.s")
        assert once.text.count("\n") == text.count("\n")
        again = port_assembly(once.text, "x.s")
        assert again.text == once.text
        assert all(site.treatment != "ported" for site in again.sites)


@settings(max_examples=300, deadline=None)
@given(noise)
def test_no_text_makes_it_fail_otherwise_than_said(text: str) -> None:
    for port, name in ((port_assembly, "x.s"), (port_source, "x.S"), (port_c, "x.c")):
        with contextlib.suppress(PortError):
            ported = port(text, name)
            assert ported.sites or ported.text == text
    with contextlib.suppress(PortError):
        port_c(f'asm("{text}" ::: "memory");', "x.c")


@settings(max_examples=100, deadline=None)
@given(st.lists(st.sampled_from([s for s in STATEMENTS if '"' not in s]), max_size=6))
@example(["mov % cr0,% eax"])
def test_templates_and_assembly_agree(statements: list[str]) -> None:
    """The same statements in basic asm and in an assembly file become the same."""
    text = "\n".join(statements) + "\n"
    with contextlib.suppress(PortError):
        literal = text.replace("\n", "\\n")
        assert port_c(f'asm("{literal}");', "x.c").text == 'asm("{}");'.format(
            port_assembly(text, "x.s").text.replace("\n", "\\n"))
