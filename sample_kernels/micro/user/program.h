/* What programs share: messages, names, text. */
#ifndef PROGRAM_H
#define PROGRAM_H

#include "interface.h"
#include "protocol.h"

#include <stddef.h>

/* Each program has one; `line` is that of its module. */
void program(const char *line);

/* start.S */
int system_call(uint32_t number, uint32_t task, struct message *message);

static inline int send(unsigned to, struct message *message)
{
	return system_call(CALL_SEND, to, message);
}

static inline int receive(unsigned from, struct message *message)
{
	return system_call(CALL_RECEIVE, from, message);
}

static inline int call(unsigned to, struct message *message)
{
	return system_call(CALL_CALL, to, message);
}

static inline int reply(unsigned to, struct message *message)
{
	return system_call(CALL_REPLY, to, message);
}

/* program.c */

/* Tell the name server who we are. */
void name_register(const char *name);
/* The task of that name. Waits until there is one. */
unsigned name_find(const char *name);
/* The same, 0 if there is none. */
unsigned name_look(const char *name);

/* The n-th word of a line, from 0 on, in `to`; the rest of the line from there on. */
const char *nth_word(const char *line, unsigned n, char *to, size_t size);
uint32_t number(const char *text);
int same(const char *one, const char *other);
/* At most `size` - 1 characters, and a zero. */
void copy_text(char *to, const char *from, size_t size);

/* Print by the console server, at most TEXT_SIZE - 1 characters: %s, %u, %d and %%. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
