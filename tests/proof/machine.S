# The kernel that tries sequences: it takes a machine state from a mailbox, makes it the processor's, runs
# one sequence (a *site*) and leaves in the mailbox what became of it. It is written as for a bare machine;
# the engine runs it ported. Whatever ends a site (the `int $DONE` behind it, a fault, an interrupt) comes to
# `trap`. Addresses and layouts are those of machine.py.

	.include "machine.inc"		# constants, written by machine.py

	.text
	.balign 4
	.long 0x1badb002, 0, -0x1badb002
	.globl _start
_start:	cli
	cld
	movl $runner_stack,%esp
	lgdt start_gdt_pointer
	ljmp $KERNEL_CODE,$1f
1:	movl $KERNEL_DATA,%eax
	movl %eax,%ds
	movl %eax,%es
	movl %eax,%fs
	movl %eax,%gs
	movl %eax,%ss
	call make_page_tables
	call make_arena
	movl $ARENA_PRISTINE,%esi
	movl $ARENA,%edi
	movl $ARENA_SIZE/4,%ecx
	rep movsl			# the page at LAND among it, which no case restores
	call make_idt
	call make_devices
	movl $0,mailbox+RESULT_COUNT
	movl $PAGE_DIRECTORY,%eax
	movl %eax,%cr3
	movl $CR0_BASE,%eax
	movl %eax,%cr0

# Everything that a site may have changed, as it was; then the next case.
next:	movl $KERNEL_DATA,%eax
	movl %eax,%ds
	movl %eax,%es
	movl %eax,%fs
	movl %eax,%gs
	cld
	fninit				# an error left pending would stop the next fwait
	lgdt start_gdt_pointer
	call exchange
	movl $PAGE_DIRECTORY,%eax
	movl %eax,%cr3
	movl $CR4_BASE,%eax
	movl %eax,%cr4
	xorl %eax,%eax
	movl %eax,%dr0
	movl %eax,%dr1
	movl %eax,%dr2
	movl %eax,%dr3
	movl $0x400,%eax
	movl %eax,%dr7
	movl $0xffff0ff0,%eax
	movl %eax,%dr6
	xorl %eax,%eax
	movl %eax,%cr2
	movl $tables_pristine,%esi
	movl $TABLES,%edi
	movl $TABLES_SIZE/4,%ecx
	rep movsl
	movl $ARENA_PRISTINE,%esi
	movl $ARENA,%edi
	call copy_arena
	movl $ARENA_PRISTINE,%esi
	movl $ARENA_EXPECTED,%edi
	call copy_arena
	movl mailbox+CASE_PATCHES,%ecx
	movl $mailbox+CASE_PATCH,%esi
	jecxz 2f
1:	lodsl
	movl %eax,%edi
	lodsl
	movl %eax,(%edi)
	movl %eax,ARENA_EXPECTED-ARENA(%edi)
	loop 1b
2:	lgdt gdt_pointer
	lidt idt_pointer
	movw $LDT,%ax
	lldt %ax
	movw $TSS,%ax
	ltr %ax
	andl $~0x200,TABLES+TSS+4		# what ltr has made busy, as the pristine tables have it
	movl $SYSENTER_CS,%ecx
	movl mailbox+CASE_SYSENTER_CS,%eax
	xorl %edx,%edx
	wrmsr
	incl %ecx
	movl $SYSENTER_STACK,%eax
	wrmsr
	incl %ecx
	movl $LAND,%eax
	wrmsr
	call set_up_devices
	movl $0,resume
	movl mailbox+CASE_CR0,%eax
	movl %eax,%cr0
	movl mailbox+CASE_CR4,%eax
	movl %eax,%cr4
	movl mailbox+CASE_SITE,%eax
	movl site_table(,%eax,4),%ebx
	testl $3,mailbox+CASE_CS
	jnz outer
# Ring 0: the frame for iret lies below the stack pointer that the site is to find.
	movl mailbox+CASE_ESP,%edi
	subl $12,%edi
	movl %edi,frame
	movl %ebx,(%edi)
	movl mailbox+CASE_CS,%eax
	movl %eax,4(%edi)
	movl mailbox+CASE_EFLAGS,%eax
	movl %eax,8(%edi)
	movl mailbox+CASE_SS,%eax
	mov %ax,%ss
	movl %edi,%esp
	jmp go
outer:	pushl mailbox+CASE_SS
	pushl mailbox+CASE_ESP
	pushl mailbox+CASE_EFLAGS
	pushl mailbox+CASE_CS
	pushl %ebx
	movl %esp,frame
go:	movl mailbox+CASE_GS,%eax
	movl %eax,%gs
	movl mailbox+CASE_FS,%eax
	movl %eax,%fs
	movl mailbox+CASE_ES,%eax
	movl %eax,%es
	movl mailbox+CASE_DS,%eax
	movl %eax,%ds
	movl %cs:mailbox+CASE_EAX,%eax
	movl %cs:mailbox+CASE_ECX,%ecx
	movl %cs:mailbox+CASE_EDX,%edx
	movl %cs:mailbox+CASE_EBX,%ebx
	movl %cs:mailbox+CASE_EBP,%ebp
	movl %cs:mailbox+CASE_ESI,%esi
	movl %cs:mailbox+CASE_EDI,%edi
	iretl

# --- The end of a site -----------------------------------------------------------------------------------

# The data segments are whatever the site left. SS is flat.
trap:	cmpl $0,%ss:resume
	jne probe_failed
	pushal
	pushl %ds
	pushl %es
	pushl %fs
	pushl %gs
	pushfl
	movl %esp,%ss:probe_stack
	movl %cr2,%eax
	movl %eax,%ss:mailbox+RESULT_CR2
	.irp segment,ds,es,fs,gs
	movl $1f,%ss:resume
	movl $PROBE_FAILED,%eax
	movl %\segment:PROBE_OFFSET,%eax
1:	movl %eax,%ss:probe_\segment
	.endr
	movl $0,%ss:resume
	movl $KERNEL_DATA,%eax
	movl %eax,%ds
	movl %eax,%es
	cld
	movl %esp,%esi
	movl %esi,mailbox+RESULT_FRAME_AT
	movl $mailbox+RESULT_FRAME,%edi
	movl $RESULT_FRAME_WORDS,%ecx
	rep movsl
	movl $KERNEL_DATA,%eax
	movl %eax,%ss
	movl $runner_stack,%esp
	movl $probe_ds,%esi
	movl $mailbox+RESULT_PROBES,%edi
	movsl
	movsl
	movsl
	movsl
	movl %cr0,%eax
	movl %eax,mailbox+RESULT_CR0
	movl %cr3,%eax
	movl %eax,mailbox+RESULT_CR3
	movl %cr4,%eax
	movl %eax,mailbox+RESULT_CR4
	sgdt mailbox+RESULT_GDTR
	sidt mailbox+RESULT_IDTR
	sldt mailbox+RESULT_LDTR
	str mailbox+RESULT_TR
	movl %dr0,%eax
	movl %eax,mailbox+RESULT_DR
	movl %dr1,%eax
	movl %eax,mailbox+RESULT_DR+4
	movl %dr2,%eax
	movl %eax,mailbox+RESULT_DR+8
	movl %dr3,%eax
	movl %eax,mailbox+RESULT_DR+12
	movl %dr6,%eax
	movl %eax,mailbox+RESULT_DR+16
	movl %dr7,%eax
	movl %eax,mailbox+RESULT_DR+20
	movl $CR0_BASE,%eax
	movl %eax,%cr0
	movl $PAGE_DIRECTORY,%eax
	movl %eax,%cr3
	lgdt start_gdt_pointer
	lidt idt_pointer
	call settle_devices
	call changes
	jmp next

probe_failed:
	movl %ss:probe_stack,%esp
	jmp *%ss:resume

# Words that differ from what the case began with: pairs of address and value.
changes:
	movl $mailbox+RESULT_CHANGE,%ebp
	xorl %edx,%edx
	movl $region_table,%ebx
1:	movl (%ebx),%esi		# as it is; as it was; words
	movl 4(%ebx),%edi
	movl 8(%ebx),%ecx
	jecxz 4f
2:	repe cmpsl
	je 3f
	cmpl $MAX_CHANGES,%edx
	je 4f
	leal -4(%esi),%eax
	movl %eax,(%ebp)
	subl mailbox+RESULT_FRAME_AT,%eax	# the trap's own frame, and what lay below it
	addl $64,%eax
	cmpl $64+RESULT_FRAME_WORDS*4-8-3,%eax
	jb 5f
	movl -4(%esi),%eax
	movl %eax,4(%ebp)
	addl $8,%ebp
	incl %edx
5:	testl %ecx,%ecx
	jnz 2b
3:	addl $12,%ebx
	jmp 1b
4:	movl %edx,mailbox+RESULT_COUNT
	ret

copy_arena:
	pushl %esi
	pushl %edi
	movl $ARENA_LOW_WORDS,%ecx
	rep movsl
	popl %edi
	popl %esi
	addl $ARENA_HIGH,%esi
	addl $ARENA_HIGH,%edi
	movl $ARENA_HIGH_WORDS,%ecx
	rep movsl
	ret

# --- Devices ------------------------------------------------------------------------------------------------

# Both interrupt controllers at 0x20 and 0x28, all lines masked.
make_devices:
	movb $0x11,%al
	outb %al,$0x20
	outb %al,$0xa0
	movb $0x20,%al
	outb %al,$0x21
	movb $0x28,%al
	outb %al,$0xa1
	movb $4,%al
	outb %al,$0x21
	movb $2,%al
	outb %al,$0xa1
	movb $1,%al
	outb %al,$0x21
	outb %al,$0xa1
	movb $0xff,%al
	outb %al,$0x21
	outb %al,$0xa1
	ret

# PENDING: the timer's interrupt waits at the controller. LATER: it comes while the site runs.
set_up_devices:
	testl $PENDING|LATER,mailbox+CASE_DEVICES
	jz 3f
	movb $0x30,%al			# one shot
	outb %al,$0x43
	movb $SOON,%al
	testl $LATER,mailbox+CASE_DEVICES
	jz 1f
	movb $LATE,%al
1:	outb %al,$0x40
	xorb %al,%al
	testl $LATER,mailbox+CASE_DEVICES
	jz 1f
	movb $LATE_HIGH,%al
1:	outb %al,$0x40
	movb $0xfe,%al
	outb %al,$0x21
	testl $PENDING,mailbox+CASE_DEVICES
	jz 3f
	movb $0x0a,%al			# read requests
	outb %al,$0x20
2:	inb $0x20,%al
	testb $1,%al
	jz 2b
3:	movl $SCRATCH,%edx
	movb $SCRATCH_VALUE,%al
	outb %al,%dx
	ret

# The timer quiet, nothing in service.
settle_devices:
	movl $SCRATCH,%edx
	inb %dx,%al
	movzbl %al,%eax
	movl %eax,mailbox+RESULT_DEVICE
	testl $PENDING|LATER,mailbox+CASE_DEVICES
	jz 1f
	movb $0x30,%al
	outb %al,$0x43			# low before its count: no request
	call make_devices
1:	ret

# --- The mailbox: what carries it is the only difference between a bare machine and the engine ------------------

	.ifdef ENGINE
exchange:
	movl $EXCHANGE_PORT,%edx
	outb %al,%dx			# the VMM takes the result and leaves a case
	ret
	.else
exchange:
	cmpl $0,started
	jne 1f
	movl $1,started
	movl $COM1+1,%edx
	xorl %eax,%eax
	outb %al,%dx			# no interrupts
	movl $COM1+3,%edx
	movb $0x80,%al
	outb %al,%dx
	movl $COM1,%edx
	movb $1,%al
	outb %al,%dx			# 115200
	movl $COM1+1,%edx
	xorl %eax,%eax
	outb %al,%dx
	movl $COM1+3,%edx
	movb $3,%al
	outb %al,%dx
	movl $COM1+2,%edx
	movb $1,%al			# FIFO
	outb %al,%dx
	jmp 3f
1:	movl mailbox+RESULT_COUNT,%ecx
	leal RESULT_CHANGE-RESULT(,%ecx,8),%ecx
	movl $mailbox+RESULT,%esi
2:	lodsb
	call put
	loop 2b
3:	movl $mailbox,%edi
	movl $CASE_PATCH,%ecx
	call take
	movl mailbox+CASE_PATCHES,%ecx
	shll $3,%ecx
	jz 4f
	call take
4:	ret
take:	movl $COM1+5,%edx
1:	inb %dx,%al
	testb $1,%al
	jz 1b
	movl $COM1,%edx
	inb %dx,%al
	stosb
	loop take
	ret
put:	movb %al,%ah
	movl $COM1+5,%edx
1:	inb %dx,%al
	testb $0x20,%al
	jz 1b
	movl $COM1,%edx
	movb %ah,%al
	outb %al,%dx
	ret
	.endif

# --- Memory ---------------------------------------------------------------------------------------------------

# Identity for 8 MiB, everything the user's, but for the pages that the table below says otherwise of.
make_page_tables:
	movl $PAGE_DIRECTORY+4096+7,%eax
	movl %eax,PAGE_DIRECTORY
	addl $4096,%eax
	movl %eax,PAGE_DIRECTORY+4
	movl $7,%eax
	movl $PAGE_DIRECTORY+4096,%edi
	movl $2048,%ecx
1:	stosl
	addl $4096,%eax
	loop 1b
	movl $special_pages,%esi
2:	lodsl
	movl %eax,%edi
	lodsl
	movl %eax,PAGE_DIRECTORY+4096(,%edi,4)
	cmpl $special_pages_end,%esi
	jne 2b
	ret

make_arena:
	movl $ARENA_PRISTINE,%edi
	movl $ARENA_SIZE/4,%ecx
1:	movl %edi,%eax
	imull $0x9e3779b1,%eax
	stosl
	loop 1b
	movl $LAND-ARENA+ARENA_PRISTINE,%edi
	movl $1024,%ecx
	movl $0x41cd41cd,%eax		# int $DONE, at every even address
	rep stosl
	ret

make_idt:
	movl $tables_pristine+IDT-TABLES,%edi
	movl $stubs,%eax
	movl $VECTORS,%ecx
1:	movl %eax,(%edi)
	movl %eax,4(%edi)
	movw $KERNEL_CODE,2(%edi)
	movw $0x8e00,4(%edi)
	addl $16,%eax
	addl $8,%edi
	loop 1b
	movl $gate_table,%esi
2:	lodsl				# vector; access or selector and access
	movl %eax,%edi
	lodsl
	movw %ax,tables_pristine+IDT-TABLES+4(,%edi,8)
	shrl $16,%eax
	movw %ax,tables_pristine+IDT-TABLES+2(,%edi,8)
	cmpl $gate_table_end,%esi
	jne 2b
	movl $tables_pristine,%esi
	movl $TABLES,%edi
	movl $TABLES_SIZE/4,%ecx
	rep movsl
	ret

	.balign 16
stubs:	.set vector,0
	.rept VECTORS
	.balign 16
	.if vector==8 || (vector>=10 && vector<=14) || vector==17
	.else
	pushl $0
	.endif
	.byte 0x68
	.long vector
	jmp trap
	.set vector,vector+1
	.endr

	.data
	.balign 8
start_gdt_pointer:
	.word GDT_LIMIT
	.long tables_pristine
gdt_pointer:
	.word GDT_LIMIT
	.long TABLES
idt_pointer:
	.word IDT_LIMIT
	.long IDT
	.balign 8
tables_pristine:
	.include "tables.inc"		# GDT, LDT and TSS, written by machine.py
	.balign 4
resume:	.long 0
frame:	.long 0
started: .long 0
probe_stack: .long 0
probe_ds: .long 0
probe_es: .long 0
probe_fs: .long 0
probe_gs: .long 0

	.bss
	.balign 4096
	.globl mailbox
mailbox: .skip 4096
	.skip 4096
	.globl runner_stack
runner_stack:
