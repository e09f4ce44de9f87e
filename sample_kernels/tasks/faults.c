#include "faults.h"
#include "descriptors.h"
#include "pc.h"
#include "selectors.h"
#include "task.h"

#define STACK 2048

static const struct fault {
	unsigned vector;
	int has_code;
	unsigned ring;			/* the outermost one whose instructions may raise it on purpose */
	const char *name;
} faults[] = {
	{ 0, 0, 0, "divide error" },
	{ 4, 0, 3, "overflow" },	/* `into` */
	{ 5, 0, 0, "bound exceeded" },
	{ 6, 0, 0, "invalid opcode" },
	{ 10, 1, 0, "invalid task" },
	{ 11, 1, 0, "segment not present" },
	{ 12, 1, 0, "stack fault" },
	{ 13, 1, 0, "general protection" },
};
#define FAULTS (sizeof(faults) / sizeof(faults[0]))

static struct tss tasks[FAULTS];
static uint8_t stacks[FAULTS][STACK] __attribute__((aligned(16)));

/* entries.S */
void fault_task(void);
void fault_task_with_code(void);
void fault_handle(unsigned index, uint32_t error_code);

void fault_handle(unsigned index, uint32_t error_code)
{
	uint16_t self = task_register();
	const struct tss *culprit = tss_of((uint16_t)tss_of(self)->back_link);

	print("  fault: %s, in ring %u: %s", task_name(), culprit->cs & 3, faults[index].name);
	if (faults[index].has_code)
		print(", error code %x", error_code);
	print("\n");
	task_replace(self);
}

void faults_init(void)
{
	for (unsigned index = 0; index < FAULTS; index++) {
		const struct fault *fault = &faults[index];
		uint16_t selector = (uint16_t)(FIRST_FAULT_TASK + 8 * index);

		service_task_create(selector, &tasks[index], fault->has_code ? fault_task_with_code : fault_task,
				    stacks[index] + STACK, index);
		gate_set(fault->vector, selector, 0, (uint16_t)(GATE_TASK | ACCESS_RING(fault->ring) << 8));
	}
}
