"""The rows of the table in docs/proof.md: those of the porter's catalogue and, beside them, what is left alone.

``BESIDES`` is what the porter must handle and is no row: ways to write an instruction, and what is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from porter.catalogue_model import Treatment
from porter.catalogue_rows import ROWS


class Line(NamedTuple):
    """A row: what its sites call it, its class, and what the porter does with it."""

    key: str
    group: str
    treatment: str


# By class: what the processor does alike in ring 3, which is why no row of the catalogue has it.
LEFT_ALONE = {"halt": ("pause",), "segment loads": ("mov-to-cs",), "caches": ("clflush",), "identity": ("rdtsc",),
              "extended state": ("fxsave", "fxrstor", "fpu"), "undefined": ("ud2",)}


def _lines() -> Iterator[Line]:
    groups = list(dict.fromkeys(row.group for row in ROWS))
    at = groups.index("virtualisation")
    for group in (*groups[:at], "undefined", *groups[at:]):
        for row in ROWS:
            if row.group == group:
                yield Line(row.key, group, row.treatment.value)
        for key in LEFT_ALONE.get(group, ()):
            yield Line(key, group, "not sensitive")


LINES = tuple(_lines())
# Two rows, one instruction: which of both a spelling is of depends on the syntax.
ONE_INSTRUCTION = {"jmp-far": "ljmp", "call-far": "lcall"}
REFUSED = {row.key: row for row in ROWS if row.treatment is Treatment.REFUSE}

_ATT, _INTEL, _C = "tests/porter/test_assembly.py", "tests/porter/test_intel.py", "tests/porter/test_inline_asm.py"
_NASM = "tests/porter/test_nasm.py"
_STAGE, _CHECK = "tests/porter/test_stage.py", "tests/porter/test_check_data.py"
# What, and its tests: file and function.
BESIDES: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("operand sizes, suffixes, prefixes, upper case, implied operands", (
        ("tests/porter/test_spellings.py", "test_each_spelling"), (_INTEL, "test_each_spelling"),
        ("tests/porter/test_nasm_spellings.py", "test_each_spelling"))),
    ("behind labels, several on a line, in macros and repeats; comments and layout stay", (
        (_ATT, "test_what_surrounds_an_instruction_stays"), (_INTEL, "test_what_surrounds_an_instruction_stays"),
        (_NASM, "test_layout_and_comments_survive"))),
    ("`sti; hlt`, and a prefix that stands alone", (
        (_ATT, "test_operations_of_two_statements"), (_NASM, "test_sti_hlt_is_one_operation"))),
    ("macros of the preprocessor", ((_ATT, "test_source_to_be_preprocessed"), (_ATT, "test_header_shared_with_c"))),
    ("registers that are macro arguments", (
        (_ATT, "test_macros_argument_registers_are_resolved_by_the_assembler"),
        (_INTEL, "test_registers_of_macro_arguments_are_resolved_by_the_assembler"),
        (_NASM, "test_a_register_that_only_nasm_knows"))),
    ("mnemonics that are macro arguments: NASM decides by itself", (
        (_NASM, "test_a_mnemonic_that_only_nasm_knows"), (_NASM, "test_macros_come_to_what_is_written_out"))),
    ("`%include`, `%define`, `bits` switching", (
        (_NASM, "test_each_inclusion_is_decided_by_itself"), (_NASM, "test_single_line_macros"),
        (_NASM, "test_code_size"))),
    ("mnemonics that are macro arguments, `.irp` in GAS: reported in sources, ported in the build", (
        (_ATT, "test_mnemonics_that_are_macro_arguments_are_reported"),
        (_STAGE, "test_what_has_been_asked_once_needs_no_python"))),
    ("operands, modifiers, named operands, basic and top-level asm, `asm goto`, macros of statements, concatenation", (
        (_C, "test_templates"), (_C, "test_string_macros_are_ported_where_they_are_defined"))),
    ("`{att\\|intel}`, asm in Intel syntax", (
        ("tests/porter/test_intel_inline.py", "test_templates"),
        ("tests/porter/test_intel_inline.py", "test_alternatives_compile_to_the_same"))),
    ("code bytes written as data", ((_CHECK, "test_instructions_written_as_data_are_found"),)),
    ("16-bit code: left and reported", (
        (_ATT, "test_16_bit_code_is_left_and_reported"), ("tests/porter/test_real_mode.py", "test_left"))),
    ("stores to page tables: nothing to port", (
        ("tests/hypervisor/engine/test_paging_random.py", "test_random_page_tables"),)),
    ("device memory: emulated, hot accesses ported", (
        ("tests/hypervisor/engine/test_device_access.py", "test_device_registers"),
        ("tests/porter/test_tree_profile.py", "test_hot_accesses_become_gates"))),
)
