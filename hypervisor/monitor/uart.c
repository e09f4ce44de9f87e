/* Up to four 16550A UARTs (National PC16550D data sheet). What the guest sends goes into a ring of the state
 * file, what is sent to it comes out of another; the first port's are the console. The line's speed only
 * says how long a character takes for the FIFO's timeout; its format changes nothing. */
#include "monitor.h"

enum { DATA = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7 };
enum { IER_RX = 1, IER_TX = 2, IER_LINE = 4, IER_MODEM = 8, FCR_ON = 1, FCR_CLEAR_RX = 2, FCR_CLEAR_TX = 4,
       LCR_DLAB = 0x80, MCR_LOOP = 0x10, LSR_READY = 1, LSR_OVERRUN = 2, LSR_BREAK = 0x10, LSR_TX_EMPTY = 0x60,
       LSR_ERROR_IN_FIFO = 0x80, MSR_CONNECTED = 0xb0, MSR_RING = 0x40 };
enum { ID_MODEM = 0, ID_NONE = 1, ID_TX = 2, ID_RX = 4, ID_LINE = 6, ID_TIMEOUT = 12, ID_FIFO = 0xc0 };

/* Output waits this long for more before the VMM is told. */
#define CONSOLE_DELAY_NS 1000000u
#define DIVISOR_ONE_HZ 115200u
#define TIMEOUT_CHARACTERS 4u

/* --- The far end ------------------------------------------------------------------------------------------ */

static const uint16_t lines[SERIAL_COUNT] = { 4, 3, 4, 3 };

static uint32_t number_of(uint32_t port) { return (~port >> 8 & 1) + (~port >> 3 & 2); }

_Static_assert(!(CONSOLE_OUT_SIZE & (CONSOLE_OUT_SIZE - 1)) && !(SERIAL_OUT_SIZE & (SERIAL_OUT_SIZE - 1)), "rings");

static inline void put(uint32_t number, uint8_t byte, uint32_t ring, uint32_t size)
{
	struct serial_port *wire = &control.serial[number];

	while (wire->out_head - wire->out_tail >= size) {
		exit_prepare(number, 0, 0, 0, 0);
		exit_to_vmm(EXIT_SERIAL_FULL);
	}
	state[ring + (wire->out_head & (size - 1))] = byte;
	__atomic_store_n(&wire->out_head, wire->out_head + 1, __ATOMIC_RELEASE);
	if (machine.serial_deadline == ~0ull && !control.doorbell) {
		machine.serial_deadline = now_ns() + CONSOLE_DELAY_NS;
		timers_rearm();
	}
}

void serial_put(uint32_t number, uint8_t byte)
{
	if (number == 0)
		put(0, byte, CONSOLE_OUT_OFFSET, CONSOLE_OUT_SIZE);
	else
		put(number, byte, SERIAL_OUT_OFFSET + (number - 1) * SERIAL_OUT_SIZE, SERIAL_OUT_SIZE);
}

bool serial_get(uint32_t number, uint8_t *byte)
{
	struct serial_port *wire = &control.serial[number];
	uint32_t tail = wire->in_tail;

	if (wire->in_head == tail)
		return false;
	*byte = number ? state[SERIAL_IN_OFFSET + (number - 1) * SERIAL_IN_SIZE + tail % SERIAL_IN_SIZE]
		       : state[CONSOLE_IN_OFFSET + tail % CONSOLE_IN_SIZE];
	__atomic_store_n(&wire->in_tail, tail + 1, __ATOMIC_RELEASE);
	return true;
}

/* --- Receiving ---------------------------------------------------------------------------------------------- */

static uint32_t depth(const struct uart_state *u) { return u->fcr & FCR_ON ? sizeof(u->received) : 1; }

static uint32_t trigger(const struct uart_state *u)
{
	static const uint8_t levels[4] = { 1, 4, 8, 14 };

	return u->fcr & FCR_ON ? levels[u->fcr >> 6] : 1;
}

/* Start bit, data, parity, stop bits, at the divisor's speed. */
static uint64_t character_ns(const struct uart_state *u)
{
	uint32_t divisor = u->dlm << 8 | u->dll;
	uint32_t bits = 1 + 5 + (u->lcr & 3) + (u->lcr >> 3 & 1) + 1 + (u->lcr >> 2 & 1);

	return (uint64_t)bits * (divisor ? divisor : 0x10000) * NS / DIVISOR_ONE_HZ;
}

/* The FIFO's clock starts anew whenever a character comes or goes. */
static void restart_timeout(struct uart_state *u)
{
	if (u->fcr & FCR_ON && u->count)
		u->timeout_at = now_ns() + TIMEOUT_CHARACTERS * character_ns(u);
}

static void receive(struct uart_state *u, uint8_t byte)
{
	if (u->count == depth(u)) {
		u->errors |= LSR_OVERRUN;
		if (u->fcr & FCR_ON)
			return;
		u->count = 0; /* the register holds the last one */
	}
	if (!(u->fcr & FCR_ON))
		u->holding = byte;
	u->received[(u->first + u->count) % sizeof(u->received)] = byte;
	u->count++;
	restart_timeout(u);
}

static bool arrives(uint32_t number)
{
	const struct serial_port *wire = &control.serial[number];

	return wire->in_head != wire->in_tail || wire->breaks != machine.uart[number].breaks;
}

/* Take what the far end has sent, as far as there is room: it waits for us. */
static void listen(uint32_t number)
{
	const struct serial_port *wire = &control.serial[number];
	struct uart_state *u = &machine.uart[number];
	uint8_t byte;

	if (u->mcr & MCR_LOOP)
		return;
	while (u->count < depth(u)) {
		if (u->breaks != wire->breaks && (int32_t)(wire->in_tail - wire->break_at) >= 0) {
			u->breaks = wire->breaks;
			u->errors |= LSR_BREAK;
			byte = 0;
		} else if (!serial_get(number, &byte)) {
			break;
		}
		receive(u, byte);
	}
}

static uint8_t next_received(struct uart_state *u)
{
	uint8_t byte = u->received[u->first];

	if (!(u->fcr & FCR_ON)) {
		u->count = 0;
		return u->holding;
	}
	if (!u->count)
		return 0;
	u->first = (u->first + 1) % sizeof(u->received);
	u->count--;
	u->timed_out = 0;
	restart_timeout(u);
	return byte;
}

/* --- Interrupts ------------------------------------------------------------------------------------------- */

static uint32_t interrupt_identity(const struct uart_state *u)
{
	if (u->ier & IER_LINE && u->errors)
		return ID_LINE;
	if (u->ier & IER_RX && u->count >= trigger(u))
		return ID_RX;
	if (u->ier & IER_RX && u->timed_out)
		return ID_TIMEOUT;
	if (u->ier & IER_TX && u->thr_interrupt)
		return ID_TX;
	return u->ier & IER_MODEM && u->modem_changes ? ID_MODEM : ID_NONE;
}

static bool waits_for_timeout(const struct uart_state *u)
{
	return u->ier & IER_RX && u->fcr & FCR_ON && u->count && u->count < trigger(u) && !u->timed_out;
}

static void find_deadline(void)
{
	uint64_t deadline = ~0ull;

	for (uint32_t i = 0; i < SERIAL_COUNT; i++) {
		const struct uart_state *u = &machine.uart[i];

		if (waits_for_timeout(u) && u->timeout_at < deadline)
			deadline = u->timeout_at;
	}
	if (deadline == machine.uart_deadline)
		return;
	machine.uart_deadline = deadline;
	timers_rearm();
}

/* Bring the interrupt line up to date; two ports share one. */
static void update(uint32_t number)
{
	/* On old PCs MCR's OUT2 gates the line; chip sets (and QEMU) have none of that, and kernels that
	 * never set it rely on them. */
	struct uart_state *u = &machine.uart[number];
	bool high = u->ier && interrupt_identity(u) != ID_NONE;

	if (waits_for_timeout(u) || machine.uart_deadline != ~0ull)
		find_deadline();
	if (high == u->line)
		return;
	u->line = high;
	irq_set_line(lines[number], high || machine.uart[number ^ 2].line);
}

/* Called after each event that may have come from the VMM. */
void uarts_update(void)
{
	for (uint32_t i = 0; i < SERIAL_COUNT; i++) {
		if (!control.serial[i].present)
			continue;
		listen(i);
		update(i);
	}
}

void uart_timer(uint64_t now)
{
	for (uint32_t i = 0; i < SERIAL_COUNT; i++) {
		struct uart_state *u = &machine.uart[i];

		if (waits_for_timeout(u) && now >= u->timeout_at)
			u->timed_out = 1;
		update(i);
	}
}

/* --- Registers ------------------------------------------------------------------------------------------------ */

void uart_reset(void)
{
	for (uint32_t i = 0; i < SERIAL_COUNT; i++)
		machine.uart[i] = (struct uart_state){ .dll = 12, .mcr = 8 };
	machine.serial_deadline = machine.uart_deadline = ~0ull;
}

/* CTS, DSR, RI and DCD: of a far end that is always there, or, looped, RTS, DTR, OUT1 and OUT2. */
static uint32_t modem_lines(const struct uart_state *u)
{
	if (!(u->mcr & MCR_LOOP))
		return MSR_CONNECTED;
	return (u->mcr & 0xcu) << 4 | (u->mcr & 2u) << 3 | (u->mcr & 1u) << 5;
}

static void write_mcr(struct uart_state *u, uint32_t value)
{
	uint32_t before = modem_lines(u), changed;

	u->mcr = value & 0x1f;
	changed = before ^ modem_lines(u);
	if (!(before & MSR_RING))
		changed &= ~(uint32_t)MSR_RING; /* only the end of a ring is noted */
	u->modem_changes |= (uint8_t)(changed >> 4);
}

static void write_fcr(struct uart_state *u, uint32_t value)
{
	if ((value ^ u->fcr) & FCR_ON)
		value |= FCR_CLEAR_RX | FCR_CLEAR_TX;
	u->fcr = value & FCR_ON ? value & 0xc9 : 0;
	if (value & FCR_CLEAR_RX) {
		u->count = u->timed_out = 0;
		u->errors &= (uint8_t)~LSR_BREAK;
	}
	if (value & FCR_CLEAR_TX)
		u->thr_interrupt = 1;
}

static void transmit(uint32_t number, uint32_t value)
{
	struct uart_state *u = &machine.uart[number];

	if (u->mcr & MCR_LOOP)
		receive(u, (uint8_t)value);
	else
		serial_put(number, (uint8_t)value);
	u->thr_interrupt = 1; /* sent at once: empty again */
	if (u->line && interrupt_identity(u) == ID_TX) {
		/* A new cause on a line that is up: the edge must be seen again. */
		u->line = 0;
		irq_set_line(lines[number], machine.uart[number ^ 2].line);
	}
}

static uint32_t line_status(struct uart_state *u)
{
	uint32_t value = LSR_TX_EMPTY | u->errors | (u->count ? LSR_READY : 0);

	if (u->fcr & FCR_ON && u->errors & LSR_BREAK)
		value |= LSR_ERROR_IN_FIFO;
	u->errors = 0;
	return value;
}

uint32_t uart_in(uint32_t port)
{
	uint32_t number = number_of(port), value = 0;
	struct uart_state *u = &machine.uart[number];

	if ((port & 7) == LSR && !u->errors && !arrives(number))
		return LSR_TX_EMPTY | (u->count ? LSR_READY : 0); /* what transmitters poll */
	listen(number);
	switch (port & 7) {
	case DATA: value = u->lcr & LCR_DLAB ? u->dll : next_received(u); break;
	case IER: value = u->lcr & LCR_DLAB ? u->dlm : u->ier; break;
	case IIR_FCR:
		value = interrupt_identity(u);
		if (value == ID_TX)
			u->thr_interrupt = 0;
		if (u->fcr & FCR_ON)
			value |= ID_FIFO;
		break;
	case LCR: value = u->lcr; break;
	case MCR: value = u->mcr; break;
	case LSR: value = line_status(u); break;
	case MSR:
		value = modem_lines(u) | u->modem_changes;
		u->modem_changes = 0;
		break;
	case SCR: value = u->scr; break;
	}
	listen(number);
	update(number);
	return value;
}

void uart_out(uint32_t port, uint32_t value)
{
	uint32_t number = number_of(port);
	struct uart_state *u = &machine.uart[number];

	switch (port & 7) {
	case DATA:
		if (u->lcr & LCR_DLAB)
			u->dll = (uint8_t)value;
		else
			transmit(number, value);
		break;
	case IER:
		if (u->lcr & LCR_DLAB) {
			u->dlm = (uint8_t)value;
			break;
		}
		/* An empty transmitter asks as soon as it may, and no longer once it may not. */
		if ((value ^ u->ier) & IER_TX)
			u->thr_interrupt = value >> 1 & 1;
		u->ier = value & 0xf;
		break;
	case IIR_FCR: write_fcr(u, value); break;
	case LCR: u->lcr = (uint8_t)value; break;
	case MCR: write_mcr(u, value); break;
	case SCR: u->scr = (uint8_t)value; break;
	}
	update(number);
}
