; A kernel in NASM alone, for a bare PC: a flat file with a multiboot header, or an ELF file. It uses what NASM has
; (macros, local labels, conditionals, included files) and tells on the first serial port what it sees.

%ifidn __OUTPUT_FORMAT__, bin
	org 0x100000
	%define FLAT
%endif
	bits 32
	%include "machine.inc"

section .text
%ifndef FLAT
global start
%endif

align 4
header:
%ifdef FLAT
	dd 0x1badb002, 0x10003, -(0x1badb002 + 0x10003)
	dd header, header, 0, bss_end, start		; where all this lies
%else
	dd 0x1badb002, 3, -(0x1badb002 + 3)
%endif

start:	mov esp, stack_top
	push dword 0
	popfd
	lgdt [gdt_pointer]
	jmp CODE_SELECTOR:.flushed
.flushed:
	mov ax, DATA_SELECTOR
	LOAD_SEGMENTS ds, es, ss, fs, gs
	SAY "segments:"
%assign n 0
%rep 3
	mov ax, [selectors + 2 * n]
	call print_word
  %assign n n + 1
%endrep
	mov ax, cs
	call print_word
	push fs
	pop eax
	call print_word
	NEWLINE

	call interrupts_init
	SAY "flags:"
	TELL_IF
	ENABLE
	TELL_IF
	DISABLE
	TELL_IF
	NEWLINE

	SAY "ticks:"
.wait:	ENABLE			; the wake-up is not to be lost
	hlt
	DISABLE
	mov al, [ticks]
	cmp al, [shown]
	je .wait
	mov [shown], al
	call print_byte
	cmp byte [shown], 3
	jb .wait
	NEWLINE

	SAY "system calls:"
	mov eax, 0x20
times 2	int 0x80
	call print_word
	both int3, nop
	call print_word
	NEWLINE

	SAY "tables:"
	sgdt [scratch]
	mov ax, [scratch]
	call print_word
	sidt [scratch]
	mov ax, [scratch]
	call print_word
	mov eax, CODE_SELECTOR
	lar edx, eax
	mov eax, edx
	shr eax, 8
	call print_word
	lsl eax, [selectors]
	call print_word
	NEWLINE

	SAY "far:"
	call far [far_target]
	call CODE_SELECTOR:far_routine
	NEWLINE

	SAY "control:"
	READ(eax, cr0)
	and eax, 1
	call print_word
	mov eax, 0x1234000
	mov cr3, eax
	xor eax, eax
	READ(eax, cr3)
	shr eax, 12
	call print_word
	clts
	NEWLINE

	mov esi, goodbye
	mov ecx, goodbye.end - goodbye
	mov dx, COM1
	cld
	rep outsb
	call power_off

far_routine:
	mov al, 'f'
	call putc
	retf

print_word:			; AX in hexadecimal, after a blank
	push eax
	mov al, ' '
	call putc
	mov eax, [esp]
	xchg al, ah
	call .two
	pop eax
.two:	push eax
	shr al, 4
	call .digit
	pop eax
.digit:	and al, 15
	add al, '0'
	cmp al, '9'
	jbe putc
	add al, 'a' - '9' - 1
putc:	push edx
	push eax
	mov dx, COM1 + 5
.busy:	in al, dx
	test al, 0x20
	jz .busy
	pop eax
	mov dx, COM1
	out dx, al
	pop edx
	ret

print_byte:
	movzx eax, al
	jmp print_word

print:				; the text at ESI
.next:	lodsb
	test al, al
	jz .done
	call putc
	jmp .next
.done:	ret

power_off:
	cli
	OUTW 0x604, 0x2000
.forever:
	hlt
	jmp .forever

	%include "interrupts.inc"
	%include "processors.inc"

section .data
gdt:	dq 0, 0x00cf9a000000ffff, 0x00cf92000000ffff
.end:
gdt_pointer:
	dw gdt.end - gdt - 1
	dd gdt
far_target:
	dd far_routine
	dw CODE_SELECTOR
goodbye:
	db "bye; cli; hlt", 10		; text, not instructions
.end:

section .bss
ticks:	resd 1
shown:	resd 1
scratch: resb 8
selectors: resw 5
	resb 4096
stack_top:
bss_end:
