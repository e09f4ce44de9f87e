/* The PC's keyboard: types to the console. */
#ifndef KEYBOARD_H
#define KEYBOARD_H

void keyboard_init(void);

#endif
