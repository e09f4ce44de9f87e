"""``ring3 port --user``: programs that run in ring 3 of a guest, ported as binaries."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile

from porter.binary.image import load
from porter.elf.port import port
from porter.elf.write import elf_file
from porter.errors import PortError
from tests.hypervisor.cli.commands import ring3
from tests.hypervisor.engine import guests
from tests.hypervisor.engine.pieces import PAGING
from tests.porter.compiled import kernel

pytestmark = pytest.mark.usefixtures("monitor")

_SCRIPT = "ENTRY(start) PHDRS { code PT_LOAD FLAGS(5); data PT_LOAD FLAGS(6); } SECTIONS { . = 0x300000; " \
          ".text : { *(.text) } :code . = ALIGN(0x1000); .data : { *(.data) } :data .bss : { *(.bss) } :data end = .; }"
_ONE_SEGMENT = "ENTRY(start) PHDRS { all PT_LOAD FLAGS(7); } SECTIONS { . = 0x300000; " \
               ".text : { *(.text) } :all .data : { *(.data) } :all .bss : { *(.bss) } :all end = .; }"
_PROGRAM = """
	.globl start
	.type start, @function
start:	movl $7,%eax
	int $0x50
	movl %eax,answer
	movl %ds,%eax
	movl %eax,selector
	pushfl
	popl %eax
	movl %eax,flags
	int $0x90
	int $0x40
1:	jmp 1b
	.data
answer:	.long 0
selector: .long 0
flags:	.long 0
	.bss
	.fill 8000
"""
_KERNEL = """
test:	call paging
	gate 0x50, double, 0xee00
	gate 0x90, double, 0xee00
	movl $program,%esi
	movl $0x300000,%edi
	movl $program_end-program,%ecx
	rep movsb
	movl %esp,trap_esp
	movl $1f,trap_resume
	user $0x300000
1:	movl $0,trap_resume
	say vector, trap_vector
	say answer, {answer:#x}
	say selector, {selector:#x}
	say calls, calls
	movl {flags:#x},%eax
	andl $0x200,%eax
	say interrupts, %eax
	finish
double:	addl %eax,%eax
	incl calls
	r3_iret
	.data
calls:	.long 0
program: .incbin "{program}"
program_end:
	.text
"""


def in_memory(path: Path) -> bytes:
    """What a loader makes of a program, from its first address on."""
    with path.open("rb") as file:
        parts = [(part["p_vaddr"], part.data(), part["p_memsz"]) for part in ELFFile(file).iter_segments("PT_LOAD")]
    first, last = min(at for at, _, _ in parts), max(at + size for at, _, size in parts)
    memory = bytearray(last - first)
    for at, data, _ in parts:
        memory[at - first : at - first + len(data)] = data
    return bytes(memory)


def sections(path: Path) -> dict[str, tuple[int, int, bytes]]:
    """Address, size and content of each section."""
    with path.open("rb") as file:
        return {one.name: (one["sh_addr"], one["sh_size"], one.data()) for one in ELFFile(file).iter_sections()}


@pytest.mark.parametrize("script", [_SCRIPT, _ONE_SEGMENT], ids=["behind-the-code", "behind-the-data"])
@pytest.mark.parametrize("stripped", [False, True])
def test_a_program_runs_as_before(tmp_path: Path, script: str, stripped: bool) -> None:
    made, ported = kernel(tmp_path, _PROGRAM, "-g", script=script), tmp_path / "ported"
    with made.open("rb") as file:
        at = {one.name: one["st_value"] for one in ELFFile(file).get_section_by_name(".symtab").iter_symbols()}
    if stripped:
        subprocess.run(["strip", made], check=True)
    run = ring3("port", "--user", made, "-o", ported)
    assert run.returncode == 0, run.stdout + run.stderr
    # Addresses, symbols and debug information are as they were.
    before, after = sections(made), sections(ported)
    assert after.keys() - before.keys() == {".ring3"}
    assert all(before[name][:2] == after[name][:2] for name in before if name != ".shstrtab")
    assert [name for name in before if before[name] != after[name]] == [".text", ".shstrtab"]
    (tmp_path / "program").write_bytes(in_memory(ported))
    names = {name: at[name] for name in ("answer", "selector", "flags")}
    source = _KERNEL.format(program=tmp_path / "program", **names)
    guest = guests.assemble(PAGING + source, tmp_path / "guest", ported=True)
    said = guests.run(guest).items
    assert said == {"vector": 0x40, "answer": 14, "selector": 0x23, "calls": 2, "interrupts": 0x200}


def test_where_trampolines_go(tmp_path: Path) -> None:
    """Into the zeros behind the code, where there are enough of them; else the last segment gets longer."""
    behind_code = kernel(tmp_path, _PROGRAM, script=_SCRIPT)
    size = len(elf_file(port(load(behind_code), lines=False, user=True)))
    assert size < behind_code.stat().st_size + 1500  # the tables of sections and of their names
    full = kernel(tmp_path, _PROGRAM.replace(".data", ".fill 4090 - (. - start), 1, 0x90\n\t.data", 1), script=_SCRIPT)
    image = load(full)
    content = elf_file(port(image, lines=False, user=True))
    assert len(content) > full.stat().st_size + 8000  # what was not initialised is written out
    target = tmp_path / "ported"
    target.write_bytes(content)
    with target.open("rb") as file:
        _, data = ELFFile(file).iter_segments("PT_LOAD")
    assert data["p_flags"] & 1 and data["p_filesz"] == data["p_memsz"]
    assert data["p_offset"] % 0x1000 == data["p_vaddr"] % 0x1000


def test_who_names_its_end_puts_its_heap_there(tmp_path: Path) -> None:
    source = _PROGRAM.replace("answer:\t.long 0", "answer:\t.long 0\nheap: .long end")
    made, target = kernel(tmp_path, source, script=_ONE_SEGMENT), tmp_path / "ported"
    run = ring3("port", "--user", made, "-o", target)
    assert run.returncode == 2 and b"no room for trampolines" in run.stderr and not target.exists()


def test_a_program_without_system_calls_needs_no_room(tmp_path: Path) -> None:
    source = "\t.globl start\nstart:\tmovl heap,%eax\n1:\tjmp 1b\n\t.data\nheap:\t.long end\n"
    made, target = kernel(tmp_path, source, script=_ONE_SEGMENT), tmp_path / "ported"
    assert ring3("port", "--user", made, "-o", target).returncode == 0
    assert target.read_bytes() == made.read_bytes()


def test_what_programs_may_not_do_is_left_to_their_kernel(tmp_path: Path) -> None:
    made = kernel(tmp_path, _PROGRAM.replace("int $0x90", "cli\n\tinb $0x60,%al\n\tint $0x90"), script=_SCRIPT)
    decisions = {one.site.text: one for one in port(load(made), lines=False, user=True).decisions}
    for text in ("cli", "in al, 0x60"):
        assert (decisions[text].treatment, decisions[text].choice.tactic) == ("left", "trap")
        assert "kernel decides" in decisions[text].choice.why
    assert decisions["int 0x50"].treatment == "ported"


def test_what_would_run_wrong_and_has_no_room_is_refused(tmp_path: Path) -> None:
    """The monitor does not know what stood where a program has HLT."""
    source = _PROGRAM.replace("pushfl", "jmp 3f\n2: pushfl\n3: loop 2b\n4: loop 3b\n\tjmp 5f\n\tjmp 4b\n5: pushfl")
    decisions = port(load(kernel(tmp_path, source, script=_SCRIPT)), lines=False, user=True).decisions
    treatments = [one.treatment for one in decisions if one.site.text == "pushfd"]
    assert treatments == ["refused", "ported"]


def test_a_program_that_is_ported_as_a_kernel_is_told_of(tmp_path: Path) -> None:
    made = kernel(tmp_path, _PROGRAM, script=_SCRIPT)
    assert b"port it with --user" in ring3("port", made, "--dry-run").stderr
    assert b"--user" not in ring3("port", "--user", made, "--dry-run").stderr
    lidt = kernel(tmp_path, _PROGRAM.replace("int $0x90", "lidt answer"), script=_SCRIPT)
    assert b"--user" not in ring3("port", lidt, "--dry-run").stderr


def test_bad_input(tmp_path: Path) -> None:
    made, target = kernel(tmp_path, _PROGRAM, script=_SCRIPT), tmp_path / "ported"
    assert ring3("port", "--user", made, "-o", target).returncode == 0
    with pytest.raises(PortError, match="already ported"):
        port(load(target), user=True)
    assert ring3("port", "--user", made, "-o", target).returncode == 0  # over a former port
    run = ring3("port", "--user", tmp_path, "--dry-run")
    assert run.returncode == 2 and b"--user is for linked files" in run.stderr
