# The ROM that a bare machine starts from: into protected mode, the kernel into RAM, and on to it. It stands
# where a PC has its BIOS, so nothing but the processor's reset comes before the first instruction of ours.
#
# Assembled with KERNEL (a file), KERNEL_SIZE (bytes), ENTRY (address) defined.

	.set LOAD,0x100000
	.set FLAT_CODE,0x08
	.set FLAT_DATA,0x10

	.section .kernel,"a"
kernel:	.incbin KERNEL

	.section .high,"ax"
	.code32
start32:
	movl $FLAT_DATA,%eax
	movl %eax,%ds
	movl %eax,%es
	movl %eax,%ss
	movl $kernel,%esi
	movl $LOAD,%edi
	movl $KERNEL_SIZE,%ecx
	cld
	rep movsb
	movl $ENTRY,%eax
	jmp *%eax
	.balign 8
gdt:	.quad 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
pointer:
	.word 23
	.long gdt
	.code16
start16:
	cli
	movb $2,%al
	outb %al,$0x92			# address line 20
	lgdtl %cs:0xff00+(pointer-start32)	# CS has base 0xffff0000 here
	movl %cr0,%eax
	orl $1,%eax
	movl %eax,%cr0
	ljmpl $FLAT_CODE,$start32

	.section .reset,"ax"
	.code16
	jmp start16
	.fill 12,1,0x90			# to the last byte but one: an ELF section cannot end at 4 GiB
