/* A 16550A UART at 0x3f8 (National PC16550D data sheet). What the guest sends goes into the console
 * ring of the state file, what the user types comes out of the other. */
#include "monitor.h"

enum { DATA = 0, IER = 1, IIR_FCR = 2, LCR = 3, MCR = 4, LSR = 5, MSR = 6, SCR = 7, LINE = 4 };
enum { IER_RX = 1, IER_TX = 2, LCR_DLAB = 0x80, MCR_LOOP = 0x10, LSR_READY = 1, LSR_TX_EMPTY = 0x60 };

#define uart machine.uart
/* Output waits this long for more before the VMM is told. */
#define CONSOLE_DELAY_NS 1000000u

void uart_reset(void)
{
	uart = (struct uart_state){ .dll = 1 };
	machine.console_deadline = ~0ull;
}

static bool ready(void)
{
	return uart.loop_valid || control.console_in_head != control.console_in_tail;
}

void console_put(uint8_t byte)
{
	while (control.console_out_head - control.console_out_tail >= CONSOLE_OUT_SIZE) {
		exit_prepare(0, 0, 0, 0, 0);
		exit_to_vmm(EXIT_CONSOLE_FULL);
	}
	state[CONSOLE_OUT_OFFSET + control.console_out_head % CONSOLE_OUT_SIZE] = byte;
	__atomic_store_n(&control.console_out_head, control.console_out_head + 1, __ATOMIC_RELEASE);
	if (machine.console_deadline == ~0ull && !control.doorbell) {
		machine.console_deadline = now_ns() + CONSOLE_DELAY_NS;
		timers_rearm();
	}
}

static uint32_t interrupt_identity(void)
{
	uint32_t fifo = uart.fcr & 1 ? 0xc0 : 0;

	if (uart.ier & IER_RX && ready())
		return fifo | 4;
	if (uart.ier & IER_TX && uart.thr_interrupt)
		return fifo | 2;
	return fifo | 1;
}

/* Bring the interrupt line up to date; called after each access and each event. */
void uart_update(void)
{
	/* On old PCs MCR's OUT2 gates the line; chip sets (and QEMU) have none of that, and kernels that
	 * never set it rely on them. */
	bool high = !(interrupt_identity() & 1);

	if (high == uart.line)
		return;
	uart.line = high;
	irq_set_line(LINE, high);
}

static uint32_t receive(void)
{
	if (uart.loop_valid) {
		uart.loop_valid = 0;
		return uart.loop;
	}
	uint32_t tail = control.console_in_tail;

	if (control.console_in_head == tail)
		return 0;
	__atomic_store_n(&control.console_in_tail, tail + 1, __ATOMIC_RELEASE);
	return state[CONSOLE_IN_OFFSET + tail % CONSOLE_IN_SIZE];
}

uint32_t uart_in(uint32_t port)
{
	uint32_t value = 0;

	switch (port & 7) {
	case DATA: value = uart.lcr & LCR_DLAB ? uart.dll : receive(); break;
	case IER: value = uart.lcr & LCR_DLAB ? uart.dlm : uart.ier; break;
	case IIR_FCR:
		value = interrupt_identity();
		if ((value & 0xf) == 2)
			uart.thr_interrupt = 0;
		break;
	case LCR: value = uart.lcr; break;
	case MCR: value = uart.mcr; break;
	case LSR: return LSR_TX_EMPTY | (ready() ? LSR_READY : 0);
	case MSR: value = uart.mcr & MCR_LOOP ? (uart.mcr & 0xc) << 4 | (uart.mcr & 2) << 3 | (uart.mcr & 1) << 5 : 0xb0; break;
	case SCR: value = uart.scr; break;
	}
	uart_update();
	return value;
}

static void transmit(uint32_t value)
{
	if (uart.mcr & MCR_LOOP) {
		uart.loop = (uint8_t)value;
		uart.loop_valid = 1;
	} else {
		console_put((uint8_t)value);
	}
	uart.thr_interrupt = 1; /* sent at once: empty again */
	if (uart.line) {
		/* A new cause on a line that is up: the edge must be seen again. */
		uart.line = 0;
		irq_set_line(LINE, false);
	}
}

void uart_out(uint32_t port, uint32_t value)
{
	switch (port & 7) {
	case DATA:
		if (uart.lcr & LCR_DLAB)
			uart.dll = (uint8_t)value;
		else
			transmit(value);
		break;
	case IER:
		if (uart.lcr & LCR_DLAB) {
			uart.dlm = (uint8_t)value;
			break;
		}
		if (value & IER_TX && !(uart.ier & IER_TX))
			uart.thr_interrupt = 1;
		uart.ier = value & 0xf;
		break;
	case IIR_FCR: uart.fcr = (uint8_t)value; break;
	case LCR: uart.lcr = (uint8_t)value; break;
	case MCR: uart.mcr = value & 0x1f; break;
	case SCR: uart.scr = (uint8_t)value; break;
	}
	uart_update();
}
