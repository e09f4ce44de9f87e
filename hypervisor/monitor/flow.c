/* Interrupts and exceptions by the IDT, and the return from them (SDM vol. 3, chapter 6); EFLAGS on the way. */
#include "monitor.h"

enum { GATE_TASK = 5, GATE_INTERRUPT16 = 6, GATE_TRAP16, GATE_INTERRUPT = 0xe, GATE_TRAP };

uint32_t flags_for_guest(void)
{
	return (vcpu.eflags & ~(FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_RF)) | (interrupts_on() ? FLAG_IF : 0) |
	       vcpu.iopl << 12 | 2;
}

/* Set the virtual IF. */
void vif_set(bool on)
{
	shared.upcall_mask = !on;
	if (on && !shared.not_pending)
		machine.events = 1;
}

void iopl_set(uint32_t iopl)
{
	if (vcpu.iopl == iopl)
		return;
	vcpu.iopl = iopl;
	flag_tables_write();
}

/* Load EFLAGS bits of `mask` from a guest's image; IF and IOPL as the current ring may. */
void flags_from_guest(uint32_t value, uint32_t mask)
{
	const uint32_t plain = mask & ~(FLAG_IF | FLAG_IOPL | FLAG_VM | FLAG_RF | 2);

	vcpu.eflags = (vcpu.eflags & ~plain) | (value & plain) | 2;
	if (mask & FLAG_IF && vcpu.cpl <= vcpu.iopl)
		vif_set(value & FLAG_IF);
	if (mask & FLAG_IOPL && vcpu.cpl == 0)
		iopl_set(value >> 12 & 3);
}

/* Load all of EFLAGS, whatever the ring: a new task's. */
void flags_load(uint32_t value)
{
	const uint32_t all = 0x247fd5u & ~(FLAG_IF | FLAG_IOPL);

	vcpu.eflags = (vcpu.eflags & ~all) | (value & all);
	vif_set(value & FLAG_IF);
	iopl_set(value >> 12 & 3);
}

static bool gate_read(uint32_t vector, bool software, uint32_t gate[2])
{
	uint32_t error = vector * 8 + 2 + (software ? 0 : 1);

	if (vector * 8 + 7 > vcpu.idt_limit)
		return raise_fault(VECTOR_GP, error);
	if (!guest_read(vcpu.idt_base + vector * 8, gate, 8, 0))
		return false;
	uint32_t type = gate[1] >> 8 & 0x1f;

	if (type != GATE_TASK && type != GATE_INTERRUPT16 && type != GATE_TRAP16 && type != GATE_INTERRUPT &&
	    type != GATE_TRAP)
		return raise_fault(VECTOR_GP, error);
	if (software && (gate[1] >> 13 & 3) < vcpu.cpl)
		return raise_fault(VECTOR_GP, vector * 8 + 2);
	if (!(gate[1] & 0x8000))
		return raise_fault(VECTOR_NP, error);
	return true;
}

static bool enter(const struct event *event)
{
	uint32_t gate[2], frame[6], count = 0, esp = vcpu.esp;
	struct segment cs, ss = vcpu.ss;

	if (!gate_read(event->vector, event->cause == CAUSE_SOFTWARE, gate))
		return false;
	if ((gate[1] >> 8 & 0x1f) == GATE_TASK)
		return task_by_interrupt(gate[0] >> 16, event);
	if (!transfer_target(gate[0] >> 16, TRANSFER_INWARD, &cs))
		return false;
	uint32_t level = cs.selector & 3, error = 0;
	bool inward = level < vcpu.cpl, wide = gate[1] & 0x800;
	uint32_t eip = wide ? (gate[0] & 0xffff) | (gate[1] & 0xffff0000u) : gate[0] & 0xffff;

	if (inward && !inner_stack(level, &ss, &esp))
		return false;
	if (event->has_error)
		frame[count++] = event->error;
	frame[count++] = original_eip(vcpu.eip);
	frame[count++] = vcpu.cs.selector;
	/* Faults push RF, so that returning from them does not meet the same breakpoint (SDM vol. 3, 17.3.1.1). */
	frame[count++] = flags_for_guest() | (event->cause == CAUSE_FAULT ? FLAG_RF : 0);
	if (inward) {
		frame[count++] = vcpu.esp;
		frame[count++] = vcpu.ss.selector;
		error = ss.selector & 0xfffc;
	}
	if (eip > cs.limit)
		return raise_fault(VECTOR_GP, 0);
	if (!frame_push(&ss, &esp, level, frame, count, wide, error))
		return false;
	machine.entered = true;
	vcpu.esp = esp;
	cs_set(&cs);
	if (inward)
		ss_set(&ss);
	vcpu.eip = eip;
	/* AC too: it acts in ring 3 only, which is where the host runs the inner rings. */
	vcpu.eflags &= ~(FLAG_TF | FLAG_NT | FLAG_RF | FLAG_AC);
	if (!(gate[1] & 0x100)) /* interrupt gate */
		shared.upcall_mask = 1;
	return true;
}

/* Enter the handler of an event by the guest's IDT; the return address is vcpu.eip. False with a fault noted, and
 * nothing changed, where the tables do not allow it. */
bool interrupt_enter(const struct event *event)
{
	if (enter(event))
		return true;
	if (event->cause != CAUSE_SOFTWARE)
		fault_is_external();
	return false;
}

bool flow_int(uint32_t vector)
{
	if (tracing(TRACE_DEBUGGER) && !debugger_at_event(STOPPED_INTERRUPT, vector & 255))
		return true;
	return interrupt_enter(&(struct event){ .vector = vector, .cause = CAUSE_SOFTWARE });
}

bool flow_iret(bool wide)
{
	uint32_t frame[3], cpl = vcpu.cpl, iopl = vcpu.iopl;

	if (vcpu.eflags & FLAG_NT)
		return task_return();
	if (!stack_items(0, frame, 3, wide))
		return false;
	if (wide && frame[2] & FLAG_VM && cpl == 0) {
		control.virtual_8086++; /* there is none */
		return raise_fault(VECTOR_GP, 0);
	}
	uint32_t mask = (wide ? 0x257fd5u : 0x7fd5u) & ~(FLAG_IF | FLAG_IOPL);

	if (!far_return(frame[0], frame[1], 3, 0, wide))
		return false;
	/* IF and IOPL by the ring that the return came from (SDM vol. 2, IRET). */
	flags_from_guest(frame[2], mask);
	if (wide && frame[2] & FLAG_RF && machine.watching_code)
		debug_resume_flag();
	if (cpl <= iopl)
		vif_set(frame[2] & FLAG_IF);
	if (cpl == 0)
		iopl_set(frame[2] >> 12 & 3);
	return true;
}
