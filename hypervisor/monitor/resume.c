/* Between two pieces of guest code: timers, interrupt requests, delivery. */
#include "monitor.h"

static void take_requests(void)
{
	for (uint32_t line = 0; line < 16; line++) {
		enum { PULSE = 1, RAISE };

		if (!__atomic_load_n(&control.irq_request[line], __ATOMIC_RELAXED))
			continue;
		uint8_t wanted = __atomic_exchange_n(&control.irq_request[line], 0, __ATOMIC_SEQ_CST);

		if (wanted == PULSE)
			irq_pulse(line);
		else
			irq_set_line(line, wanted == RAISE);
	}
}

static void load_segments(void)
{
	machine.segments_lost = 0;
	/* A selector whose descriptor has gone meanwhile faults here as it would in the guest; null is
	 * what the guest then holds. */
	if (!segment_usable(vcpu.host_ds))
		vcpu.host_ds = 0;
	if (!segment_usable(vcpu.host_es))
		vcpu.host_es = 0;
	if (!segment_usable(vcpu.host_fs))
		vcpu.host_fs = 0;
	if (!segment_usable(vcpu.host_gs))
		vcpu.host_gs = 0;
	__asm__ volatile("mov %0, %%ds" : : "r"(vcpu.host_ds));
	__asm__ volatile("mov %0, %%es" : : "r"(vcpu.host_es));
	__asm__ volatile("mov %0, %%fs" : : "r"(vcpu.host_fs));
	__asm__ volatile("mov %0, %%gs" : : "r"(vcpu.host_gs));
}

/* Deliver one pending interrupt if the virtual IF and the interrupt shadow allow. */
static void deliver(void)
{
	int vector;

	if (!irq_waits()) {
		/* No more than a look was asked for: its instruction need not be waited for. */
		if (!machine.stack_loaded)
			machine.shadow = false;
		return;
	}
	if (!interrupts_on())
		return;
	if (machine.shadow) {
		machine.shadow = false;
		take_trampoline_jumps();
		if (!machine.stepping && (machine.watching || !emulate_ordinary()))
			step_one();
	}
	if (machine.stepping) {
		machine.events = 0; /* until that trap */
		return;
	}
	vector = irq_acknowledge();
	if (vector < 0)
		return;
	control.interrupts[vector & 255]++;
	machine.instruction_eip = vcpu.eip;
	if (tracing(TRACE_DEBUGGER))
		debugger_at_event(STOPPED_INTERRUPT, (uint32_t)vector & 255);
	if (tracing(TRACE_INTERRUPT))
		trace_event(TRACE_INTERRUPT, (uint32_t)vector, (uint32_t[5]){ 0 }, 0);
	if (!interrupt_enter(&(struct event){ .vector = (uint32_t)vector, .cause = CAUSE_EXTERNAL }))
		fault_deliver();
}

/* Bring the devices up to now and find out whether an interrupt waits. */
void devices_poll(void)
{
	timers_run();
	take_requests();
	ide_interrupts_poll();
	uarts_update();
	irq_update();
}

/* Called by `resume` while events (a task that is to begin among them) are noted or segment registers must be loaded. */
void resume_work(void)
{
	if (machine.events) {
		machine.events = 0;
		while (machine.task_due)
			task_begin();
		if (machine.traced) {
			machine.traced = false;
			end_of_instruction();
		}
		if (machine.debugger_due || debugger.request)
			debugger_stop();
		if (machine.fpu_due && vcpu.cpl == 3)
			fpu_deliver_early();
		devices_poll();
		deliver();
	}
	if (machine.segments_lost)
		load_segments();
}
