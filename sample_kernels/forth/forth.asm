; A Forth that is its own operating system: one file, from the boot loader's jump to the prompt. It compiles each
; definition to machine code (subroutine threading: mostly calls, with jumps and literals in line), so what is typed
; at the keyboard runs at the processor's speed.
;
; Registers, everywhere but in the interrupt handlers:
;
;	EBX	top of the data stack
;	EBP	the data stack below the top, growing down
;	ESP	the return stack, which is the processor's own
;	others	free for each word to use
;
; Read it in this order: start, interrupts, console, the words, the compiler, the interpreter, and last the words that
; are written in Forth themselves.

	bits 32

KERNEL_CODE	equ 0x08
KERNEL_DATA	equ 0x10
IRQ_BASE	equ 32			; vector of IRQ 0; 0-31 are the processor's exceptions
VECTORS		equ IRQ_BASE + 16
TICKS_PER_SECOND equ 100
CTRL_C		equ 3
BACKSPACE	equ 8
RETURN		equ 13
DELETE		equ 127

LINE_SIZE	equ 128			; characters in a line that is typed
RETURN_STACK	equ 16384		; bytes
DATA_STACK	equ 16384
DICTIONARY	equ 256 * 1024
MARGIN		equ 512			; bytes that one word may need beyond a check of the above

section .multiboot

	dd 0x1badb002, 0x3, -(0x1badb002 + 0x3)	; multiboot 1: magic, flags, checksum

section .text

; ---------------------------------------------------------------- start

global start
start:
	mov esp, return_stack_top
	push dword 0			; EFLAGS as after reset: no IF, no DF, no NT
	popfd
	lgdt [gdt_pointer]
	jmp KERNEL_CODE:.flushed
.flushed:
	mov eax, KERNEL_DATA
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	call interrupts_init
	call serial_init
	call keyboard_init
	call timer_init
	call clear_screen
	sti

	mov ebp, data_stack_top
	mov dword [here], dictionary
	mov dword [latest], last_word
	mov dword [base], 10
	mov dword [source], prelude
	mov dword [source_length], PRELUDE_LENGTH
	call interpret
	mov esi, banner
	call print
	jmp quit

section .data

gdt:	dq 0
	dq 0x00cf9b000000ffff		; KERNEL_CODE: base 0, 4 GiB, ring 0
	dq 0x00cf93000000ffff		; KERNEL_DATA
gdt_pointer:
	dw $ - gdt - 1
	dd gdt

; Text with its length in front.
%macro TEXT 2
%1:	db %%end - %1 - 1, %2
%%end:
%endmacro

	TEXT banner, {"forth: WORDS lists what there is, Ctrl-C stops what runs, BYE turns the machine off", 10}
	TEXT text_ok, {"ok", 10}

section .text

; ---------------------------------------------------------------- interrupts

PIC1		equ 0x20		; the two 8259s: command port, then data port
PIC2		equ 0xa0
PIC_EOI		equ 0x20
IRQ_TIMER	equ 0
IRQ_KEYBOARD	equ 1
IRQ_SERIAL	equ 4

GATE_INTERRUPT	equ 0x8e00		; present, ring 0, IF is cleared on entry

; Fill the descriptor table from `vectors`, and move the interrupt controllers to IRQ_BASE.
interrupts_init:
	xor ecx, ecx
.gate:	mov eax, [vectors + ecx * 4]
	mov [idt + ecx * 8], ax
	mov word [idt + ecx * 8 + 2], KERNEL_CODE
	mov word [idt + ecx * 8 + 4], GATE_INTERRUPT
	shr eax, 16
	mov [idt + ecx * 8 + 6], ax
	inc ecx
	cmp ecx, VECTORS
	jb .gate
	lidt [idt_pointer]

	mov al, 0x11			; ICW1: cascaded, edge triggered, ICW4 follows
	out PIC1, al
	out PIC2, al
	mov al, IRQ_BASE		; ICW2: the first vector
	out PIC1 + 1, al
	mov al, IRQ_BASE + 8
	out PIC2 + 1, al
	mov al, 1 << 2			; ICW3: the second hangs on line 2
	out PIC1 + 1, al
	mov al, 2
	out PIC2 + 1, al
	mov al, 1			; ICW4: 8086 mode
	out PIC1 + 1, al
	out PIC2 + 1, al
	mov al, 0xff & ~(1 << IRQ_TIMER | 1 << IRQ_KEYBOARD | 1 << IRQ_SERIAL)
	out PIC1 + 1, al
	mov al, 0xff
	out PIC2 + 1, al
	ret

; An exception ends what was running, so nothing of its frame is needed but the vector, which is pushed here.
%assign vector 0
%rep IRQ_BASE
exception_%[vector]:
	push dword vector
	jmp exception
  %assign vector vector + 1
%endrep

exception:
	pop eax
	mov esi, error_division
	test eax, eax
	jz fail
	mov esi, error_exception
	jmp fail

; Interrupt: call the handler, which may use all registers. When it has read Ctrl-C, what was interrupted does not go
; on, but fails.
%macro INTERRUPT 2			; name, handler
%1:
	pushad
	cld
	call %2
	mov al, PIC_EOI
	out PIC1, al
	cmp byte [stop_wanted], 0
	je %%return
	mov byte [stop_wanted], 0
	mov dword [esp + 32], stopped	; EIP lies above what pushad has pushed
%%return:
	popad
	iretd
%endmacro

	INTERRUPT interrupt_timer, timer_tick
	INTERRUPT interrupt_keyboard, keyboard_read
	INTERRUPT interrupt_serial, serial_read

; All other lines are masked. What still comes is spurious and must not be acknowledged.
interrupt_ignored:
	iretd

stopped:
	mov esi, error_stopped
	jmp fail

section .data

vectors:
%assign vector 0
%rep IRQ_BASE
	dd exception_%[vector]
  %assign vector vector + 1
%endrep
	dd interrupt_timer, interrupt_keyboard, interrupt_ignored, interrupt_ignored, interrupt_serial
	times VECTORS - ($ - vectors) / 4 dd interrupt_ignored

idt_pointer:
	dw VECTORS * 8 - 1
	dd idt

section .bss

idt:		resq VECTORS
stop_wanted:	resb 1

section .text

; ---------------------------------------------------------------- timer

PIT_CHANNEL0	equ 0x40
PIT_COMMAND	equ 0x43
PIT_HERTZ	equ 1193182

timer_init:
	mov al, 0x34			; channel 0, low then high byte, mode 2
	out PIT_COMMAND, al
	mov eax, PIT_HERTZ / TICKS_PER_SECOND
	out PIT_CHANNEL0, al
	mov al, ah
	out PIT_CHANNEL0, al
	ret

timer_tick:
	inc dword [ticks]
	ret

section .bss

ticks:		resd 1

section .text

; ---------------------------------------------------------------- console: what is typed

; A ring of characters between the handlers, which put, and `key`, which takes. The indices are bytes and the ring
; has 256 places, so they wrap by themselves.

; The character in AL was typed. What finds the ring full is lost.
typed:
	cmp al, CTRL_C
	je .stop
	movzx ecx, byte [ring_end]
	inc cl
	cmp cl, [ring_start]
	je .full
	mov [ring_end], cl
	dec cl
	mov [ring + ecx], al
.full:	ret
.stop:	mov byte [stop_wanted], 1
	mov al, [ring_end]		; what was typed ahead is not wanted either
	mov [ring_start], al
	ret

; Wait for a character, into AL. Interrupts are let in only together with `hlt`, or one could come between the look
; at the ring and the sleep.
key:
	call move_cursor
.look:	cli
	movzx ecx, byte [ring_start]
	cmp cl, [ring_end]
	jne .take
	sti
	hlt
	jmp .look
.take:	mov al, [ring + ecx]
	inc byte [ring_start]
	sti
	ret

; The keyboard, behind an 8042 that translates to scan code set 1.

KEYBOARD_DATA	equ 0x60
KEYBOARD_COMMAND equ 0x64		; read: status
OUTPUT_FULL	equ 1
INPUT_FULL	equ 2

keyboard_init:
	in al, KEYBOARD_COMMAND		; take what was typed at the boot loader
	test al, OUTPUT_FULL
	jz .empty
	in al, KEYBOARD_DATA
	jmp keyboard_init
.empty:	mov al, 0x60			; the next byte is the configuration
	out KEYBOARD_COMMAND, al
.wait:	in al, KEYBOARD_COMMAND
	test al, INPUT_FULL
	jnz .wait
	mov al, 0x45			; interrupts from the keyboard, translated; self-test passed
	out KEYBOARD_DATA, al
	ret

keyboard_read:
	in al, KEYBOARD_COMMAND
	test al, OUTPUT_FULL
	jz .done
	in al, KEYBOARD_DATA
	cmp al, 0xe0			; a key that is not on the oldest keyboards has two codes
	je .prefix
	cmp byte [extended], 0
	mov byte [extended], 0
	jne .done
	mov ah, 1			; AH: the key goes down
	test al, 0x80
	jz .down
	mov ah, 0
	and al, 0x7f
.down:	cmp al, 0x2a
	je .shift
	cmp al, 0x36
	je .shift
	cmp al, 0x1d
	je .control
	test ah, ah
	jz .done
	cmp al, 0x3a
	je .caps
	cmp al, KEYS
	jae .done
	movzx ecx, al
	mov al, [keys_plain + ecx]
	mov ah, al
	and ah, ~0x20
	sub ah, 'A'
	cmp ah, 26			; AH below 26: a letter
	jae .sign
	cmp byte [control], 0
	jne .chord
	mov dl, [shift]
	xor dl, [caps]
	jz .put
	and al, ~0x20
	jmp .put
.chord:	and al, 0x1f
	jmp .put
.sign:	cmp byte [shift], 0
	je .put
	mov al, [keys_shifted + ecx]
.put:	test al, al
	jnz typed
.done:	ret
.prefix:
	mov byte [extended], 1
	ret
.shift:	mov [shift], ah
	ret
.control:
	mov [control], ah
	ret
.caps:	xor byte [caps], 1
	ret

section .data

keys_plain:
	db 0, 27, "1234567890-=", BACKSPACE, 9, "qwertyuiop[]", RETURN, 0, "asdfghjkl;'`", 0, "\zxcvbnm,./", 0, "*", 0, " "
KEYS	equ $ - keys_plain
keys_shifted:
	db 0, 27, "!@#$%^&*()_+", BACKSPACE, 9, "QWERTYUIOP{}", RETURN, 0, 'ASDFGHJKL:"~', 0, "|ZXCVBNM<>?", 0, "*", 0, " "

section .bss

ring:		resb 256
ring_start:	resb 1
ring_end:	resb 1
shift:		resb 1
control:	resb 1
caps:		resb 1
extended:	resb 1

section .text

; ---------------------------------------------------------------- console: what is printed

; Everything is shown on the screen and sent to the first serial port.

; Print the character in AL; 10 starts a new line. Changes no register.
put:
	mov [last_put], al
	pushad
	cmp al, 10
	jne .one
	mov al, 13			; a terminal's new line is two characters
	call serial_put
	mov al, 10
.one:	call serial_put
	call screen_put
	popad
	ret

; Print the text with its length in front at ESI.
print:
	movzx ecx, byte [esi]
	inc esi

; Print the ECX characters at ESI.
print_counted:
	jecxz .done
.next:	lodsb
	call put
	loop .next
.done:	ret

; Keep what is printed next apart from what was printed last.
put_gap:
	cmp byte [last_put], ' '
	jbe .apart
	mov al, ' '
	jmp put
.apart:	ret

section .bss

last_put:	resb 1

section .text

; A 16550 at COM1, 115200 bits a second, whose receiver interrupts.

COM1		equ 0x3f8
LINE_STATUS	equ COM1 + 5
RECEIVED	equ 0x01
TRANSMIT_EMPTY	equ 0x20

%macro SERIAL_SET 2			; register, value
	mov dx, COM1 + %1
	mov al, %2
	out dx, al
%endmacro

serial_init:
	SERIAL_SET 3, 0x80		; line control: the divisor's turn
	SERIAL_SET 0, 1
	SERIAL_SET 1, 0
	SERIAL_SET 3, 0x03		; 8 bits, no parity
	SERIAL_SET 2, 0x07		; queues on, and emptied
	SERIAL_SET 4, 0x0b		; ready, and the interrupt line connected
	SERIAL_SET 1, 0x01		; interrupt when something was received
	ret

serial_put:
	mov ah, al
	mov dx, LINE_STATUS
.wait:	in al, dx
	test al, TRANSMIT_EMPTY
	jz .wait
	mov dx, COM1
	mov al, ah
	out dx, al
	ret

serial_read:
	mov dx, LINE_STATUS
	in al, dx
	test al, RECEIVED
	jz .done
	mov dx, COM1
	in al, dx
	call typed
	jmp serial_read
.done:	ret

; The screen: a VGA in text mode. Each place has a character and its colours.

SCREEN		equ 0xb8000
COLUMNS		equ 80
ROWS		equ 25
CRTC		equ 0x3d4		; index port; the data port follows
CURSOR_HIGH	equ 14
CURSOR_LOW	equ 15

clear_screen:
	mov ah, [colours]
	mov al, ' '
	mov edi, SCREEN
	mov ecx, COLUMNS * ROWS
	rep stosw
	mov dword [column], 0
	mov dword [row], 0
	ret

screen_put:
	cmp al, 10
	je .new_line
	cmp al, BACKSPACE
	je .back
	mov ah, [colours]
	imul edi, [row], COLUMNS
	add edi, [column]
	mov [SCREEN + edi * 2], ax
	inc dword [column]
	cmp dword [column], COLUMNS
	jae .new_line
	ret
.back:	sub dword [column], 1
	adc dword [column], 0		; not beyond the left edge
	ret
.new_line:
	mov dword [column], 0
	inc dword [row]
	cmp dword [row], ROWS
	jb .done
	dec dword [row]			; at the bottom: everything moves up
	mov esi, SCREEN + COLUMNS * 2
	mov edi, SCREEN
	mov ecx, COLUMNS * (ROWS - 1) / 2
	rep movsd
	mov ah, [colours]
	mov al, ' '
	mov ecx, COLUMNS
	rep stosw
.done:	ret

; Show the cursor where the next character will be. It is done when somebody waits for a key: nobody looks before.
move_cursor:
	imul ecx, [row], COLUMNS
	add ecx, [column]
	mov dx, CRTC
	mov al, CURSOR_HIGH
	mov ah, ch
	out dx, ax			; index, and data in the port that follows
	mov al, CURSOR_LOW
	mov ah, cl
	out dx, ax
	ret

section .data

colours:	db 0x07			; light grey on black

section .bss

column:		resd 1
row:		resd 1

section .text

; ---------------------------------------------------------------- words

; A word in the dictionary: the address of the word before it, a byte with its flags and the length of its name, the
; name in capitals, and its code.

IMMEDIATE	equ 0x80		; runs even while a definition is compiled
COMPILE_ONLY	equ 0x40		; makes no sense outside a definition
LENGTH		equ 0x1f

%define LATEST_HEADER 0

%macro WORD 2-3 0			; "NAME", name of its code, flags
	%strlen name_length %1
header_%2:
	dd LATEST_HEADER
	db %3 | name_length, %1
	%xdefine LATEST_HEADER header_%2
word_%2:
%endmacro

%macro MAKE_ROOM 0			; the top goes to the stack in memory, EBX is free; flags stay
	lea ebp, [ebp - 4]
	mov [ebp], ebx
%endmacro

%macro DROP_TOP 0			; flags stay
	mov ebx, [ebp]
	lea ebp, [ebp + 4]
%endmacro

; Comments show the stack before and after: ( deepest ... top -- deepest ... top ).

	WORD "DUP", dup			; ( a -- a a )
	MAKE_ROOM
	ret

	WORD "DROP", drop		; ( a -- )
	DROP_TOP
	ret

	WORD "SWAP", swap		; ( a b -- b a )
	xchg ebx, [ebp]
	ret

	WORD "OVER", over		; ( a b -- a b a )
	MAKE_ROOM
	mov ebx, [ebp + 4]
	ret

	WORD "ROT", rot			; ( a b c -- b c a )
	xchg ebx, [ebp]
	xchg ebx, [ebp + 4]
	ret

	WORD "PICK", pick		; ( ... n -- ... the n-th below )
	mov ebx, [ebp + ebx * 4]
	ret

	WORD "DEPTH", depth		; ( -- number of items )
	mov eax, data_stack_top
	sub eax, ebp
	shr eax, 2
	MAKE_ROOM
	mov ebx, eax
	ret

; The return stack. A word's own return address lies on top of it, and is held aside meanwhile.

	WORD ">R", to_r, COMPILE_ONLY	; ( a -- ), to the return stack
	pop eax
	push ebx
	DROP_TOP
	jmp eax

	WORD "R>", from_r, COMPILE_ONLY	; ( -- a ), from there
	pop eax
	MAKE_ROOM
	pop ebx
	jmp eax

	WORD "R@", r_fetch, COMPILE_ONLY
	MAKE_ROOM
	mov ebx, [esp + 4]
	ret

%macro ARITHMETIC 3			; "NAME", name, instruction: ( a b -- a op b )
	WORD %1, %2
	mov eax, [ebp]
	%3 eax, ebx
	mov ebx, eax
	lea ebp, [ebp + 4]
	ret
%endmacro

	ARITHMETIC "+", add, add
	ARITHMETIC "-", sub, sub
	ARITHMETIC "*", mul, imul
	ARITHMETIC "AND", and, and
	ARITHMETIC "OR", or, or
	ARITHMETIC "XOR", xor, xor

	WORD "/MOD", divmod		; ( a b -- remainder quotient ), rounded towards zero
	mov eax, [ebp]
	cdq
	idiv ebx
	mov [ebp], edx
	mov ebx, eax
	ret

	WORD "LSHIFT", lshift		; ( a n -- a shifted )
	mov ecx, ebx
	DROP_TOP
	shl ebx, cl
	ret

	WORD "RSHIFT", rshift
	mov ecx, ebx
	DROP_TOP
	shr ebx, cl
	ret

	WORD "2/", half			; ( a -- a/2 ), rounded down
	sar ebx, 1
	ret

%macro COMPARISON 3			; "NAME", name, condition: ( a b -- all ones or zero )
	WORD %1, %2
	cmp [ebp], ebx
	lea ebp, [ebp + 4]
	set%3 bl
	movzx ebx, bl
	neg ebx
	ret
%endmacro

	COMPARISON "=", equal, e
	COMPARISON "<>", unequal, ne
	COMPARISON "<", less, l
	COMPARISON ">", greater, g
	COMPARISON "U<", below, b

	WORD "@", fetch			; ( address -- cell )
	mov ebx, [ebx]
	ret

	WORD "!", store			; ( cell address -- )
	mov eax, [ebp]
	mov [ebx], eax
	jmp drop_two

	WORD "+!", add_store		; ( n address -- )
	mov eax, [ebp]
	add [ebx], eax
	jmp drop_two

	WORD "C@", byte_fetch		; ( address -- byte )
	movzx ebx, byte [ebx]
	ret

	WORD "C!", byte_store		; ( byte address -- )
	mov al, [ebp]
	mov [ebx], al
drop_two:
	mov ebx, [ebp + 4]
	lea ebp, [ebp + 8]
	ret

	WORD "FILL", fill		; ( address count byte -- )
	mov eax, ebx
	mov ecx, [ebp]
	mov edi, [ebp + 4]
	rep stosb
	jmp drop_three

	WORD "MOVE", move		; ( from to count -- ), as if through a copy
	mov ecx, ebx
	mov edi, [ebp]
	mov esi, [ebp + 4]
	mov eax, edi
	sub eax, esi
	cmp eax, ecx			; unsigned: only a target within the source asks for care
	jae .up
	lea esi, [esi + ecx - 1]
	lea edi, [edi + ecx - 1]
	std
.up:	rep movsb
	cld
drop_three:
	mov ebx, [ebp + 8]
	lea ebp, [ebp + 12]
	ret

	WORD "EXECUTE", execute		; ( code -- )
	mov eax, ebx
	DROP_TOP
	jmp eax

; The machine.

	WORD "PC@", port_fetch		; ( port -- byte )
	mov edx, ebx
	xor eax, eax
	in al, dx
	mov ebx, eax
	ret

	WORD "PC!", port_store		; ( byte port -- )
	mov edx, ebx
	mov al, [ebp]
	out dx, al
	jmp drop_two

	WORD "TICKS", ticks		; ( -- hundredths of a second since the start )
	MAKE_ROOM
	mov ebx, [ticks]
	ret

	WORD "MS", ms			; ( n -- ), sleep for at least n thousandths of a second
	lea eax, [ebx + 1000 / TICKS_PER_SECOND - 1]
	DROP_TOP
	xor edx, edx
	mov ecx, 1000 / TICKS_PER_SECOND
	div ecx
	inc eax				; the tick that is running does not count
	add eax, [ticks]
.sleep:	cmp eax, [ticks]
	jle .done
	hlt
	jmp .sleep
.done:	ret

ACPI_CONTROL	equ 0x604		; where the firmware of virtual machines puts it
ACPI_SOFT_OFF	equ 0x2000
DEBUG_EXIT	equ 0xf4		; QEMU's isa-debug-exit

	WORD "BYE", bye
	mov al, 10
	call put
	cli
	mov dx, ACPI_CONTROL
	mov ax, ACPI_SOFT_OFF
	out dx, ax
	mov ecx, 100000000		; power takes a moment to go
	loop $
	mov al, 0
	out DEBUG_EXIT, al
.stop:	hlt				; a bare PC: the user turns it off
	jmp .stop

; The console.

	WORD "EMIT", emit		; ( character -- )
	mov al, bl
	DROP_TOP
	jmp put

	WORD "TYPE", type		; ( address count -- )
	mov ecx, ebx
	mov esi, [ebp]
	call print_counted
	jmp drop_two

	WORD "KEY", key			; ( -- character )
	call key
	MAKE_ROOM
	movzx ebx, al
	ret

	WORD "KEY?", key_typed		; ( -- flag )
	MAKE_ROOM
	mov al, [ring_start]
	sub al, [ring_end]
	neg al				; CF: it was not zero
	sbb ebx, ebx
	ret

	WORD "PAGE", page		; ( -- ), an empty screen
	jmp clear_screen

	WORD "AT", at			; ( column row -- ), where to print next on the screen
	mov eax, [ebp]
	cmp eax, COLUMNS
	jae .outside
	cmp ebx, ROWS
	jae .outside
	mov [column], eax
	mov [row], ebx
	jmp drop_two
.outside:
	mov esi, error_outside
	jmp fail

	WORD "COLOURS", colours		; ( attribute -- ) of a VGA: 16 * background + foreground
	mov [colours], bl
	DROP_TOP
	ret

; BASE, which is anybody's to set, in ECX.
usable_base:
	mov ecx, [base]
	lea edx, [ecx - 2]
	cmp edx, 36 - 2
	ja .bad
	ret
.bad:	mov dword [base], 10
	mov esi, error_base
	jmp fail

; Print EAX as an unsigned number in BASE.
print_unsigned:
	push eax
	call usable_base
	pop eax
.digit:	xor edx, edx
	div ecx
	push edx
	test eax, eax
	jz .last
	call .digit
.last:	pop eax
	mov al, [digits + eax]
	jmp put

	WORD "U.", u_dot		; ( n -- )
	mov eax, ebx
	DROP_TOP
print_and_space:
	call print_unsigned
	mov al, ' '
	jmp put

	WORD ".", dot			; ( n -- )
	mov eax, ebx
	DROP_TOP
print_signed:
	test eax, eax
	jns print_and_space
	neg eax
	push eax
	mov al, '-'
	call put
	pop eax
	jmp print_and_space

	WORD ".S", dot_s		; ( -- ), the whole stack, the top last
	mov al, '<'
	call put
	mov eax, data_stack_top
	sub eax, ebp
	shr eax, 2
	push eax
	call print_unsigned
	mov al, '>'
	call put
	mov al, ' '
	call put
	pop ecx
	jecxz .done
	MAKE_ROOM			; all items in memory, one after the other
	mov esi, data_stack_top - 8
.item:	mov eax, [esi]
	push esi
	push ecx
	call print_signed
	pop ecx
	pop esi
	sub esi, 4
	loop .item
	DROP_TOP
.done:	ret

	WORD "WORDS", words		; ( -- ), all names, the latest first
	mov edi, [latest]
.word:	movzx ecx, byte [edi + 4]
	and ecx, LENGTH
	lea esi, [edi + 5]
	call print_counted
	mov al, ' '
	call put
	mov edi, [edi]
	test edi, edi
	jnz .word
	ret

; Variables of the interpreter itself.

%macro VARIABLE 3			; "NAME", name, where it is: ( -- address )
	WORD %1, %2
	MAKE_ROOM
	mov ebx, %3
	ret
%endmacro

	VARIABLE "BASE", base, base
	VARIABLE "STATE", state, compiling
	VARIABLE "PAD", pad, pad

	WORD "HERE", here		; ( -- address ), the first free byte of the dictionary
	MAKE_ROOM
	mov ebx, [here]
	ret

	WORD "ALLOT", allot		; ( n -- ), take n bytes of it
	mov eax, [here]
	add eax, ebx
	cmp eax, dictionary
	jb .full
	cmp eax, dictionary_end - MARGIN
	ja .full
	mov [here], eax
	DROP_TOP
	ret
.full:	mov esi, error_full
	jmp fail

	WORD ",", comma			; ( cell -- ), append it to the dictionary
	mov eax, ebx
	DROP_TOP
	jmp append_cell

	WORD "C,", byte_comma
	mov al, bl
	DROP_TOP
	jmp append_byte

; ---------------------------------------------------------------- compiler

; Code is appended to the dictionary, byte by byte. These are the instructions that it is made of:

CODE_CALL	equ 0xe8		; call, relative
CODE_JUMP	equ 0xe9		; jmp, relative
CODE_RETURN	equ 0xc3
CODE_IF_ZERO	equ 0x840f		; jz, relative
CODE_NO_OVERFLOW equ 0x810f		; jno, relative
CODE_LOAD_EBX	equ 0xbb		; mov ebx, the cell that follows

append_byte:				; AL
	mov edi, [here]
	stosb
	mov [here], edi
	ret

append_word:				; AX
	mov edi, [here]
	stosw
	mov [here], edi
	ret

append_cell:				; EAX
	mov edi, [here]
	stosd
	mov [here], edi
	ret

; Append what makes a jump or call go to EAX, behind its opcode.
append_target:
	sub eax, [here]
	sub eax, 4
	jmp append_cell

; Append a call of EAX.
append_call:
	push eax
	mov al, CODE_CALL
	call append_byte
	pop eax
	jmp append_target

%macro APPEND_CALL 1
	mov eax, %1
	call append_call
%endmacro

; Append what MAKE_ROOM is.
append_make_room:
	mov esi, .code
	mov edi, [here]
	mov ecx, .end - .code
	rep movsb
	mov [here], edi
	ret
.code:	MAKE_ROOM
.end:

; Append code that pushes EAX.
append_literal:
	push eax
	call append_make_room
	mov al, CODE_LOAD_EBX
	call append_byte
	pop eax
	jmp append_cell

; Begin a word with the name that comes next in the source. It is found only once `reveal` has been called.
new_word:
	cmp dword [pending], 0
	jne .inside
	call parse_word
	jecxz .no_name
	cmp ecx, LENGTH
	ja .no_name
	mov edi, [here]
	mov [pending], edi
	mov eax, [latest]
	stosd
	mov al, cl
	stosb
.name:	lodsb
	call capital
	stosb
	loop .name
	mov [here], edi
	mov [pending_code], edi
	ret
.inside:
	mov esi, error_nested
	jmp fail
.no_name:
	mov esi, error_no_name
	jmp fail

reveal:
	mov eax, [pending]
	mov [latest], eax
	mov dword [pending], 0
	ret

	WORD ":", colon			; ( -- ), begin a definition
	call new_word
	mov dword [compiling], -1
	mov [depth_before], ebp
	ret

	WORD ";", semicolon, IMMEDIATE | COMPILE_ONLY
	cmp [depth_before], ebp		; every IF had its THEN
	jne unbalanced
	cmp dword [leaves], 0
	jne unbalanced
	mov al, CODE_RETURN
	call append_byte
	mov dword [compiling], 0
	jmp reveal

unbalanced:
	mov esi, error_unbalanced
	jmp fail

	WORD "IMMEDIATE", immediate	; ( -- ), the latest word runs while others are compiled
	mov eax, [latest]
	or byte [eax + 4], IMMEDIATE
	ret

	WORD "[", interpret_on, IMMEDIATE
	mov dword [compiling], 0
	ret

	WORD "]", compile_on
	cmp dword [pending], 0		; there must be a definition to go on with
	je unbalanced
	mov dword [compiling], -1
	ret

	WORD "LITERAL", literal, IMMEDIATE | COMPILE_ONLY	; ( n -- ), compile what pushes it
	mov eax, ebx
	DROP_TOP
	jmp append_literal

	WORD "COMPILE,", compile_comma	; ( code -- ), compile what calls it
	mov eax, ebx
	DROP_TOP
	jmp append_call

	WORD "'", tick			; ( -- code ) of the word that comes next
	call parse_known
	MAKE_ROOM
	mov ebx, edx
	ret

	WORD "[']", compile_tick, IMMEDIATE | COMPILE_ONLY
	call parse_known
	mov eax, edx
	jmp append_literal

	WORD "POSTPONE", postpone, IMMEDIATE | COMPILE_ONLY	; what it would do now, the definition will do
	call parse_known
	test byte [eax + 4], IMMEDIATE
	mov eax, edx
	jnz append_call
	call append_literal
	APPEND_CALL word_compile_comma
	ret

	WORD "EXIT", exit, IMMEDIATE | COMPILE_ONLY
	mov al, CODE_RETURN
	jmp append_byte

	WORD "RECURSE", recurse, IMMEDIATE | COMPILE_ONLY	; call the word that is being defined
	APPEND_CALL check_return_stack
	mov eax, [pending_code]
	jmp append_call

; Only recursion can need more of the return stack than there is.
check_return_stack:
	cmp esp, return_stack + MARGIN
	jb .deep
	ret
.deep:	mov esi, error_deep
	jmp fail

; Words with data: their code calls `push_data`, and the data follows.

	WORD "CREATE", create
	call new_word
	APPEND_CALL push_data
	jmp reveal

push_data:				; ( -- address of what follows the call )
	MAKE_ROOM
	pop ebx
	ret

; DOES> ends a defining word: what it has created calls, from now on, the code that follows DOES>, which begins as
; push_data does.
	WORD "DOES>", does, IMMEDIATE | COMPILE_ONLY
	APPEND_CALL set_action
	call append_make_room
	mov al, 0x5b			; pop ebx
	jmp append_byte

set_action:
	pop eax				; what follows in the defining word, to which we do not return
	mov edi, [latest]
	movzx ecx, byte [edi + 4]
	and ecx, LENGTH
	lea edi, [edi + ecx + 5]	; its code: the call that CREATE has made
	cmp byte [edi], CODE_CALL
	jne unbalanced
	lea ecx, [edi + 5]
	sub eax, ecx
	mov [edi + 1], eax
	ret

; Control structures keep, on the data stack, the address to jump to or to fill in, and on top of it what kind it is.

TAG_FORWARD	equ 1			; a jump whose target is to be filled in
TAG_BACK	equ 2			; the target of a jump to come
TAG_LOOP	equ 3			; the same, of a counted loop

%macro PUSH_HERE 1			; ( -- address tag )
	MAKE_ROOM
	mov ebx, [here]
	MAKE_ROOM
	mov ebx, %1
%endmacro

%macro POP_ADDRESS 1			; ( address tag -- ), the address in EDX
	cmp ebx, %1
	jne unbalanced
	mov edx, [ebp]
	mov ebx, [ebp + 4]
	lea ebp, [ebp + 8]
%endmacro

; ( flag -- ), and ZF for the jump that follows the call.
test_flag:
	test ebx, ebx
	DROP_TOP
	ret

append_if_zero:
	APPEND_CALL test_flag
	mov ax, CODE_IF_ZERO
	jmp append_word

	WORD "IF", if, IMMEDIATE | COMPILE_ONLY
	call append_if_zero
	PUSH_HERE TAG_FORWARD
	jmp append_cell

	WORD "ELSE", else, IMMEDIATE | COMPILE_ONLY
	POP_ADDRESS TAG_FORWARD
	push edx
	mov al, CODE_JUMP
	call append_byte
	PUSH_HERE TAG_FORWARD
	call append_cell
	pop edx
	jmp jump_here

	WORD "THEN", then, IMMEDIATE | COMPILE_ONLY
	POP_ADDRESS TAG_FORWARD
jump_here:				; the jump whose target is at EDX leads here
	mov eax, [here]
	sub eax, edx
	sub eax, 4
	mov [edx], eax
	ret

	WORD "BEGIN", begin, IMMEDIATE | COMPILE_ONLY
	PUSH_HERE TAG_BACK
	ret

	WORD "AGAIN", again, IMMEDIATE | COMPILE_ONLY
	mov al, CODE_JUMP
	call append_byte
jump_back:
	POP_ADDRESS TAG_BACK
	mov eax, edx
	jmp append_target

	WORD "UNTIL", until, IMMEDIATE | COMPILE_ONLY
	call append_if_zero
	jmp jump_back

	WORD "WHILE", while, IMMEDIATE | COMPILE_ONLY
	POP_ADDRESS TAG_BACK
	push edx
	call word_if
	MAKE_ROOM
	pop ebx
	MAKE_ROOM
	mov ebx, TAG_BACK
	ret

	WORD "REPEAT", repeat, IMMEDIATE | COMPILE_ONLY
	call word_again
	jmp word_then

; Counted loops. The return stack holds, under the index, the limit, both moved such that the index overflows when it
; comes to the limit: one flag then tells the end, for steps of any size and sign.

loop_begin:				; ( limit index -- ), and ZF: they are equal
	pop eax
	mov edx, [ebp]
	lea ecx, [edx + 0x80000000]
	push ecx
	mov ecx, ebx
	sub ecx, edx
	add ecx, 0x80000000
	push ecx
	cmp ebx, edx
	mov ebx, [ebp + 4]
	lea ebp, [ebp + 8]
	jmp eax

loop_step:				; ( -- ), and OF: this was the last time
	inc dword [esp + 4]
	ret

loop_add:				; ( n -- ), and OF
	add [esp + 4], ebx
	DROP_TOP
	ret

	WORD "UNLOOP", unloop, COMPILE_ONLY
	pop eax
	add esp, 8
	jmp eax

	WORD "I", i, COMPILE_ONLY	; ( -- index )
	MAKE_ROOM
	mov ebx, [esp + 4]
	add ebx, [esp + 8]
	ret

	WORD "J", j, COMPILE_ONLY	; ( -- index of the loop around this one )
	MAKE_ROOM
	mov ebx, [esp + 12]
	add ebx, [esp + 16]
	ret

	WORD "DO", do, IMMEDIATE | COMPILE_ONLY
	APPEND_CALL loop_begin
	MAKE_ROOM
	mov ebx, [leaves]
	mov dword [leaves], 0
	PUSH_HERE TAG_LOOP
	ret

	WORD "?DO", do_unless_equal, IMMEDIATE | COMPILE_ONLY
	APPEND_CALL loop_begin
	MAKE_ROOM
	mov ebx, [leaves]
	mov dword [leaves], 0
	mov ax, CODE_IF_ZERO
	call append_word
	call append_leave
	PUSH_HERE TAG_LOOP
	ret

	WORD "LEAVE", leave, IMMEDIATE | COMPILE_ONLY
	mov al, CODE_JUMP
	call append_byte

; The jumps out of a loop are a list until its end is known: each has, for its target, where the one before it lies.
append_leave:
	mov eax, [leaves]
	mov edx, [here]
	mov [leaves], edx
	jmp append_cell

	WORD "LOOP", loop, IMMEDIATE | COMPILE_ONLY
	mov eax, loop_step
loop_end:
	call append_call
	mov ax, CODE_NO_OVERFLOW
	call append_word
	POP_ADDRESS TAG_LOOP
	mov eax, edx
	call append_target
	mov edx, [leaves]
.leave:	test edx, edx
	jz .all
	push dword [edx]
	call jump_here
	pop edx
	jmp .leave
.all:	mov [leaves], ebx		; those of the loop around this one
	DROP_TOP
	APPEND_CALL word_unloop
	ret

	WORD "+LOOP", loop_by, IMMEDIATE | COMPILE_ONLY
	mov eax, loop_add
	jmp loop_end

; Text.

	WORD 'S"', string, IMMEDIATE	; ( -- address count ), up to the next quotation mark
	mov al, '"'
	call parse_until
	cmp dword [compiling], 0
	jne append_string
	cmp ecx, PAD_SIZE
	jbe .fits
	mov ecx, PAD_SIZE
.fits:	MAKE_ROOM
	mov ebx, pad
	MAKE_ROOM
	mov ebx, ecx
	mov edi, pad
	rep movsb
	ret

append_string:
	push esi
	push ecx
	APPEND_CALL push_string
	pop ecx
	pop esi
	mov eax, ecx
	call append_cell
	rep movsb
	mov [here], edi
	ret

push_string:				; ( -- address count ) of what follows the call
	pop esi
	lodsd
	MAKE_ROOM
	mov ebx, esi
	MAKE_ROOM
	mov ebx, eax
	add esi, eax
	jmp esi

	WORD '."', dot_string, IMMEDIATE	; ( -- ), print it
	cmp dword [compiling], 0
	je .now
	call word_string
	APPEND_CALL word_type
	ret
.now:	mov al, '"'
	call parse_until
	jmp print_counted

	WORD "CHAR", char		; ( -- the first character of the next word )
	call parse_word
	MAKE_ROOM
	movzx ebx, byte [esi]
	ret

	WORD "[CHAR]", compile_char, IMMEDIATE | COMPILE_ONLY
	call parse_word
	movzx eax, byte [esi]
	jmp append_literal

	WORD "(", comment, IMMEDIATE
	mov al, ')'
	jmp parse_until

	WORD "\", line_comment, IMMEDIATE
	mov al, 10
	jmp parse_until

last_word equ LATEST_HEADER

section .bss

here:		resd 1			; the first free byte of the dictionary
latest:		resd 1			; header of the latest word
pending:	resd 1			; header of the word that is being defined; 0: none is
pending_code:	resd 1
compiling:	resd 1			; -1 while words are compiled instead of run
depth_before:	resd 1			; EBP at the beginning of the definition
leaves:		resd 1			; the latest jump out of the loop that is being compiled
base:		resd 1

section .text

; ---------------------------------------------------------------- interpreter

; The next word of the source: ECX characters at ESI; none at its end.
parse_word:
	mov esi, [source]
	mov edx, [source_length]
.blank:	test edx, edx
	jz .end
	cmp byte [esi], ' '
	ja .word
	inc esi
	dec edx
	jmp .blank
.word:	mov ecx, esi
.more:	inc ecx
	dec edx
	jz .found
	cmp byte [ecx], ' '
	ja .more
	mov [source], ecx
	inc dword [source]		; the blank that ends it belongs to it
	dec edx
	jmp .rest
.found:	mov [source], ecx
.rest:	mov [source_length], edx
	sub ecx, esi
	ret
.end:	mov [source], esi
	mov [source_length], edx
	xor ecx, ecx
	ret

; The source up to the character in AL, which is skipped: ECX characters at ESI.
parse_until:
	mov esi, [source]
	mov edx, [source_length]
	mov ecx, esi
.next:	test edx, edx
	jz .end
	cmp [ecx], al
	je .found
	inc ecx
	dec edx
	jmp .next
.found:	lea edi, [ecx + 1]
	mov [source], edi
	dec edx
	jmp .rest
.end:	mov [source], ecx
.rest:	mov [source_length], edx
	sub ecx, esi
	ret

; The next word of the source, as `find`; it must exist.
parse_known:
	call parse_word
	call find
	test eax, eax
	jz unknown
	ret

; AL as a capital letter.
capital:
	cmp al, 'a'
	jb .done
	cmp al, 'z'
	ja .done
	sub al, 'a' - 'A'
.done:	ret

; The word with the ECX characters at ESI: its header in EAX (0: there is none), its code in EDX. Keeps ESI and ECX.
find:
	mov edx, [latest]
.word:	test edx, edx
	jz .done
	mov al, [edx + 4]
	and al, LENGTH
	cmp al, cl
	jne .other
	push ecx
	push esi
	lea edi, [edx + 5]
.same:	jecxz .found			; no character is left to differ
	lodsb
	call capital
	dec ecx
	scasb
	je .same
	pop esi
	pop ecx
.other:	mov edx, [edx]
	jmp .word
.found:	pop esi
	pop ecx
.done:	mov eax, edx
	mov edx, edi
	ret

; The number that the ECX characters at ESI spell, in EAX; CF: none. `$` in front makes it hexadecimal.
number:
	mov edi, [base]
	xor eax, eax
	xor edx, edx			; DH: it is negative
	cmp byte [esi], '$'
	jne .sign
	mov edi, 16
	inc esi
	dec ecx
.sign:	jecxz .none
	cmp byte [esi], '-'
	jne .digit
	mov dh, 1
	inc esi
	dec ecx
	jz .none
.digit:	push eax
	lodsb
	call capital
	mov dl, al
	pop eax
	sub dl, '0'
	cmp dl, 10
	jb .add
	sub dl, 'A' - '0'
	cmp dl, 26
	jae .none
	add dl, 10
.add:	imul eax, edi
	push edx
	movzx edx, dl
	cmp edx, edi
	jae .not_here
	add eax, edx
	pop edx
	loop .digit
	test dh, dh
	jz .done
	neg eax
.done:	clc
	ret
.not_here:
	pop edx
.none:	stc
	ret

; Run or compile the source, word by word.
interpret:
	call parse_word
	test ecx, ecx
	jz .end
	call find
	test eax, eax
	jz .number
	mov al, [eax + 4]
	cmp dword [compiling], 0
	je .run
	test al, IMMEDIATE
	jnz .call
	mov eax, edx
	call append_call
	jmp .next
.run:	test al, COMPILE_ONLY
	jnz .compile_only
.call:	call edx
	jmp .next
.number:
	push esi
	push ecx
	call number
	pop ecx
	pop esi
	jc unknown
	cmp dword [compiling], 0
	jne .literal
	MAKE_ROOM
	mov ebx, eax
	jmp .next
.literal:
	call append_literal
.next:	mov esi, error_underflow
	cmp ebp, data_stack_top
	ja fail
	mov esi, error_overflow
	cmp ebp, data_stack + MARGIN
	jb fail
	mov esi, error_full
	cmp dword [here], dictionary_end - MARGIN
	ja fail
	call usable_base
	jmp interpret
.compile_only:
	mov esi, error_compile_only
	jmp fail
.end:	ret

; The ECX characters at ESI name nothing.
unknown:
	call print_counted
	mov esi, error_unknown

; What runs has failed: print the text at ESI, forget all that was under way, and let the user go on.
fail:
	cld
	mov esp, return_stack_top
	mov ebp, data_stack_top
	call put_gap
	call print
	mov al, 10
	call put
	mov eax, [pending]
	test eax, eax
	jz .whole
	mov [here], eax			; half a definition is none
	mov dword [pending], 0
.whole:	mov dword [compiling], 0
	mov dword [leaves], 0

; Interpret what is typed, line by line, for ever.
quit:
	sti
	mov al, '>'
	cmp dword [pending], 0
	je .prompt
	mov al, ':'			; a definition goes on
.prompt:
	call put
	mov al, ' '
	call put
	call read_line
	mov al, ' '
	call put
	call interpret
	cmp dword [pending], 0
	jne .quiet
	call put_gap
	mov esi, text_ok
	call print
	jmp quit
.quiet:	mov al, 10
	call put
	jmp quit

; Let the user type and correct a line, which becomes the source.
read_line:
	xor esi, esi			; its length
.next:	call key
	cmp al, RETURN
	je .done
	cmp al, 10
	je .done
	cmp al, DELETE
	je .delete
	cmp al, BACKSPACE
	je .delete
	cmp al, ' '
	jb .next
	cmp esi, LINE_SIZE
	jae .next
	mov [line + esi], al
	inc esi
	call put
	jmp .next
.delete:
	test esi, esi
	jz .next
	dec esi
	mov al, BACKSPACE
	call put
	mov al, ' '
	call put
	mov al, BACKSPACE
	call put
	jmp .next
.done:	mov dword [source], line
	mov [source_length], esi
	ret

section .data

digits:	db "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"

	TEXT error_unknown, "?"
	TEXT error_division, "division by zero"
	TEXT error_exception, "processor exception"
	TEXT error_stopped, "stopped"
	TEXT error_underflow, "stack underflow"
	TEXT error_overflow, "stack overflow"
	TEXT error_deep, "recursion too deep"
	TEXT error_full, "dictionary full"
	TEXT error_compile_only, "only in a definition"
	TEXT error_unbalanced, "unbalanced"
	TEXT error_nested, "definition in a definition"
	TEXT error_no_name, "name missing or too long"
	TEXT error_outside, "outside the screen"
	TEXT error_base, "BASE must be 2 to 36, 10 again"

; ---------------------------------------------------------------- words in Forth

prelude:
	db ": 1+ 1 + ; : 1- 1 - ; : 2* 1 LSHIFT ; : CELLS 2 LSHIFT ; : CELL+ 4 + ; "
	db ": NEGATE 0 SWAP - ; : INVERT -1 XOR ; : 0= 0 = ; : 0< 0 < ; : 0> 0 > ; "
	db ": NIP SWAP DROP ; : TUCK SWAP OVER ; : 2DUP OVER OVER ; : 2DROP DROP DROP ; "
	db ": ?DUP DUP IF DUP THEN ; "
	db ": / /MOD NIP ; : MOD /MOD DROP ; "
	db ": ABS DUP 0< IF NEGATE THEN ; "
	db ": MIN 2DUP > IF SWAP THEN DROP ; : MAX 2DUP < IF SWAP THEN DROP ; "
	db ": BL 32 ; : CR 10 EMIT ; : SPACE BL EMIT ; "
	db ": SPACES 0 MAX 0 ?DO SPACE LOOP ; "
	db ": VARIABLE CREATE 0 , ; : CONSTANT CREATE , DOES> @ ; "
	db ": DECIMAL 10 BASE ! ; : HEX 16 BASE ! ; "
	db ": ? @ . ; : COUNT DUP 1+ SWAP C@ ; "
	db ": DIGIT 48 OVER 9 > IF 7 + THEN + EMIT ; "
	db ": BYTE. 255 AND 16 /MOD DIGIT DIGIT SPACE ; "
	db ": DUMP 0 ?DO DUP I + C@ BYTE. LOOP DROP ; "		; ( address count -- )
PRELUDE_LENGTH equ $ - prelude

section .bss

source:		resd 1			; what of the source is not yet interpreted
source_length:	resd 1
line:		resb LINE_SIZE
PAD_SIZE	equ 256
pad:		resb PAD_SIZE
	alignb 16
data_stack:	resb DATA_STACK
data_stack_top:	resb 64			; for a word that takes more items than there are
return_stack:	resb RETURN_STACK
return_stack_top:
dictionary:	resb DICTIONARY
dictionary_end:

section .note.GNU-stack noalloc noexec nowrite progbits
