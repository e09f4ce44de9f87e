"""A made-up kernel tree of any size, the same each time: C, headers and assembly, as kernels write them.

Most of a kernel is ordinary C. A fifth of the C files here have inline assembly, and a fifth of all lines are
assembly, in which one line in eight or so is sensitive. Statements repeat less than in real kernels, which is the
harder case for a porter that remembers what it has parsed.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

_HEADER = """\
#ifndef IO_{n}_H
#define IO_{n}_H

static inline unsigned char inb_{n}(unsigned short port)
{{
	unsigned char value;
	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}}

static inline void outb_{n}(unsigned short port, unsigned char value)
{{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}}

#define irq_save_{n}(flags) __asm__ volatile("pushfl\\n\\tpopl %0\\n\\tcli" : "=r"(flags) : : "memory")
#define CLEAR_{n} "clts\\n\\t"
#endif
"""
_INLINE = """\
	__asm__ volatile(
		"movl %%cr3, %0\\n\\t"
		"movl %0, %%cr3\\n\\t"
		"inb ${port:#x}, %%al\\n\\t"
		"lidt table_{n}+{port}"
		: "=r"(value) : : "eax", "memory");
	if (value & {mask:#x})
		__asm__ volatile("invlpg (%0)" : : "r"(list->next) : "memory");
	__asm__ volatile(CLEAR_{n} "fninit");
"""
_C_HEAD = """\
#include "../include/io_{header}.h"

struct entry_{n} {{
	struct entry_{n} *next;
	unsigned int key;
	unsigned char data[16];
}};

int printk(const char *format, ...);
int in_{n}(struct entry_{n} *entry, unsigned int value);
extern unsigned int out_{n}[16];

"""
_FUNCTION = """\
/*
 * Takes entry {i} of the list, if the out flag is set there; the caller has
 * done its cli and hlt work already.
 */
int take_{n}_{i}(struct entry_{n} *list, unsigned int key)
{{
	struct entry_{n} *at = list;
	unsigned int value = key * {mask:#x}u + {i};

	while (at && at->key != key) {{
		value ^= (value << 3) + at->data[{low}]; // in order
		at = at->next;
	}}
{inline}	if (!at)
		return -{low};
	for (int i = 0; i < {low}; i++) {{
		at->data[i] = (value >> i) & 0xff;
		if (at->data[i] == '{letter}')
			printk("entry %d: bad value %x in %s\\n", i, value, __func__);
	}}
	return in_{n}(at, out_{n}[value % 16]);
}}

"""
_ENTRY = """\
	.globl vector_{n}_{i}
vector_{n}_{i}:
	pushl $0			# no error code
	pushl ${i}
	pushal
	pushl %ds
	pushl %es
	movl $0x10, %{reg}
	movl %{reg}, %ds
	movl %{reg}, %es
	outb %al, $0x{port:x}
	movl %cr2, %{reg}
	lgdt table_{n}+{i}(%{reg})
	cld
	pushl %esp
	call handle_{n}
	addl $4, %esp
	testl %eax, %eax
	je 1f
	movl 12(%esp), %ecx
	leal table_{n}(,%ecx,4), %edx
	movl (%edx), %ebx
	addl $0x{mask:x}, %ebx
	movl %ebx, (%edx)
1:	popl %es
	popl %ds
	popal
	addl $8, %esp
	iret
"""
_PLAIN = """\
copy_{n}_{i}:
	pushl %ebp
	movl %esp, %ebp
	movl 8(%ebp), %edi
	movl 12(%ebp), %esi
	movl 16(%ebp), %ecx
	shrl $2, %ecx
	rep movsl
	xorl %eax, %eax
.L{n}_{i}:
	imull $0x{mask:x}, %eax, %edx
	addl %edx, %eax
	decl %ecx
	jns .L{n}_{i}
	leave
	ret
"""

_REGISTERS = ("eax", "ebx", "ecx", "edx", "esi", "edi")


def _assembly(n: int, lines: int, rng: random.Random, preprocessed: bool) -> str:
    head = f"#define FRAME_{n} pushl %ebp; movl %esp, %ebp\n" if preprocessed else f"# file {n}\n"
    text = [head, "\t.text\n"]
    count = 2
    while count < lines:
        part = rng.choice((_ENTRY, _PLAIN, _PLAIN)).format(
            n=n, i=count, mask=rng.getrandbits(16), port=rng.getrandbits(8), reg=rng.choice(_REGISTERS))
        text.append(part)
        count += part.count("\n")
    return "".join(text)


def _c(n: int, lines: int, rng: random.Random, inline: bool) -> str:
    text = [_C_HEAD.format(n=n, header=n % 40)]
    count = text[0].count("\n")
    while count < lines:
        code = ""
        if inline and rng.random() < 0.2:
            code = _INLINE.format(n=n % 40, mask=rng.getrandbits(12), port=rng.getrandbits(8))
        part = _FUNCTION.format(n=n, i=count, mask=rng.getrandbits(20), low=rng.randrange(1, 16),
                                letter=rng.choice("abcdefgh"), inline=code)
        text.append(part)
        count += part.count("\n")
    return "".join(text)


def _files(lines: int) -> Iterator[tuple[str, str]]:
    rng = random.Random(20)
    for n in range(40):
        yield f"include/io_{n}.h", _HEADER.format(n=n)
    done = n = 0
    while done < lines:
        size = rng.randrange(100, 900)
        if n % 5 == 4:
            name = f"dir{n % 30}/entry_{n}.{'S' if n % 2 else 's'}"
            text = _assembly(n, size, rng, name.endswith("S"))
        else:
            name, text = f"dir{n % 30}/part_{n}.c", _c(n, size, rng, inline=n % 5 == 0)
        yield name, text
        done += text.count("\n")
        n += 1


def write_tree(root: Path, lines: int) -> int:
    """Write a tree of at least `lines` lines. Returns how many it has."""
    total = 0
    for name, text in _files(lines):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        total += text.count("\n")
    return total
