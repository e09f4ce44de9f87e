/* The programs, as offsets in their segment; each gets an argument. */
#ifndef PROGRAMS_H
#define PROGRAMS_H

#include <stdint.h>

/* program_scenes.c */
void introduce(uint32_t number);
void take_turns(uint32_t number);
void wait_for_the_other(uint32_t number);
void be_served(uint32_t unused);
void print_from_elsewhere(uint32_t unused);
void use_a_port(uint32_t number);

/* program_faults.c: what programs may not do. The kernel uses the names, to tell the tasks apart; they lie in the image,
 * as pointers within the programs' segment. */
struct misbehaviour {
	const char *name;
	void (*act)(void);
	int against_segment;	/* only a processor that looks at limits and rights at each access sees it */
};
extern const struct misbehaviour misbehaviours[];	/* the last has no name */
void misbehave(uint32_t which);

#endif
