/* The monitor's chips without a guest: a script of accesses and of time comes in, answers go out. Time is
 * what the script says, so that every run is the same. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "monitor.h"

enum operation { OUT, IN, STORE, LOAD, ADVANCE, JUMP, LINE, PULSE, ACKNOWLEDGE, INTA, PENDING, LINES, SEND, TAKE, BREAK,
		 WALL, POLICY };

struct step {
	uint32_t operation, address;
	uint64_t value;
};

uint8_t state[TRACE_OFFSET];
struct control_block control;
struct vcpu vcpu;
struct machine machine;

static uint64_t now = 1000000000, wall = 1709219045ull * NS;

uint64_t now_ns(void) { return now; }
bool surely_ahead(uint64_t time) { return time > now; }
bool ide_interrupts_wait(void) { return false; }
uint64_t wall_ns(void) { return wall; }
void host_timer(uint64_t deadline) { (void)deadline; }
void ide_timer(uint64_t when) { (void)when; }
void doorbell(void) { machine.serial_deadline = ~0ull; }
void exit_prepare(uint32_t port, uint64_t address, uint32_t size, uint32_t count, uint32_t value)
{
	(void)address, (void)size, (void)count, (void)value;
	control.exit.port = port;
}

/* Nobody has read what the guest sent: it is lost. */
uint32_t exit_to_vmm(uint32_t reason)
{
	if (reason != EXIT_SERIAL_FULL)
		abort();
	control.serial[control.exit.port].out_tail = control.serial[control.exit.port].out_head;
	return 0;
}

static uint32_t in(uint32_t port)
{
	switch (port) {
	case 0x20: case 0x21: case 0xa0: case 0xa1: case 0x4d0: case 0x4d1: return pic_in(port);
	case 0x40 ... 0x43: case 0x61: return pit_in(port);
	case 0x70: case 0x71: return rtc_in(port);
	case 0x600 ... 0x603: case 0x608 ... 0x60b: return pm_in(port, 1);
	default: return uart_in(port);
	}
}

static void out(uint32_t port, uint32_t value)
{
	switch (port) {
	case 0x20: case 0x21: case 0xa0: case 0xa1: case 0x4d0: case 0x4d1: pic_out(port, value); break;
	case 0x40 ... 0x43: case 0x61: pit_out(port, value); break;
	case 0x70: case 0x71: rtc_out(port, value); break;
	case 0x600 ... 0x603: case 0x608 ... 0x60b: pm_out(port, 1, value); break;
	default: uart_out(port, value);
	}
}

static void move(uint64_t to)
{
	wall += to - now;
	now = to;
}

/* The host's timer goes off at each deadline, as exactly as a host's never does. */
static void advance(uint64_t ns)
{
	uint64_t end = now + ns;

	while (machine.deadline <= end) {
		if (machine.deadline > now)
			move(machine.deadline);
		timers_run();
	}
	move(end);
}

static uint64_t take(uint32_t number)
{
	struct serial_port *wire = &control.serial[number];
	uint32_t size = number ? SERIAL_OUT_SIZE : CONSOLE_OUT_SIZE;
	uint32_t ring = number ? SERIAL_OUT_OFFSET + (number - 1) * SERIAL_OUT_SIZE : CONSOLE_OUT_OFFSET;

	return wire->out_tail == wire->out_head ? ~0ull : state[ring + wire->out_tail++ % size];
}

static void send(uint32_t number, uint8_t byte)
{
	struct serial_port *wire = &control.serial[number];
	uint32_t size = number ? SERIAL_IN_SIZE : CONSOLE_IN_SIZE;
	uint32_t ring = number ? SERIAL_IN_OFFSET + (number - 1) * SERIAL_IN_SIZE : CONSOLE_IN_OFFSET;

	state[ring + wire->in_head++ % size] = byte;
	uarts_update();
}

static bool run(const struct step *step, uint64_t *answer)
{
	uint32_t page = step->address & ~PAGE_MASK, offset = step->address & PAGE_MASK;

	switch ((enum operation)step->operation) {
	case OUT: out(step->address, (uint32_t)step->value & 0xff); return false;
	case IN: *answer = in(step->address); return true;
	case STORE: (page == 0xfee00000 ? lapic_write : ioapic_write)(offset, (uint32_t)step->value); return false;
	case LOAD: *answer = (page == 0xfee00000 ? lapic_read : ioapic_read)(offset); return true;
	case ADVANCE: advance(step->value); return false;
	case JUMP: move(now + step->value); timers_run(); return false;
	case LINE: irq_set_line(step->address, step->value); return false;
	case PULSE: irq_pulse(step->address); return false;
	case ACKNOWLEDGE: *answer = (uint64_t)(int64_t)irq_acknowledge(); return true;
	case INTA: *answer = pic_acknowledge(); irq_update(); return true;
	case PENDING: *answer = !shared.not_pending; return true;
	case LINES: *answer = machine.pic[0].lines | (uint32_t)machine.pic[1].lines << 8; return true;
	case SEND: send(step->address, (uint8_t)step->value); return false;
	case TAKE: *answer = take(step->address); return true;
	case BREAK:
		control.serial[step->address].break_at = control.serial[step->address].in_head;
		control.serial[step->address].breaks++;
		uarts_update();
		return false;
	case WALL: wall = step->value; return false;
	case POLICY: control.lost_ticks = (uint32_t)step->value; return false;
	}
	abort();
}

static bool is_zero(const void *from, const void *to)
{
	for (const uint8_t *at = from; at < (const uint8_t *)to; at++)
		if (*at)
			return false;
	return true;
}

/* Nothing was written but what belongs to the chips. */
static bool is_sound(void)
{
	return is_zero(state + sizeof(struct shared_page), state + CONSOLE_OUT_OFFSET) &&
	       is_zero(state + CONSOLE_IN_OFFSET + CONSOLE_IN_SIZE, state + LAPIC_PAGE_OFFSET) &&
	       is_zero(state + FIFO_OFFSET, state + TRACE_OFFSET) && is_zero(&machine.segments_lost, machine.pic) &&
	       is_zero(&machine.ldt_generation, &machine + 1);
}

int main(void)
{
	struct step step;

	vcpu.apic_base = 0xfee00900;
	shared.not_pending = 1;
	for (uint32_t i = 0; i < SERIAL_COUNT; i++)
		control.serial[i].present = 1;
	pic_reset();
	lapic_reset();
	ioapic_reset();
	pit_reset();
	pm_reset();
	uart_reset();
	rtc_reset();
	machine.ide_deadline = ~0ull;
	timers_rearm();
	while (fread(&step, sizeof(step), 1, stdin) == 1) {
		uint64_t answer;

		if (run(&step, &answer))
			fwrite(&answer, sizeof(answer), 1, stdout);
	}
	return is_sound() ? 0 : 1;
}
