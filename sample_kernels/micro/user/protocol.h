/* The types of message that each server answers, with what goes in and out. Answers have the same type, or REFUSED. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#define REFUSED 0

/* names */
#define NAMES_REGISTER 1	/* text: a name for the caller */
#define NAMES_FIND 2		/* text: a name; answered, with the task in words[0], when somebody has it */
#define NAMES_LOOK 3		/* the same, at once; 0: nobody */
#define NAMES_LIST 4		/* words[0]: a task; text and words[0]: the next one from there on that has a name */

/* console */
#define CONSOLE_WRITE 1		/* text: to print */
#define CONSOLE_READ 2		/* answered, with the line in text, when somebody has typed one */

/* timer */
#define TIMER_NOW 1		/* words[0]: milliseconds since the start */
#define TIMER_SLEEP 2		/* words[0]: milliseconds; answered when they are over */

/* blocks */
#define BLOCKS 32
#define BLOCK_SIZE 64
#define BLOCKS_READ 1		/* words[0]: a block, which comes in text */
#define BLOCKS_WRITE 2

/* power */
#define POWER_OFF 1

/* singers, sleepers and others that begin when they are told: not answered, but DONE is sent when it is over */
#define START 1			/* words[0]: how much of it */
#define DONE 2

#endif
