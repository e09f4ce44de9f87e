/* Hardware tasks: the switch from one TSS to another (SDM vol. 3, chapter 7).
 *
 * A switch has two halves. `task_switch` checks whatever may still refuse it, saves the old task and loads the
 * registers of the new one; a fault in it is the old task's. `task_begin` loads the new task's segments, in its own
 * address space, whose process it may have to wait for (pool.c); a fault in it is the new task's, at its first
 * instruction. `resume_work` comes between the two. */
#include "monitor.h"

#define TSS_BUSY 2u /* in the type */
#define DR7_LOCAL 0x155u
#define DR6_BT 0x8000u
#define DEBUG_TRAP 1u /* in the word at TSS_TRAP */

enum { EAX_TO_EDI = 8, REGISTERS = 10 /* EIP and EFLAGS before them */, SELECTORS = 6 };

/* Figures 7-2 and 7-10: offsets, and the smallest limits. */
enum { TSS_LINK = 0, TSS_CR3 = 0x1c, TSS_REGISTERS = 0x20, TSS_SELECTORS = 0x48, TSS_LDT = 0x60, TSS_TRAP = 0x64,
       TSS_LIMIT = 0x67, TSS_SAVED_LIMIT = 0x5f };
enum { TSS16_REGISTERS = 0xe, TSS16_SELECTORS = 0x22, TSS16_LDT = 0x2a, TSS16_LIMIT = 0x2b, TSS16_SAVED_LIMIT = 0x29,
       TSS16_SELECTOR_COUNT = 4 };

/* A TSS of either width, taken apart. */
struct task_state {
	uint32_t cr3, registers[REGISTERS], selectors[SELECTORS], ldt, trap;
};

static uint32_t word_at(const uint8_t *image, uint32_t offset)
{
	return image[offset] | (uint32_t)image[offset + 1] << 8;
}

static void state_unpack(const uint8_t *image, bool wide, struct task_state *out)
{
	*out = (struct task_state){ 0 };
	if (wide) {
		memcpy(&out->cr3, image + TSS_CR3, 4);
		memcpy(out->registers, image + TSS_REGISTERS, sizeof(out->registers));
		for (uint32_t i = 0; i < SELECTORS; i++)
			out->selectors[i] = word_at(image, TSS_SELECTORS + 4 * i);
		out->ldt = word_at(image, TSS_LDT);
		out->trap = image[TSS_TRAP] & DEBUG_TRAP;
		return;
	}
	for (uint32_t i = 0; i < REGISTERS; i++)
		/* The upper halves of general registers are undefined: all ones, as processors have them. */
		out->registers[i] = word_at(image, TSS16_REGISTERS + 2 * i) | (i >= 2 ? 0xffff0000u : 0);
	for (uint32_t i = 0; i < TSS16_SELECTOR_COUNT; i++)
		out->selectors[i] = word_at(image, TSS16_SELECTORS + 2 * i);
	out->ldt = word_at(image, TSS16_LDT);
}

/* The TSS descriptor that a task switch goes to; `vector` is what it raises where there is none. */
static bool tss_find(uint32_t selector, bool busy, uint32_t vector, struct segment *out)
{
	uint64_t d;

	if (selector & 4 || !(selector & 0xfffc))
		return raise_fault(vector, selector & 0xfffc);
	if (!descriptor_read(selector, &d)) {
		if (machine.fault.vector == VECTOR_GP)
			machine.fault.vector = vector;
		return false;
	}
	segment_unpack(selector, d, out);
	/* Types 1, 3: 16 bits, free and busy; 9, 11: 32 bits. */
	if ((out->access & (ACCESS_S | 7)) != (busy ? 3 : 1))
		return raise_fault(vector, selector & 0xfffc);
	if (!(out->access & ACCESS_P))
		return raise_fault(VECTOR_NP, selector & 0xfffc);
	if (out->limit < (out->access & TSS_WIDE ? TSS_LIMIT : TSS16_LIMIT))
		return raise_fault(VECTOR_TS, selector & 0xfffc);
	return true;
}

static uint32_t type_byte(uint32_t selector) { return vcpu.gdt_base + (selector & 0xfff8) + 5; }

/* All that will be written must be writable before anything is. */
static bool may_write(const struct segment *old, const struct segment *new, enum task_way way)
{
	bool wide = old->access & TSS_WIDE;
	uint32_t first = wide ? TSS_REGISTERS : TSS16_REGISTERS, last = wide ? TSS_SAVED_LIMIT : TSS16_SAVED_LIMIT;

	if (old->limit < last)
		return raise_fault(VECTOR_TS, new->selector & 0xfffc);
	return guest_probe_write(old->base + first, last - first + 1, 0) &&
	       (way == TASK_CALL || !(old->selector & 0xfffc) || guest_probe_write(type_byte(old->selector), 1, 0)) &&
	       (way == TASK_RETURN || guest_probe_write(type_byte(new->selector), 1, 0)) &&
	       (way != TASK_CALL || guest_probe_write(new->base + TSS_LINK, 2, 0));
}

static void set_busy(uint32_t selector, bool busy)
{
	uint8_t type;

	if (!(selector & 0xfffc) || !guest_read(type_byte(selector), &type, 1, 0))
		return;
	type = (uint8_t)(busy ? type | TSS_BUSY : type & ~TSS_BUSY);
	guest_write(type_byte(selector), &type, 1, 0);
}

static void state_save(const struct segment *tss, uint32_t eflags)
{
	uint32_t registers[REGISTERS] = { original_eip(vcpu.eip), eflags };
	bool wide = tss->access & TSS_WIDE;
	uint32_t at = tss->base + (wide ? TSS_REGISTERS : TSS16_REGISTERS), count = wide ? SELECTORS : TSS16_SELECTOR_COUNT;

	for (uint32_t i = 0; i < EAX_TO_EDI; i++)
		registers[2 + i] = register_read(i, 4);
	for (uint32_t i = 0; i < REGISTERS; i++)
		guest_write(at + i * (wide ? 4 : 2), &registers[i], wide ? 4 : 2, 0);
	at = tss->base + (wide ? TSS_SELECTORS : TSS16_SELECTORS);
	for (uint32_t i = 0; i < count; i++) {
		uint32_t selector = segment_selector(i);

		guest_write(at + i * (wide ? 4 : 2), &selector, 2, 0);
	}
}

/* The registers of the new task, and its segments as far as their selectors. */
static void state_load(const struct task_state *new, bool nested)
{
	vcpu.eip = new->registers[0];
	flags_load(new->registers[1] | (nested ? FLAG_NT : 0));
	for (uint32_t i = 0; i < EAX_TO_EDI; i++)
		register_write(i, 4, new->registers[2 + i]);
	for (uint32_t i = 0; i < SELECTORS; i++)
		segment_invalidate(i, new->selectors[i]);
	vcpu.ldtr = (struct segment){ new->ldt, 0, 0, 0 };
	vcpu.dr[7] &= ~DR7_LOCAL;
	debug_follow();
}

/* Leave the current task for the one of `selector`, for `event` where an interrupt or exception asks. False with a
 * fault noted, and nothing changed, where that cannot be. */
static bool change_task(uint32_t selector, enum task_way way, const struct event *event)
{
	struct segment tss, old = vcpu.tr;
	struct task_state new;
	uint8_t image[TSS_LIMIT + 1];
	uint16_t link = (uint16_t)old.selector;
	uint32_t flags = flags_for_guest(), old_table = vcpu.ldtr.selector;

	if (!tss_find(selector, way == TASK_RETURN, way == TASK_RETURN ? VECTOR_TS : VECTOR_GP, &tss))
		return false;
	bool wide = tss.access & TSS_WIDE;

	if (!guest_read(tss.base, image, wide ? TSS_LIMIT + 1 : TSS16_LIMIT + 1, 0) || !may_write(&old, &tss, way))
		return false;
	state_unpack(image, wide, &new);
	if (new.registers[1] & FLAG_VM) {
		control.virtual_8086++; /* there is none */
		return raise_fault(VECTOR_TS, selector & 0xfffc);
	}
	if (event && event->cause == CAUSE_FAULT)
		flags |= FLAG_RF;
	/* From here on nothing can fail. */
	state_save(&old, way == TASK_RETURN ? flags & ~FLAG_NT : flags);
	if (way != TASK_CALL)
		set_busy(old.selector, false);
	if (way != TASK_RETURN)
		set_busy(selector, true);
	if (way == TASK_CALL)
		guest_write(tss.base + TSS_LINK, &link, 2, 0);
	task_register_set(&tss);
	state_load(&new, way == TASK_CALL);
	machine.task = (struct task_start){ .trap = new.trap, .wide = wide, .event = { .cause = CAUSE_NONE },
					    .local_table = ((old_table | new.ldt) & 0xfffc) != 0 };
	if (event)
		machine.task.event = *event;
	machine.task_due = true;
	machine.events = 1;
	machine.entered = true;
	write_cr0(shared.cr0 | CR0_TS);
	/* This may not return: another process goes on. What is wrong with the tables is raised in the new task. */
	machine.task.tables_wrong = wide && paging_on() && new.cr3 != shared.cr3 && !write_cr3(new.cr3);
	return true;
}

bool task_switch(uint32_t selector, enum task_way way)
{
	return change_task(selector, way, NULL);
}

/* By a task gate of the IDT. */
bool task_by_interrupt(uint32_t selector, const struct event *event)
{
	return change_task(selector, TASK_CALL, event);
}

/* iret with EFLAGS.NT: back to the task that called this one, or was interrupted by it. */
bool task_return(void)
{
	uint16_t link;

	return guest_read(vcpu.tr.base + TSS_LINK, &link, 2, 0) && change_task(link, TASK_RETURN, NULL);
}

/* --- The second half ----------------------------------------------------------------------------------- */

static bool invalid(uint32_t selector) { return raise_fault(VECTOR_TS, selector & 0xfffc); }

static bool load_local_table(void)
{
	enum { SYSTEM_LDT = 2 };
	uint32_t selector = vcpu.ldtr.selector;
	struct segment table;
	uint64_t d;

	if (!(selector & 0xfffc)) {
		mirror_local_table();
		return true;
	}
	if (selector & 4)
		return invalid(selector);
	if (!task_descriptor(selector, &d))
		return false;
	segment_unpack(selector, d, &table);
	if ((table.access & (ACCESS_S | 0xf)) != SYSTEM_LDT || !(table.access & ACCESS_P))
		return invalid(selector);
	vcpu.ldtr = table;
	mirror_local_table();
	return true;
}

static bool load_code(void)
{
	uint32_t selector = vcpu.cs.selector, rpl = selector & 3;
	struct segment cs;
	uint64_t d;

	if (!task_descriptor(selector, &d))
		return false;
	segment_unpack(selector, d, &cs);
	uint32_t dpl = cs.access >> 5 & 3;

	if ((cs.access & (ACCESS_S | ACCESS_CODE)) != (ACCESS_S | ACCESS_CODE) ||
	    (cs.access & ACCESS_CONFORMING ? dpl > rpl : dpl != rpl))
		return invalid(selector);
	if (!(cs.access & ACCESS_P))
		return raise_fault(VECTOR_NP, selector & 0xfffc);
	if (!mirror_entry(selector, d))
		return invalid(selector);
	cs_set(&cs);
	return true;
}

static bool load_stack(void)
{
	struct segment ss;

	if (!task_stack(vcpu.ss.selector, vcpu.cpl, &ss))
		return false;
	ss_set(&ss);
	return true;
}

static bool load_data(void)
{
	static const enum segment_register data[] = { SEG_ES, SEG_DS, SEG_FS, SEG_GS };

	for (uint32_t i = 0; i < 4; i++)
		if (!segment_load(data[i], segment_selector(data[i]))) {
			if (machine.fault.vector == VECTOR_GP)
				machine.fault.vector = VECTOR_TS;
			return false;
		}
	return true;
}

static bool begin(const struct task_start *task)
{
	if (task->tables_wrong)
		return raise_fault(VECTOR_GP, 0);
	if ((task->local_table && !load_local_table()) || !load_code() || !load_stack() || !load_data())
		return false;
	if (vcpu.cpl)
		enter_outer();
	vcpu.eip = trampoline_eip(vcpu.eip);
	if (vcpu.eip > vcpu.cs.limit)
		return raise_fault(VECTOR_GP, 0);
	if (task->event.has_error && !stack_push(&task->event.error, task->wide ? 4 : 2))
		return false;
	if (!task->trap)
		return true;
	vcpu.dr[6] |= DR6_BT;
	return raise_plain(VECTOR_DB);
}

/* The new task begins: load its segments, and deliver what is wrong with them to it. */
void task_begin(void)
{
	struct task_start task = machine.task;

	machine.task_due = false;
	machine.instruction_eip = vcpu.eip;
	if (begin(&task))
		return;
	if (machine.fault.vector == VECTOR_DB)
		fault_deliver();
	else
		fault_deliver_during(&task.event);
}
