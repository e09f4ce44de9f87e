# What every test guest begins with: flat segments, an IDT whose handler records the trap and goes on
# where the test said, and output of named values to the serial port. The guest's code is at `test`.
#
#	say NAME, VALUE			print NAME=VALUE (32 bits, hexadecimal); changes nothing
#	expect NAME, INSTRUCTION	run it; print the trap's vector (-1: none), error code and how far
#					behind INSTRUCTION its EIP was
#	gate VECTOR, HANDLER, ACCESS	write an IDT entry (0x8e00: interrupt gate of ring 0)
#	user ENTRY, STACK, FLAGS	enter ring 3
#	in_ring_3 NAME, INSTRUCTION	as expect, but in ring 3; without a trap the vector is 0x40
#	finish				end the guest

.set KERNEL_CS,0x08
.set KERNEL_DS,0x10
.set USER_CS,0x1b
.set USER_DS,0x23
.set TSS,0x28
.set FREE,0x30		# first GDT entry that is left to the test

.macro say name:req, value:req
	pushl \value
	pushl $.Lsay\@
	call print_item
	.pushsection .rodata
.Lsay\@:	.asciz "\name"
	.popsection
.endm

.macro expect name:req, instruction:vararg
	movl %esp,trap_esp
	movl $.Lafter\@,trap_resume
	movl $-1,trap_vector
	movl $0,trap_error
	movl $.Lat\@,trap_eip
.Lat\@:	\instruction
.Lafter\@:
	movl $0,trap_resume
	subl $.Lat\@,trap_eip
	say \name, trap_vector
	say \name\().error, trap_error
	say \name\().at, trap_eip
.endm

.macro gate vector:req, handler:req, access=0x8e00
	movl $\handler,idt+8*\vector
	movl $\handler,idt+8*\vector+4
	movw $KERNEL_CS,idt+8*\vector+2
	movw $\access,idt+8*\vector+4
.endm

.macro user entry:req, stack=$stack_top-8192, flags=$0x202
	movl $USER_DS,%eax
	r3_load_ds %eax
	r3_load_es %eax
	pushl $USER_DS
	pushl \stack
	pushl \flags
	pushl $USER_CS
	pushl \entry
	r3_iret
.endm

.macro in_ring_3 name:req, instruction:vararg
	movl %esp,trap_esp
	movl $.Lafter\@,trap_resume
	movl $-1,trap_vector
	user $.Lat\@
.Lat\@:	\instruction
	r3_int $0x40
.Lafter\@:
	movl $0,trap_resume
	subl $.Lat\@,trap_eip
	say \name, trap_vector
	say \name\().error, trap_error
	say \name\().at, trap_eip
.endm

.macro finish
	movb $4,%al			# end of transmission, for machines without port 0xf4
	call put_byte
	movl $0,%eax
	r3_out %al,$0xf4
	jmp .			# never; so what follows is nobody's continuation
.endm

	.text
	.balign 4
	.long 0x1badb002, 0, -0x1badb002
	.globl _start
_start:	movl $stack_top,%esp
	cld
	r3_lgdt gdt_pointer
	r3_ljmp $KERNEL_CS,$1f
1:	call kernel_data
	movl $KERNEL_DS,%eax
	r3_load_ss %ax
	xorl %ecx,%ecx
	movl $stubs,%eax
2:	movl %eax,idt(,%ecx,8)
	movl %eax,idt+4(,%ecx,8)
	movw $KERNEL_CS,idt+2(,%ecx,8)
	movw $0x8e00,idt+4(,%ecx,8)
	addl $16,%eax
	incl %ecx
	cmpl $256,%ecx
	jne 2b
	movw $0xee00,idt+8*0x40+4
	r3_lidt idt_pointer
	movl $tss,%eax
	movw %ax,gdt+TSS+2
	shrl $16,%eax
	movb %al,gdt+TSS+4
	movb %ah,gdt+TSS+7
	movl $TSS,%eax
	r3_ltr %ax
	.irp pair,0x833fb,0x013f8,0x003f9,0x033fb	# 115200 baud, 8 bits
	movl $\pair&0xfff,%edx
	movb $\pair>>12,%al
	r3_out %al,%dx
	.endr
	movb $0xff,%al			# as the BIOS leaves them, IRQ 0 would come at vector 8
	r3_out %al,$0x21
	r3_out %al,$0xa1
	jmp test

kernel_data:
	movl $KERNEL_DS,%eax
	r3_load_ds %eax
	r3_load_es %eax
	r3_load_fs %eax
	r3_load_gs %eax
	ret

print_item:
	pushfl
	pushal
	cld
	movl 40(%esp),%esi
1:	movb (%esi),%al
	incl %esi
	testb %al,%al
	jz 2f
	call put_byte
	jmp 1b
2:	movb $'=',%al
	call put_byte
	movl 44(%esp),%ebx
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
	popfl
	ret $8

put_byte:
	pushl %edx
	pushl %eax
	movl $0x3fd,%edx
1:	r3_in %dx,%al
	testb $0x20,%al			# the transmitter takes a byte
	jz 1b
	popl %eax
	movl $0x3f8,%edx
	r3_out %al,%dx
	popl %edx
	ret

# The data segments may be the user's at entry, so everything goes through SS.
trap:	popl %ss:trap_vector
	popl %ss:trap_error
	popl %ss:trap_eip
	popl %ss:trap_cs
	popl %ss:trap_eflags
	testl $3,%ss:trap_cs
	jz 1f
	popl %ss:trap_user_esp
	popl %ss:trap_user_ss
1:	movl %eax,%ss:trap_eax
	movl %ss:trap_esp,%esp
	call kernel_data
	movl trap_eax,%eax
	cmpl $0,trap_resume
	je 2f
	jmp *trap_resume
2:	say unexpected, trap_vector
	say unexpected.error, trap_error
	say unexpected.eip, trap_eip
	finish

	.balign 16
stubs:	.set vector,0
	.rept 256
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
gdt:	.quad 0
	.quad 0x00cf9a000000ffff, 0x00cf92000000ffff, 0x00cffa000000ffff, 0x00cff2000000ffff
	.quad 0x0000890000000067
	.fill 26,8,0
gdt_end:
gdt_pointer:
	.word gdt_end-gdt-1
	.long gdt
idt_pointer:
	.word 8*256-1
	.long idt
	.balign 4
tss:	.long 0, stack_top-4096, KERNEL_DS
	.fill 22,4,0
	.word 0, 104
trap_esp:	.long stack_top
trap_vector:	.long 0
trap_error:	.long 0
trap_eip:	.long 0
trap_cs:	.long 0
trap_eflags:	.long 0
trap_user_esp:	.long 0
trap_user_ss:	.long 0
trap_eax:	.long 0
trap_resume:	.long 0

	.bss
	.balign 4096
idt:	.skip 8*256
	.balign 4096
	.skip 16384
stack_top:
	.text
