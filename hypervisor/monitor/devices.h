/* The functions of the devices that the monitor serves, and of their timers. */
#ifndef RING3_DEVICES_H
#define RING3_DEVICES_H

#include "machine.h"

/* What a clock of `hz` counts in `ns`, and the first ns of a tick. In two parts, so that products stay within 64 bits. */
static inline uint64_t ticks_of(uint64_t ns, uint64_t hz) { return ns / NS * hz + ns % NS * hz / NS; }
static inline uint64_t ns_of(uint64_t ticks, uint64_t hz)
{
	return ticks / hz * NS + (ticks % hz * NS + hz - 1) / hz;
}

/* ide.c: what of IDE needs no exit */
void ide_map_disks(void);
bool ide_takes(uint32_t index, uint32_t value);
void ide_block_done(uint32_t index);
bool ide_continues(uint32_t index);
uint8_t *ide_sector(const struct ide_channel *channel, uint32_t drive, uint64_t sector);

/* ide_interrupt.c: when it interrupts */
void ide_interrupt(struct ide_channel *channel);
void ide_interrupt_back(struct ide_channel *channel);
void ide_interrupts_poll(void);
bool ide_interrupts_wait(void);
bool ide_interrupts_now(void);
void ide_timer(uint64_t now);
uint32_t ide_status(uint32_t index);
uint32_t ide_master_status(struct ide_channel *channel);

/* bus_master.c: IDE's way to memory */
#define MASTER_INTERRUPT 4u
bool master_may_run(const struct ide_channel *channel);
bool master_runs(struct ide_channel *channel);
uint32_t master_in(uint32_t index);
bool master_takes(uint32_t index, uint32_t value);

/* irqchip: pic.c, lapic.c, ioapic.c, interrupt lines */
void irq_set_line(uint32_t line, bool high);
bool irq_unserved(uint32_t line);
bool irq_open(uint32_t line);
void irq_pulse(uint32_t line);
int irq_acknowledge(void);
void irq_update(void);
bool irq_waits(void);
void pic_reset(void);
void pic_set_line(uint32_t line, bool high);
bool pic_pending(void);
uint32_t pic_acknowledge(void);
uint32_t pic_in(uint32_t port);
void pic_out(uint32_t port, uint32_t value);
void lapic_reset(void);
bool lapic_pending(void);
bool lapic_accepts_extint(void);
uint32_t lapic_acknowledge(void);
void lapic_inject(uint32_t vector, bool level);
uint32_t lapic_read(uint32_t offset);
void lapic_write(uint32_t offset, uint32_t value);
bool lapic_page_readable(void);
bool lapic_is(uint32_t destination, bool logical);
bool lapic_waits(uint32_t vector);
void lapic_wire_changed(bool high);
static inline void lapic_wire(bool high)
{
	if (high != machine.lapic.wire)
		lapic_wire_changed(high);
}
uint64_t lapic_deadline(void);
void lapic_timer(uint64_t now);
void ioapic_reset(void);
void ioapic_set_line(uint32_t line, bool high);
void ioapic_eoi(uint32_t vector);
bool ioapic_open(uint32_t pin);
bool ioapic_unserved(uint32_t pin);
uint32_t ioapic_read(uint32_t offset);
void ioapic_write(uint32_t offset, uint32_t value);

/* acpi.c: the power management timer and its event */
enum { SCI_IRQ = 9 };
void pm_reset(void);
uint32_t pm_in(uint32_t port, uint32_t size);
void pm_out(uint32_t port, uint32_t size, uint32_t value);
void pm_timer(uint64_t now);
uint64_t pm_deadline(void);

/* pit.c, uart.c, rtc.c: devices that kernels use all the time */
void pit_reset(void);
uint32_t pit_in(uint32_t port);
void pit_out(uint32_t port, uint32_t value);
void pit_timer(uint64_t now);
void pit_masked(void);
uint64_t pit_deadline(void);
void uart_reset(void);
uint32_t uart_in(uint32_t port);
void uart_out(uint32_t port, uint32_t value);
void uarts_update(void);
void uart_timer(uint64_t now);
void serial_put(uint32_t number, uint8_t byte);
bool serial_get(uint32_t number, uint8_t *byte);
void rtc_reset(void);
uint32_t rtc_in(uint32_t port);
void rtc_out(uint32_t port, uint32_t value);
void rtc_timer(void);

/* vga.c: the registers of the VGA; vga_memory.c: its memory, and when that is plain RAM */
uint32_t vga_in(uint32_t port);
void vga_out(uint32_t port, uint32_t value);
void vga_memory_update(void);
uint32_t vga_read(uint32_t physical, uint32_t size);
void vga_write(uint32_t physical, uint32_t size, uint32_t value);
static inline bool vga_owns(uint64_t physical) { return physical - VGA_MEMORY < VGA_MEMORY_SIZE; }
static inline bool vga_decodes(uint64_t physical) { return physical - control.vga.window < control.vga.window_size; }
static inline bool vga_is_plain(uint64_t physical) { return control.vga.plain && vga_decodes(physical); }
static inline uint32_t vga_window_end(void) { return control.vga.window + control.vga.window_size; }

/* calendar.c */
struct date {
	uint32_t year, month, day; /* month and day from 1 on */
};
void date_of(uint32_t day, struct date *date);
bool day_of(const struct date *date, uint32_t *day);

/* ticks.c: interrupts of timers that come too late */
bool ticks_due(struct ticks *ticks, uint64_t count, bool unserved, uint64_t now, uint64_t period);
void ticks_forget(struct ticks *ticks, uint64_t count);
uint64_t ticks_deadline(const struct ticks *ticks, uint64_t regular);

/* timers.c: the deadlines of the devices */
void timers_run(void);
void timers_rearm(void);

#endif
