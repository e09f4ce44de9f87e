/* What the kernel offers to programs: messages between tasks, and nothing else. */
#ifndef INTERFACE_H
#define INTERFACE_H

/* A system call is `sysenter` with the number in EAX, a task in EBX, the address of a message in ESI, where to go on
 * in EDX and with which stack in ECX. The result is in EAX; EBX, ESI, EDI and EBP are kept. */
#define CALL_SEND 0		/* wait until the task has received the message; 0 */
#define CALL_RECEIVE 1		/* wait for a message of the task, or of ANY; who has sent it */
#define CALL_CALL 2		/* send, and wait for the reply, which takes the message's place; who has replied */
#define CALL_REPLY 3		/* answer a task that waits for it in a call, without waiting; 0 */
#define CALL_EXIT 4		/* the end of the caller */

#define ANY 0xffff
#define KERNEL 0		/* as a sender: of interrupts */
#define NAMES 1			/* the first task is the name server */

/* Results below zero. */
#define ERROR_NO_TASK (-1)	/* there is no such task, or it has ended meanwhile */
#define ERROR_NOT_WAITING (-2)	/* a reply to a task that waits for none from us */
#define ERROR_ADDRESS (-3)	/* the message is not in the caller's memory */
#define ERROR_CALL (-4)		/* no such system call */

#define TEXT_SIZE 112

#ifndef __ASSEMBLER__
#include <stdint.h>

struct message {
	uint32_t type;		/* each server's own, but for: */
	uint32_t words[3];
	char text[TEXT_SIZE];
};
#endif

#define MESSAGE_INTERRUPT 0xffffffff	/* from the kernel; words[0] has a bit for each line that has interrupted */

/* The addresses of programs. */
#define USER_BASE 0x40000000u
#define USER_END 0x50000000u
#define USER_STACK_PAGES 4	/* below USER_END */

#endif
