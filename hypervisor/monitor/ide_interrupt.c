/* When an IDE drive interrupts, and what its status says until then.
 *
 * Sectors move at once here, where a disk takes time. Drivers count on that time: they give a command, then note that
 * they wait and sleep; an interrupt within the command's own instruction would come too early, and one look at the
 * status there would take it back. So a drive looks busy to the first look, and its line rises as soon as the guest
 * halts, or looks again, or has turned interrupts on some times, or some time later. */
#include "monitor.h"

/* How often is looked for what is due, and how long the guest must have run meanwhile: its host may have other things
 * to do, and signals take time, too. Setting the host's timer for each command would cost more than most commands, so
 * it is set rarely (SELDOM_NS) as long as the guest halts, looks or turns interrupts on: the timer is there for guests
 * that wait in a loop until their handler has run. */
#define SOON_NS 50000u
#define SELDOM_NS 2000000u
#define RUN_NS 100000u
#define TRUSTED 16u /* interrupts that needed no timer, until it is set rarely */
/* A guest that never halts, but turns interrupts off and on, is told after so many times. */
#define CHANCES 8u
#define ALTERNATE 2u

enum { CONTROL = 0, NO_INTERRUPT = 2 };

static void raise(struct ide_channel *channel)
{
	if (!channel->interrupting)
		return;
	channel->interrupting = INTERRUPT_NONE;
	if (machine.ide_trust < TRUSTED)
		machine.ide_trust++;
	irq_set_line(channel->irq & 15, true);
}

/* The drive has something to tell. */
void ide_interrupt(struct ide_channel *channel)
{
	if (channel->task[CONTROL] & NO_INTERRUPT)
		return;
	channel->master_status |= MASTER_INTERRUPT;
	channel->interrupting = INTERRUPT_DUE;
	channel->chances = 0;
	machine.events = 1;
}

bool ide_interrupts_wait(void) { return control.ide[0].interrupting | control.ide[1].interrupting; }

/* The guest could be interrupted now, if interrupts are on. */
void ide_interrupts_poll(void)
{
	if (!ide_interrupts_wait())
		return;
	if (machine.ide_deadline == ~0ull) {
		machine.ide_deadline = now_ns() + (machine.ide_trust < TRUSTED ? SOON_NS : SELDOM_NS);
		timers_rearm();
	}
	for (uint32_t i = 0; interrupts_on() && i < 2; i++)
		if (control.ide[i].interrupting && ++control.ide[i].chances > CHANCES)
			raise(&control.ide[i]);
}

void ide_timer(uint64_t now)
{
	uint64_t run;
	bool enough, fresh = machine.ide_process != self;

	if (now < machine.ide_deadline)
		return;
	machine.ide_deadline = ~0ull;
	if (!ide_interrupts_wait())
		return;
	run = run_ns();
	enough = !fresh && run - machine.ide_run > RUN_NS;
	for (uint32_t i = 0; i < 2; i++) {
		struct ide_channel *channel = &control.ide[i];

		if (channel->interrupting == INTERRUPT_DUE) {
			channel->interrupting = INTERRUPT_SEEN;
			fresh = true;
		} else if (enough && (vcpu.eip != machine.ide_eip || ++channel->chances > CHANCES)) {
			raise(channel);
			machine.ide_trust = 0;
		}
	}
	if (fresh || enough) {
		machine.ide_process = self;
		machine.ide_run = run;
		machine.ide_eip = vcpu.eip;
	}
	if (ide_interrupts_wait())
		machine.ide_deadline = now + SOON_NS;
}

/* The guest has nothing to do: whether that ends here. */
bool ide_interrupts_now(void)
{
	bool any = ide_interrupts_wait();

	raise(&control.ide[0]);
	raise(&control.ide[1]);
	return any;
}

/* A command, or a read of the status, takes INTRQ back. With interrupts on, a processor would have taken it before. */
void ide_interrupt_back(struct ide_channel *channel)
{
	uint32_t line = channel->irq & 15;

	if (channel->interrupting && interrupts_on())
		irq_pulse(line);
	else if (machine.pic[line / 8].lines >> (line & 7) & 1)
		irq_set_line(line, false);
	channel->interrupting = INTERRUPT_NONE;
}

/* What the status port reads; `index` is that of the port's class. */
uint32_t ide_status(uint32_t index)
{
	struct ide_channel *channel = &control.ide[index & 1];

	if (channel->interrupting == INTERRUPT_DUE) {
		channel->interrupting = INTERRUPT_SEEN;
		return channel->busy;
	}
	if (index & ALTERNATE)
		raise(channel);
	else
		ide_interrupt_back(channel);
	return control.latch[channel->latch];
}

/* What the bus master's status reads: whoever looks there waits for the interrupt bit. */
uint32_t ide_master_status(struct ide_channel *channel)
{
	raise(channel);
	return channel->master_status;
}
