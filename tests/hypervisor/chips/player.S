# Plays a script of accesses to the machine that it runs on, behind the prelude of the test guests: records of
# operation, port or address, value (32 bits each), at `script`. What each one answered goes to the serial port at
# the end: answer and time (TSC, 64 bits), behind the word MAGIC.
#
# Operations: 0 end, 1 write a port, 2 read a port, 3 write memory, 4 read memory, 5 wait for TSC ticks, 6 open a
# window for one interrupt (the answer is its vector, or -1).

.set MAGIC,0x52334350

test:	xorl %ecx,%ecx
	movl $vectors,%eax
1:	movl %eax,idt(,%ecx,8)
	movl %eax,idt+4(,%ecx,8)
	movw $KERNEL_CS,idt+2(,%ecx,8)
	movw $0x8e00,idt+4(,%ecx,8)
	addl $16,%eax
	incl %ecx
	cmpl $256,%ecx
	jne 1b
	movl $script,%ebp
	movl $answers,%edi
next:	movl (%ebp),%ecx
	movl 4(%ebp),%ebx
	movl 8(%ebp),%esi
	addl $12,%ebp
	rdtsc
	movl %eax,4(%edi)
	movl %edx,8(%edi)
	movl %ebx,%edx
	jmp *operations(,%ecx,4)

write_port:
	movl %esi,%eax
	r3_out %al,%dx
	xorl %eax,%eax
	jmp answer
read_port:
	xorl %eax,%eax
	r3_in %dx,%al
	jmp answer
write_memory:
	movl %esi,(%edx)
	xorl %eax,%eax
	jmp answer
read_memory:
	movl (%edx),%eax
	jmp answer
wait:	rdtsc
	subl 4(%edi),%eax
	sbbl 8(%edi),%edx
	subl %esi,%eax
	sbbl $0,%edx
	jb wait
	xorl %eax,%eax
	jmp answer
window:	movl $-1,vector
	r3_sti
	nop
	r3_cli
	movl vector,%eax
answer:	movl %eax,(%edi)
	addl $12,%edi
	jmp next

end:	movl $0x3f9,%edx
	xorl %eax,%eax
	r3_out %al,%dx
	movl $0x3fb,%edx
	movb $3,%al
	r3_out %al,%dx
	movl $0x3fc,%edx
	r3_out %al,%dx
	movl $magic,%esi
	movl $MAGIC,(%esi)
2:	movl (%esi),%eax
	call put_byte
	incl %esi
	cmpl %edi,%esi
	jb 2b
	finish

taken:	popl vector
	andl $~0x200,8(%esp)		# no more than one
	r3_iret

	.balign 16
vectors:
	.set number,0
	.rept 256
	.balign 16
	.byte 0x68
	.long number
	jmp taken
	.set number,number+1
	.endr

	.data
	.balign 4
operations:
	.long end, write_port, read_port, write_memory, read_memory, wait, window
vector:	.long 0
	.bss
	.balign 4
magic:	.skip 4
answers:
	.skip 0x100000
	.data
	.balign 4
script:
