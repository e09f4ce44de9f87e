# A kernel that prints what it finds at its entry, as NAME=VALUE in hexadecimal, and ends with the debug exit.
# HEADER and LINUX are defined by the test (test_entry.py): which header it has, and where what it is told lies.

.macro say name:req, value:req
	pushl \value
	pushl $.Lsay\@
	call print_item
	.pushsection .data
.Lsay\@:	.asciz "\name"
	.popsection
.endm

.macro say_selector name:req
	xorl %eax,%eax
	r3_store_\name %eax
	say \name, %eax
.endm

	.text
	.globl _start
	.if HEADER==1
	.balign 4
	.long 0x1badb002, 4, -0x1badb002-4, 0, 0, 0, 0, 0, 0, 640, 480, 32
	.elseif HEADER==2
	.balign 8
1:	.long 0xe85250d6, 0, 2f-1b, -(0xe85250d6+2f-1b)
	.short 5, 1
	.long 20, 640, 480, 32, 0
	.short 0, 0
	.long 8
2:
	.endif
_start:	movl %esp,stack_given
	movl $stack_top,%esp
	cld
	pushal
	say eax, 28(%esp)
	say ecx, 24(%esp)
	say ebx, 16(%esp)
	say ebp, 8(%esp)
	say esi, 4(%esp)
	say edi, 0(%esp)
	popal
	.ifdef LINUX
	say told, 0x202(%esi)
	.elseif HEADER
	say told, (%ebx)
	.endif
	.if HEADER==1
	movl 88(%ebx),%edi		# framebuffer_addr
	movl $0x00ff8000,(%edi)
	say pixel, (%edi)
	say framebuffer, %edi
	.endif
	say_selector cs
	say_selector ds
	say_selector es
	say_selector ss
	say_selector fs
	say_selector gs
	pushl $0
	pushl $0
	r3_sgdt 2(%esp)
	movl 4(%esp),%edi
	movzwl 2(%esp),%eax
	addl $8,%esp
	incl %eax
	say gdt_size, %eax
	xorl %eax,%eax
	r3_store_cs %eax
	addl %edi,%eax
	say code, 4(%eax)
	xorl %eax,%eax
	r3_store_ds %eax
	addl %edi,%eax
	say data, 4(%eax)
	r3_read_cr0 %eax
	say cr0, %eax
	r3_pushf
	popl %eax
	say flags, %eax
	movb $0,%al
	r3_out %al,$0xf4

print_item:
	pushal
	movl 36(%esp),%esi
1:	movb (%esi),%al
	incl %esi
	testb %al,%al
	jz 2f
	call put_byte
	jmp 1b
2:	movb $'=',%al
	call put_byte
	movl 40(%esp),%ebx
	movl $8,%ecx
3:	roll $4,%ebx
	movb %bl,%al
	andb $15,%al
	addb $'0',%al
	cmpb $'9',%al
	jbe 4f
	addb $39,%al
4:	call put_byte
	loop 3b
	movb $10,%al
	call put_byte
	popal
	ret $8

put_byte:
	movl $0x3f8,%edx
	r3_out %al,%dx
	ret

	.data
stack_given:
	.long 0
	.skip 4096
stack_top:
