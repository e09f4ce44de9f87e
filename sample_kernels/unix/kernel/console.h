/* The terminal: the first serial port and the PC's screen and keyboard, which show and say the same. */
#ifndef CONSOLE_H
#define CONSOLE_H

#include <stdint.h>

void console_init(void);
/* A character was typed somewhere; may be called by interrupt handlers. */
void console_typed(char character);
/* A line, or what of it there is room for; 0: Ctrl-D was typed. Or -EINTR. */
int console_read(char *to, uint32_t length);
int console_write(const char *from, uint32_t length);

#endif
