"""Pieces of i386 and x86-64 machine code (SDM vol. 2), each a function that gives bytes."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from hypercalls import gas, layout

EAX, ECX, EDX, EBX, ESP, EBP, ESI, EDI = range(8)
ES, CS, SS, DS, FS, GS = range(6)
U32 = 0xFFFF_FFFF


def long(value: int) -> bytes:
    """32 bits, little-endian."""
    return struct.pack("<I", value & U32)


def word(value: int) -> bytes:
    """16 bits, little-endian."""
    return struct.pack("<H", value & 0xFFFF)


def mov(register: int, value: int) -> bytes:
    """mov $value,%register"""
    return bytes([0xB8 + register]) + long(value)


def store(address: int, value: int) -> bytes:
    """movl $value,address"""
    return b"\xc7\x05" + long(address) + long(value)


def load(address: int) -> bytes:
    """movl address,%eax"""
    return b"\xa1" + long(address)


def push(value: int) -> bytes:
    """pushl $value"""
    return b"\x68" + long(value)


def jump(address: int) -> bytes:
    """jmp *%eax to an absolute address"""
    return mov(EAX, address) + b"\xff\xe0"


def far_jump(selector: int, offset: int) -> bytes:
    """ljmp $selector,$offset"""
    return b"\xea" + long(offset) + word(selector)


def far_call(selector: int, offset: int) -> bytes:
    """lcall $selector,$offset"""
    return b"\x9a" + long(offset) + word(selector)


def gate(number: int) -> bytes:
    """call *%cs:TABLE: a hypercall"""
    return b"\x2e\xff\x15" + long(gas.gate_address(number & 255))


def load_segment(register: int, selector: int) -> bytes:
    """mov $selector,%ax; mov %ax,%register"""
    return b"\x66\xb8" + word(selector) + bytes([0x8E, 0xC0 | register << 3])


def software_interrupt(vector: int) -> bytes:
    """int $vector"""
    return bytes([0xCD, vector & 0xFF])


def set_flags(value: int) -> bytes:
    """push $value; popf"""
    return push(value) + b"\x9d"


def interrupt_return(frame: Iterable[int]) -> bytes:
    """iret by a frame given in the order of its addresses: EIP, CS, EFLAGS, ..."""
    return b"".join(push(value) for value in reversed(list(frame))) + b"\xcf"


def load_table(interrupt: bool, base: int, limit: int) -> bytes:
    """lgdt or lidt of a pseudo-descriptor built on the stack"""
    descriptor = push(base) + b"\x66\x68" + word(limit)
    return descriptor + (b"\x0f\x01\x1c\x24" if interrupt else b"\x0f\x01\x14\x24")


def write_control(number: int, value: int) -> bytes:
    """mov $value,%eax; mov %eax,%crN"""
    return mov(EAX, value) + bytes([0x0F, 0x22, 0xC0 | (number & 7) << 3])


def read_msr(number: int) -> bytes:
    """rdmsr"""
    return mov(ECX, number) + b"\x0f\x32"


def write_msr(number: int, low: int, high: int) -> bytes:
    """wrmsr"""
    return mov(ECX, number) + mov(EAX, low) + mov(EDX, high) + b"\x0f\x30"


def port_in(port: int, size: int) -> bytes:
    """in %dx, 1, 2 or 4 bytes"""
    return mov(EDX, port) + {1: b"\xec", 2: b"\x66\xed", 4: b"\xed"}[size]


def port_out(port: int, size: int, value: int) -> bytes:
    """out %dx, 1, 2 or 4 bytes"""
    return mov(EDX, port) + mov(EAX, value) + {1: b"\xee", 2: b"\x66\xef", 4: b"\xef"}[size]


def string_io(out: bool, size: int, port: int, address: int, count: int, backwards: bool) -> bytes:
    """rep ins or rep outs"""
    registers = mov(EDX, port) + mov(EDI, address) + mov(ESI, address) + mov(ECX, count)
    item = {1: b"\x6c", 2: b"\x66\x6d", 4: b"\x6d"}[size]
    if out:
        item = item[:-1] + bytes([item[-1] + 2])
    return registers + (b"\xfd" if backwards else b"\xfc") + b"\xf3" + item


def fill(address: int, count: int, value: int) -> bytes:
    """rep stosb"""
    return mov(EDI, address) + mov(ECX, count) + mov(EAX, value) + b"\xfc\xf3\xaa"


def mov64(register: int, value: int) -> bytes:
    """movabs $value,%register (RAX to RDI)"""
    return b"\x48" + bytes([0xB8 + register]) + struct.pack("<Q", value & 0xFFFF_FFFF_FFFF_FFFF)


def store64(address: int, value: int) -> bytes:
    """Store 64 bits anywhere: movabs $address,%rdi; movabs $value,%rax; mov %rax,(%rdi)"""
    return mov64(EDI, address) + mov64(EAX, value) + b"\x48\x89\x07"


def store64_low(address: int, value: int) -> bytes:
    """Store 32 bits anywhere: movabs $address,%rdi; movl $value,(%rdi)"""
    return mov64(EDI, address) + b"\xc7\x07" + long(value)


def host_call(number: int, *arguments: int) -> bytes:
    """A Linux system call from 64-bit code."""
    out = b""
    for register, value in zip((EDI, ESI, EDX), arguments, strict=False):
        out += mov64(register, value)
    for prefix, value in zip((b"\x49\xba", b"\x49\xb8", b"\x49\xb9"), arguments[3:], strict=False):
        out += prefix + struct.pack("<Q", value & 0xFFFF_FFFF_FFFF_FFFF)
    return out + mov(EAX, number) + b"\x0f\x05"


def far_return64(selector: int, offset: int) -> bytes:
    """From 64-bit code to selector:offset: push both, lretq"""
    return push(selector) + push(offset) + b"\x48\xcb"


LONG_MODE = layout.HOST_CS64
END = b"\xb0\x00\xe6\xf4"  # mov $0,%al; out %al,$0xf4
