/* Port I/O: who answers a port (the maps in the state file), and string transfers. */
#include "monitor.h"

#define IO_BITMAP_POINTER 0x66u

static uint16_t in_class(uint32_t port) { return ((uint16_t *)(state + IN_MAP_OFFSET))[port & 0xffff]; }
static uint16_t out_class(uint32_t port) { return ((uint16_t *)(state + OUT_MAP_OFFSET))[port & 0xffff]; }

/* CPL > IOPL: the TSS's I/O bitmap decides (SDM vol. 1, 18.5.2). */
bool port_allowed(uint32_t port, uint32_t size)
{
	uint16_t at, bits;

	if (vcpu.cpl <= vcpu.iopl)
		return true;
	if (!(vcpu.tr.selector & 0xfffc) || !(vcpu.tr.access & TSS_WIDE) || vcpu.tr.limit < IO_BITMAP_POINTER + 1)
		return raise_fault(VECTOR_GP, 0);
	if (!guest_read(vcpu.tr.base + IO_BITMAP_POINTER, &at, 2, 0))
		return false;
	if ((uint32_t)at + port / 8 + 1 > vcpu.tr.limit)
		return raise_fault(VECTOR_GP, 0);
	if (!guest_read(vcpu.tr.base + at + port / 8, &bits, 2, 0))
		return false;
	if (bits >> (port % 8) & ((1u << size) - 1))
		return raise_fault(VECTOR_GP, 0);
	return true;
}

/* --- Data windows ------------------------------------------------------------------------------------ */

static struct fifo_window *window(uint32_t class) { return &control.fifo[class & 7]; }

/* The window's fields are ours to distrust only in so far as they bound our own memory accesses. */
static uint32_t window_left(const struct fifo_window *fifo, bool writing)
{
	uint32_t end = fifo->end <= FIFO_SIZE ? fifo->end : FIFO_SIZE;

	return fifo->writing == writing && fifo->position < end ? end - fifo->position : 0;
}

static uint8_t *window_data(const struct fifo_window *fifo)
{
	return state + FIFO_OFFSET + (uint32_t)(fifo - control.fifo) * FIFO_SIZE + fifo->position;
}

static void window_advance(struct fifo_window *fifo, uint32_t bytes)
{
	fifo->position += bytes;
	if (fifo->position >= fifo->end) {
		control.latch[fifo->latch & 255] = (uint8_t)fifo->done_value;
		if (fifo->exit_when_done && !ide_writes((uint32_t)(fifo - control.fifo))) {
			exit_prepare((uint32_t)(fifo - control.fifo), 0, 1, fifo->end, 0);
			exit_to_vmm(EXIT_FIFO_DONE);
		}
	} else if (fifo->block && fifo->position % fifo->block == 0 && fifo->irq < 16) {
		irq_pulse(fifo->irq);
	}
}

/* --- Single accesses ----------------------------------------------------------------------------------- */

static uint32_t monitor_in(uint32_t device, uint32_t port)
{
	switch (device) {
	case DEVICE_PIC: case DEVICE_ELCR: return pic_in(port);
	case DEVICE_PIT: return pit_in(port);
	default: return uart_in(port);
	}
}

static void monitor_out(uint32_t device, uint32_t port, uint32_t value)
{
	switch (device) {
	case DEVICE_PIC: case DEVICE_ELCR: pic_out(port, value); break;
	case DEVICE_PIT: pit_out(port, value); break;
	default: uart_out(port, value); break;
	}
}

/* Byte-wide devices answer wider accesses byte by byte, as the ISA bus splits them. */
static bool is_byte_wide(uint32_t class)
{
	switch (class >> 12) {
	case PORT_MONITOR: case PORT_LATCH: case PORT_REGISTER_INDEX: case PORT_REGISTER_DATA: return true;
	default: return false;
	}
}

static uint8_t *selected_register(uint32_t class)
{
	uint32_t file = class & 7;

	return &control.registers[file * 256 + control.register_index[file]];
}

static uint32_t in_one(uint32_t port, uint32_t size, uint32_t class)
{
	switch (class >> 12) {
	case PORT_MONITOR: return monitor_in(class & 0xfff, port);
	case PORT_LATCH: return control.latch[class & 255];
	case PORT_REGISTER_INDEX: return control.register_index[class & 7];
	case PORT_REGISTER_DATA: return *selected_register(class);
	case PORT_FIFO: {
		struct fifo_window *fifo = window(class);
		uint32_t value = 0;

		if (window_left(fifo, false) < size)
			break;
		memcpy(&value, window_data(fifo), size);
		window_advance(fifo, size);
		return value;
	}
	}
	exit_prepare(port, 0, size, 1, 0);
	return exit_to_vmm(EXIT_PORT_IN);
}

uint32_t port_in(uint32_t port, uint32_t size)
{
	uint32_t class = in_class(port), value = 0;

	if (size == 1 || !is_byte_wide(class))
		value = in_one(port, size, class);
	else
		for (uint32_t i = 0; i < size; i++)
			value |= (in_one(port + i, 1, in_class(port + i)) & 0xff) << i * 8;
	if (tracing(TRACE_DEVICE))
		trace_event(TRACE_DEVICE, ACCESSED_PORT_IN, (uint32_t[5]){ port, 0, size }, value);
	return value;
}

static void post(uint32_t port, uint32_t size, uint32_t value)
{
	struct posted_write *ring = (struct posted_write *)(state + POSTED_OFFSET);

	ring[control.posted_head % POSTED_COUNT] = (struct posted_write){ (uint16_t)port, (uint16_t)size, value };
	__atomic_store_n(&control.posted_head, control.posted_head + 1, __ATOMIC_RELEASE);
}

static void out_one(uint32_t port, uint32_t size, uint32_t value, uint32_t class)
{
	switch (class >> 12) {
	case PORT_MONITOR:
		monitor_out(class & 0xfff, port, value & 0xff);
		return;
	case PORT_REGISTER_INDEX:
		control.register_index[class & 7] = (uint8_t)value;
		return;
	case PORT_REGISTER_DATA:
		*selected_register(class) = (uint8_t)value;
		return;
	case PORT_TASK_FILE:
		if (size != 1 || !ide_takes(class & 0xfff, value & 0xff))
			break;
		return;
	case PORT_POSTED:
		if (control.posted_head - control.posted_tail >= POSTED_COUNT)
			break;
		post(port, size, value);
		return;
	case PORT_FIFO: {
		struct fifo_window *fifo = window(class);

		if (window_left(fifo, true) < size)
			break;
		memcpy(window_data(fifo), &value, size);
		window_advance(fifo, size);
		return;
	}
	}
	exit_prepare(port, 0, size, 1, value);
	exit_to_vmm(EXIT_PORT_OUT);
}

void port_out(uint32_t port, uint32_t size, uint32_t value)
{
	uint32_t class = out_class(port);

	if (tracing(TRACE_DEVICE))
		trace_event(TRACE_DEVICE, ACCESSED_PORT_OUT, (uint32_t[5]){ port, value, size }, 0);
	if (size == 1 || !is_byte_wide(class)) {
		out_one(port, size, value, class);
		return;
	}
	for (uint32_t i = 0; i < size; i++)
		out_one(port + i, 1, value >> i * 8 & 0xff, out_class(port + i));
}

/* --- Strings ------------------------------------------------------------------------------------------- */

/* One piece that ends at a page's end at the latest, so that it moves whole or not at all. */
struct piece {
	uint32_t port, size, items, linear;
};

static bool piece_in(struct piece *p)
{
	uint32_t class = in_class(p->port), bytes, user = vcpu.cpl == 3 ? ACCESS_USER : 0;
	uint8_t *data = state + EXIT_DATA_OFFSET;

	if (!guest_probe_write(p->linear, p->items * p->size, user))
		return false;
	if (class >> 12 == PORT_FIFO) {
		struct fifo_window *fifo = window(class);

		bytes = window_left(fifo, false);
		if (fifo->block && bytes > fifo->block - fifo->position % fifo->block)
			bytes = fifo->block - fifo->position % fifo->block;
		if (bytes >= p->size) {
			if (p->items > bytes / p->size)
				p->items = bytes / p->size;
			guest_write(p->linear, window_data(fifo), p->items * p->size, user);
			window_advance(fifo, p->items * p->size);
			return true;
		}
	}
	if (class >> 12 == PORT_EXIT || class >> 12 == PORT_FIFO) {
		exit_prepare(p->port, 0, p->size, p->items, 0);
		exit_to_vmm(EXIT_STRING_IN);
	} else {
		for (uint32_t i = 0; i < p->items; i++) {
			uint32_t value = port_in(p->port, p->size);

			memcpy(data + i * p->size, &value, p->size);
		}
	}
	return guest_write(p->linear, data, p->items * p->size, user);
}

static bool piece_out(struct piece *p)
{
	uint32_t class = out_class(p->port), bytes, user = vcpu.cpl == 3 ? ACCESS_USER : 0, value = 0;
	uint8_t *data = state + EXIT_DATA_OFFSET;

	if (class >> 12 == PORT_FIFO) {
		struct fifo_window *fifo = window(class);

		bytes = window_left(fifo, true);
		if (fifo->block && bytes > fifo->block - fifo->position % fifo->block)
			bytes = fifo->block - fifo->position % fifo->block;
		if (bytes >= p->size) {
			if (p->items > bytes / p->size)
				p->items = bytes / p->size;
			if (!guest_read(p->linear, window_data(fifo), p->items * p->size, user))
				return false;
			window_advance(fifo, p->items * p->size);
			return true;
		}
	}
	if (!guest_read(p->linear, data, p->items * p->size, user))
		return false;
	if (class >> 12 == PORT_EXIT || class >> 12 == PORT_FIFO) {
		exit_prepare(p->port, 0, p->size, p->items, 0);
		exit_to_vmm(EXIT_STRING_OUT);
	} else {
		for (uint32_t i = 0; i < p->items; i++) {
			memcpy(&value, data + i * p->size, p->size);
			port_out(p->port, p->size, value);
		}
	}
	return true;
}

/* Bytes from the operand's offset to where its segment, or the string's addresses, end. */
static uint32_t segment_room(const struct operand *at, uint32_t mask)
{
	struct segment segment;

	segment_of(at->segment, &segment);
	bool expand_down = !(segment.access & 8) && segment.access & 4;
	uint32_t last = !expand_down ? segment.limit : segment.access & 0x4000 ? ~0u : 0xffff;

	if (last > mask)
		last = mask;
	return last - at->offset == ~0u ? ~0u : last - at->offset + 1;
}

/* ins and outs, with rep. Registers advance with each piece: a page fault or an interrupt in the middle
 * restarts behind what is done. */
bool port_string(bool in, uint32_t size, bool repeat, enum segment_register segment, uint32_t address_size)
{
	uint32_t index = in ? 7 : 6, mask = address_size == 2 ? 0xffff : ~0u;
	bool down = vcpu.eflags & FLAG_DF;

	for (;;) {
		uint32_t offset = register_read(index, 4) & mask, left = repeat ? vcpu.ecx & mask : 1;
		struct operand at = { true, 0, 0, in ? SEG_ES : segment, offset };
		struct piece piece = { vcpu.edx & 0xffff, size, 1, 0 };

		if (!left)
			return true;
		if (!operand_linear(&at, size, in, &piece.linear))
			return false;
		if (!down) {
			uint32_t room = (PAGE_SIZE - (piece.linear & PAGE_MASK)) / size, fits = segment_room(&at, mask) / size;

			if (room > fits)
				room = fits;
			piece.items = left < room ? left : room ? room : 1;
		}
		if (vcpu.eflags & FLAG_TF)
			piece.items = 1;
		if (!(in ? piece_in(&piece) : piece_out(&piece)))
			return false;
		register_write(index, address_size, offset + (down ? -size : size * piece.items));
		if (!repeat)
			return true;
		register_write(1, address_size, left - piece.items);
		if (vcpu.eflags & FLAG_TF && left > piece.items) {
			/* A single step is one item (SDM vol. 3, 17.3.1.4). */
			vcpu.eip = machine.instruction_eip;
			machine.iterated = true;
			return true;
		}
		if (machine.events && left > piece.items) {
			vcpu.eip = machine.instruction_eip;
			return true;
		}
	}
}
