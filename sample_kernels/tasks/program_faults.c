/* Programs that do what they may not. Each does one thing, and does not come back from it. */
#include "program.h"
#include "programs.h"

static void divide(void)
{
	__asm__ volatile("divl %0" : : "r"(0), "a"(1), "d"(0) : "cc");
}

static void overflow(void)
{
	__asm__ volatile("addl %0, %0\n\tinto" : : "r"(0x7fffffff) : "cc");
}

static void exceed_bounds(void)
{
	static const int32_t bounds[] = { 0, 8 };

	__asm__ volatile("boundl %0, %1" : : "r"(9), "m"(bounds));
}

static void run_nonsense(void)
{
	__asm__ volatile("ud2");
}

static void read_beyond(void)
{
	__asm__ volatile("movl %0, %%eax" : : "m"(*(const uint32_t *)0x14000) : "eax");
}

static void write_code(void)
{
	__asm__ volatile("movl %%eax, %%cs:0" : : : "memory");
}

static void exhaust_stack(void)
{
	__asm__ volatile("1: pushl $0\n\tjmp 1b");
}

static void load_absent(void)
{
	__asm__ volatile("movw %w0, %%gs" : : "r"(PROGRAM_ABSENT));
}

static void load_kernel_data(void)
{
	__asm__ volatile("movw %w0, %%gs" : : "r"(0x10));
}

static void load_foreign(void)
{
	__asm__ volatile("movw %w0, %%gs" : : "r"(0x2f));	/* beyond the end of the local table */
}

static void jump_to_kernel(void)
{
	__asm__ volatile("ljmp $0x08, $0x101000");
}

static void call_kernel_gate(void)
{
	__asm__ volatile("lcall %0, $0" : : "i"(GATE_KERNEL_ONLY));
}

static void call_task(void)
{
	__asm__ volatile("lcall %0, $0" : : "i"(TASK_CLERK));
}

static void stop_interrupts(void)
{
	__asm__ volatile("cli");
}

static void halt(void)
{
	__asm__ volatile("hlt");
}

static void use_port(void)
{
	__asm__ volatile("outb %%al, %%dx" : : "a"(0), "d"(0x3f8));
}

static void load_table(void)
{
	__asm__ volatile("lldt %w0" : : "r"(0));
}

/* With NT set, `iret` goes back to the task that has called; but nobody has. */
static void return_to_nobody(void)
{
	__asm__ volatile("pushfl\n\torl $0x4000, (%%esp)\n\tpopfl\n\tiret" : : : "memory", "cc");
}

static void raise_kernel_vector(void)
{
	__asm__ volatile("int $0x20");
}

const struct misbehaviour misbehaviours[] = {
	{ "divides by zero", divide, 0 },
	{ "adds too much", overflow, 0 },
	{ "asks for the tenth of nine", exceed_bounds, 0 },
	{ "runs nonsense", run_nonsense, 0 },
	{ "loads an absent segment", load_absent, 0 },
	{ "loads the kernel's segment", load_kernel_data, 0 },
	{ "loads what is not in its table", load_foreign, 0 },
	{ "jumps into the kernel", jump_to_kernel, 0 },
	{ "calls the kernel's own gate", call_kernel_gate, 0 },
	{ "calls a task of the kernel's", call_task, 0 },
	{ "stops interrupts", stop_interrupts, 0 },
	{ "halts the processor", halt, 0 },
	{ "uses a port", use_port, 0 },
	{ "loads a local table", load_table, 0 },
	{ "returns to no task", return_to_nobody, 0 },
	{ "raises the timer's interrupt", raise_kernel_vector, 0 },
	{ "reads beyond its segment", read_beyond, 1 },
	{ "writes to its code", write_code, 1 },
	{ "exhausts its stack", exhaust_stack, 1 },
	{ 0, 0, 0 },
};

void misbehave(uint32_t which)
{
	misbehaviours[which].act();
	say("  program: got away with it\n");
}
