/* What happens to the processor while it runs a process. */
#ifndef TRAP_H
#define TRAP_H

void traps_init(void);

#endif
