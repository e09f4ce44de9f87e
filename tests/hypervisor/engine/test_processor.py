"""What the virtual CPU says of itself, and its other registers."""

from __future__ import annotations

import pytest

from hypervisor import cpu_model
from hypervisor.cpu_model import MODELS
from tests.hypervisor.engine.conftest import Machine
from tests.hypervisor.engine.said import GP, NONE, UD, fault, without_place


def test_cpuid(machine: Machine) -> None:
    """A CPU with exactly what guests may use; no SYSCALL, no long mode."""
    said = machine("""
test:	movl $0,%eax
	r3_cpuid
	say vendor, %ebx
	movl $1,%eax
	r3_cpuid
	say features, %edx
	say more, %ecx
	movl $0x80000001,%eax
	r3_cpuid
	say extended, %edx
	movl $0x40000000,%eax
	r3_cpuid
	say hypervisor, %ebx
	finish
""")
    fpu, pse, tsc, msr, pae, apic, sep, pge = (said["features"] >> bit & 1 for bit in (0, 3, 4, 5, 6, 9, 11, 13))
    assert (fpu, pse, tsc, msr, pae, apic, sep, pge) == (1, 1, 1, 1, 1, 1, 1, 1)
    assert said["vendor"].to_bytes(4, "little") == b"Genu"
    assert said["hypervisor"].to_bytes(4, "little") == b"ring"
    assert said["extended"] & (1 << 29 | 1 << 20 | 1 << 11) == 1 << 20


def test_model_specific_registers(machine: Machine) -> None:
    said = machine("""
test:	movl $0x1b,%ecx
	r3_rdmsr
	say apic_base, %eax
	movl $0x10,%ecx
	movl $0,%eax
	movl $0x1000,%edx
	r3_wrmsr
	r3_rdmsr
	say tsc_high, %edx
	movl $0xdeadbeef,%ecx
	expect unknown_read, r3_rdmsr
	movl $0xdeadbeef,%ecx
	expect unknown_write, r3_wrmsr
	finish
""")
    expected = {"apic_base": 0xFEE00900, "tsc_high": 0x1000} | fault("unknown_read", GP) | fault("unknown_write", GP)
    assert said == expected


REGISTERS = {"efer": 0xC0000080, "sysenter": 0x174, "pat": 0x277, "apic": 0x1B, "tsc": 0x10}
BITS = {"vme": 1, "tsd": 4, "de": 8, "pse": 0x10, "pae": 0x20, "mce": 0x40, "pge": 0x80, "osfxsr": 0x200,
        "osxmmexcpt": 0x400}  # fmt: skip


@pytest.mark.parametrize("model", MODELS)
def test_a_model_has_what_its_cpuid_says(machine: Machine, model: str) -> None:
    """CR4 bits, MSRs and SYSENTER come and go with the features that they belong to."""
    said = machine("test:\n" + "".join(f"""
	movl ${number:#x},%ecx
	expect {name}, r3_rdmsr
""" for name, number in REGISTERS.items()) + "".join(f"""
	movl ${bit:#x},%eax
	expect {name}, r3_write_cr4 %eax
""" for name, bit in BITS.items()) + """
	movl $1,%eax
	r3_cpuid
	say signature, %eax
	say edx, %edx
	movl $0x80000001,%eax
	r3_cpuid
	say extended, %edx
	movl $0,%eax
	r3_cpuid
	say leaves, %eax
	expect enter, r3_sysenter
	finish
""", cpu_model=model)  # fmt: skip
    edx, nx = said["edx"], said["extended"] >> 20 & 1
    has = {name: edx >> bit & 1 for name, bit in cpu_model.EDX.items()}
    assert said["signature"] == MODELS[model].signature
    assert has == {name: int(name in MODELS[model].features) for name in has}
    features = {"efer": nx, "sysenter": has["sep"], "pat": has["pat"], "apic": has["apic"], "tsc": has["tsc"],
                "tsd": has["tsc"], "de": has["de"], "pse": has["pse"], "pae": has["pae"], "pge": has["pge"],
                "osfxsr": has["fxsr"], "osxmmexcpt": has["sse"], "vme": has["de"], "mce": 0}  # fmt: skip
    undefined = UD if not has["msr"] else GP
    for name, there in features.items():
        assert said[name] == (NONE if there else undefined if name in REGISTERS else GP), name
    assert said["enter"] == (GP if has["sep"] else UD)  # IA32_SYSENTER_CS is 0


def test_control_registers(machine: Machine) -> None:
    said = machine("""
test:	r3_read_cr0 %eax
	say cr0, %eax
	orl $8,%eax
	r3_write_cr0 %eax
	r3_read_cr0 %eax
	andl $8,%eax
	say ts, %eax
	r3_clts
	r3_read_cr0 %eax
	andl $8,%eax
	say clts, %eax
	movl $0xa,%eax
	r3_lmsw %ax
	r3_smsw %ebx
	andl $0xf,%ebx
	say lmsw, %ebx
	r3_clts
	movl $0x12345678,%eax
	r3_write_cr2 %eax
	r3_read_cr2 %ebx
	say cr2, %ebx
	movl $0x80000000,%eax
	expect paging_without_protection, r3_write_cr0 %eax
	movl $0x2000,%eax
	expect vmx, r3_write_cr4 %eax
	finish
""")
    expected = {"cr0": said["cr0"], "ts": 8, "clts": 0, "lmsw": 0xB, "cr2": 0x12345678}
    expected |= fault("paging_without_protection", GP) | fault("vmx", GP)
    assert said == expected and said["cr0"] & 0x80000011 == 0x11


def test_debug_registers(machine: Machine) -> None:
    said = machine("""
test:	movl $0x12345678,%eax
	r3_write_dr0 %eax
	movl $0x11111111,%eax
	r3_write_dr3 %eax
	r3_read_dr0 %ebx
	say dr0, %ebx
	r3_read_dr3 %ebx
	say dr3, %ebx
	r3_read_dr6 %ebx
	say dr6, %ebx
	r3_read_dr7 %ebx
	say dr7, %ebx
	finish
""")
    assert said == {"dr0": 0x12345678, "dr3": 0x11111111, "dr6": 0xFFFF0FF0, "dr7": 0x400}


def test_instructions_of_other_cpus(machine: Machine) -> None:
    """What the virtual CPU does not offer is undefined, though the host's may know it."""
    said = machine("""
test:	expect syscall, syscall
	expect monitor, monitor
	expect mwait, mwait
	expect vmcall, vmcall
	expect sysret, .byte 0x0f,0x07
	finish
""")
    assert {name: said[name] for name in ("syscall", "monitor", "mwait")} == {"syscall": UD, "monitor": UD, "mwait": UD}
    assert without_place(said)["sysret"] in (UD, GP)


def test_arithmetic_on_device_memory(machine: Machine) -> None:
    """Instructions whose memory operand is a device: each does what it does on memory, flags included."""
    said = machine("""
	.set APIC,0xfee00080
test:	movl $0x10,APIC
	addl $0x20,APIC
	say add, APIC
	movl $0x0f,%eax
	orl %eax,APIC
	say or, APIC
	movl $0x30,%ecx
	andl APIC,%ecx
	say and, %ecx
	cmpl $0x3f,APIC
	sete %al
	movzbl %al,%eax
	say equal, %eax
	movl $0x55,%eax
	xchgl %eax,APIC
	say exchanged, %eax
	say now, APIC
	movzbl APIC,%eax
	say byte, %eax
	incl APIC
	say inc, APIC
	notl APIC
	say not, APIC
	movl $0x77,APIC
	pushl APIC
	popl %eax
	say pushed, %eax
	movl $APIC,%esi
	movl $buffer,%edi
	cld
	movsl
	say moved, buffer
	btl $0,APIC
	sbbl %eax,%eax
	say bit, %eax
	testl $8,APIC
	setz %al
	movzbl %al,%eax
	say test, %eax
	finish
	.data
buffer:	.long 0
	.text
""")
    assert said == {
        "add": 0x30, "or": 0x3F, "and": 0x30, "equal": 1, "exchanged": 0x3F, "now": 0x55, "byte": 0x55, "inc": 0x56,
        "not": 0xA9, "pushed": 0x77, "moved": 0x77, "bit": 0xFFFFFFFF, "test": 1,
    }  # fmt: skip
