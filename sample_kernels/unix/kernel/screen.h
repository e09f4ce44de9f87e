/* The VGA's text screen. */
#ifndef SCREEN_H
#define SCREEN_H

void screen_init(void);
void screen_put(char character);	/* new line, carriage return, backspace and tab move */
void screen_show_cursor(void);		/* where the next character goes */

#endif
