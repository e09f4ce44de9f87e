/* A kernel in Intel syntax, through the C preprocessor: it sets up segments, interrupts, paging and a timer, and
 * says on the serial port what it reads back. Every value is the same on each PC. */

#define COM1 0x3f8
#define SELECTOR(index) ((index) << 3)
#define CODE SELECTOR(1)
#define DATA SELECTOR(2)
#define TASK SELECTOR(3)
#define LOCAL SELECTOR(4)
#define OUTB(port, value) mov al, value; out port, al
#define DISABLE pushfd; cli
#define RESTORE popfd

	.intel_syntax noprefix

	.section .multiboot, "a"
	.balign 4
	.long 0x1badb002, 0, -0x1badb002

/* Say a value of 32 bits. */
.macro say value:vararg
	push	\value
	call	hexadecimal
	add	esp, 4
.endm

.macro handler name, vector
	mov	eax, offset \name
	mov	word ptr idt[8 * \vector], ax
	mov	word ptr idt[8 * \vector + 2], CODE
	mov	word ptr idt[8 * \vector + 4], 0x8e00
	shr	eax, 16
	mov	word ptr idt[8 * \vector + 6], ax
.endm

.macro load segment, value
	mov	\segment, \value
.endm

	.text
	.globl	start
start:	mov	esp, offset stack_top
	push	0
	popfd
	lgdt	fword ptr gdt_pointer
	jmp	CODE:1f
1:	mov	eax, DATA
	.irp	segment, ds, es, ss
	load	\segment, ax
	.endr
	mov	fs, word ptr data_selector
	mov	gs, ax

	/* Segment registers, and the tables behind them. */
	mov	eax, cs
	say	eax
	mov	word ptr scratch, fs
	say	dword ptr scratch
	push	ss
	pop	ecx
	say	ecx
	push	ds
	pop	es
	sgdt	[scratch]
	movzx	eax, word ptr scratch
	say	eax
	mov	eax, LOCAL
	lldt	ax
	xor	eax, eax
	sldt	ax
	say	eax
	mov	eax, TASK
	ltr	ax
	str	word ptr [scratch]
	movzx	eax, word ptr scratch
	say	eax
	mov	ecx, CODE
	lar	eax, cx
	say	eax
	mov	cx, DATA
	lsl	ebx, word ptr data_selector
	say	ebx
	verw	cx
	setz	al
	movzx	eax, al
	say	eax
	les	edx, fword ptr far_data
	say	edx

	/* Interrupts: by instruction, by exception, by the timer. */
	handler	gate_3, 3
	handler	gate_6, 6
	handler	timer, 0x20
	handler	gate_system, 0x80
	lidt	[idt_pointer]
	sidt	fword ptr [scratch]
	movzx	eax, word ptr scratch
	say	eax
	int	0x80
	int3
	ud2
	pushfd
	pop	eax
	and	eax, 0x200
	say	eax
	OUTB(0x20, 0x11)
	OUTB(0xa0, 0x11)
	OUTB(0x21, 0x20)
	OUTB(0xa1, 0x28)
	OUTB(0x21, 4)
	OUTB(0xa1, 2)
	OUTB(0x21, 1)
	OUTB(0xa1, 1)
	OUTB(0x21, 0xfe)
	OUTB(0xa1, 0xff)
	in	al, 0x21
	movzx	eax, al
	say	eax
	OUTB(0x43, 0x34)
	OUTB(0x40, 0)
	OUTB(0x40, 0x10)
wait:	cli
	cmp	dword ptr ticks, 3
	jae	2f
	sti
	hlt
	jmp	wait
2:	DISABLE
	RESTORE
	pushfw
	pop	ax
	and	eax, 0x200
	say	eax

	/* Control registers and paging: the first 4 MiB, at their addresses and at 1 GiB. */
	mov	eax, offset table + 7
	mov	directory, eax
	mov	directory[256 * 4], eax
	xor	ecx, ecx
3:	mov	eax, ecx
	shl	eax, 12
	or	eax, 7
	mov	table[ecx * 4], eax
	inc	ecx
	cmp	ecx, 1024
	jb	3b
	mov	eax, offset directory
	mov	cr3, eax
	mov	ebx, cr3
	sub	ebx, eax
	say	ebx
	mov	ecx, cr0
	or	ecx, 0x80010000
	mov	cr0, ecx
	mov	ecx, cr0
	and	ecx, 0x80010001
	say	ecx
	mov	eax, dword ptr far_data[0x40000000]
	say	eax
	mov	dword ptr table[4 * 5], 0
	invlpg	byte ptr [0x5000]
	clts
	smsw	ax
	and	eax, 9
	say	eax

	/* Strings, far calls, debug registers. */
	mov	edx, COM1
	mov	esi, offset text
	mov	ecx, offset text_end - text
	cld
	rep outs dx, byte ptr fs:[esi]
	mov	edi, offset scratch
	mov	edx, 0x21
	mov	ecx, 2
	rep insb
	movzx	eax, word ptr scratch
	say	eax
	call	CODE:far_function
	call	fword ptr far_pointer
	mov	eax, offset text
	mov	dr1, eax
	mov	ebx, dr1
	sub	ebx, eax
	say	ebx
	jmp	fword ptr cs:[far_end]

end:	mov	dx, 0x604
	mov	ax, 0x2000
	out	dx, ax
	cli
4:	hlt
	jmp	4b

far_function:
	say	0x0fa2
	retf

gate_3:	say	3
	iretd
gate_6:	say	6
	add	dword ptr [esp], 2
	iret
gate_system:
	say	0x80
	iretd
timer:	push	eax
	inc	dword ptr ticks
	OUTB(0x20, 0x20)
	pop	eax
	iretd

/* Print the 32 bits at esp + 4. Changes nothing. */
hexadecimal:
	pushad
	mov	ebx, [esp + 36]
	mov	ecx, 8
5:	rol	ebx, 4
	mov	eax, ebx
	and	eax, 15
	mov	al, digits[eax]
	mov	dx, COM1
	out	dx, al
	loop	5b
	mov	al, '\n'
	out	dx, al
	popad
	ret

	.data
	.balign	8
gdt:	.quad	0, 0x00cf9a000000ffff, 0x00cf92000000ffff
	.word	0x67, 0, 0x8910, 0	/* a task state segment at 1 MiB */
	.word	0x0f, 0, 0x8210, 0	/* a local descriptor table */
gdt_end:
gdt_pointer:
	.word	gdt_end - gdt - 1
	.long	gdt
idt_pointer:
	.word	8 * 256 - 1
	.long	idt
data_selector:
	.word	DATA
far_data:
	.long	0x12345678
	.word	DATA
far_pointer:
	.long	far_function
	.word	CODE
far_end:
	.long	end
	.word	CODE
text:	.ascii	"a string\n"
text_end:
digits:	.ascii	"0123456789abcdef"

	.bss
	.balign	4096
	.comm	directory, 4096, 4096
	.comm	table, 4096, 4096
	.comm	idt, 2048, 8
	.comm	scratch, 16, 4
	.comm	ticks, 4, 4
	.skip	8192
stack_top:

	.section .note.GNU-stack, "", @progbits
