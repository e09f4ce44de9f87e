/* Two 8259A interrupt controllers, cascaded (Intel 8259A data sheet), and the ELCR. */
#include "monitor.h"

enum { MASTER_COMMAND = 0x20, SLAVE_COMMAND = 0xa0, ELCR_MASTER = 0x4d0, CASCADE = 2, SPURIOUS = 7 };

void pic_reset(void)
{
	for (uint32_t i = 0; i < 2; i++) {
		machine.pic[i] = (struct pic_chip){ .imr = 0xff };
		/* As PC firmware leaves them: master at 8, slave at 0x70. */
		machine.pic[i].base = i ? 0x70 : 8;
		/* Lines 10 and 11 are PCI's. */
		machine.pic[i].elcr = i ? 0x0c : 0;
	}
}

/* Highest-priority bit of `bits` by the chip's rotation; 8 if none. */
static uint32_t first_of(const struct pic_chip *pic, uint32_t bits)
{
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t line = (pic->priority + i) & 7;

		if (bits >> line & 1)
			return i;
	}
	return 8;
}

/* Line that the chip asks for, or -1. */
static int requested(const struct pic_chip *pic)
{
	uint32_t waiting = first_of(pic, pic->irr & ~pic->imr);
	uint32_t served = first_of(pic, pic->special_mask ? pic->isr & ~pic->imr : pic->isr);

	return waiting < served ? (int)((pic->priority + waiting) & 7) : -1;
}

static void cascade(void)
{
	struct pic_chip *master = &machine.pic[0];

	if (requested(&machine.pic[1]) >= 0)
		master->irr |= 1u << CASCADE;
	else
		master->irr &= (uint8_t)~(1u << CASCADE);
}

void pic_set_line(uint32_t line, bool high)
{
	struct pic_chip *pic = &machine.pic[line / 8];
	uint8_t bit = (uint8_t)(1u << (line & 7));

	if (pic->elcr & bit) {
		pic->irr = high ? pic->irr | bit : pic->irr & (uint8_t)~bit;
	} else if (high && !(pic->lines & bit)) {
		pic->irr |= bit;
	} else if (!high) {
		pic->irr &= (uint8_t)~bit;
	}
	pic->lines = high ? pic->lines | bit : pic->lines & (uint8_t)~bit;
	cascade();
}

bool pic_pending(void) { return requested(&machine.pic[0]) >= 0; }

static void enter_service(struct pic_chip *pic, uint32_t line)
{
	uint8_t bit = (uint8_t)(1u << line);

	if (!(pic->elcr & bit))
		pic->irr &= (uint8_t)~bit;
	if (!pic->auto_eoi)
		pic->isr |= bit;
	else if (pic->rotate)
		pic->priority = (uint8_t)((line + 1) & 7);
}

/* INTA: the vector of the highest request; a request that has gone is spurious (line 7). */
uint32_t pic_acknowledge(void)
{
	int line = requested(&machine.pic[0]);
	struct pic_chip *master = &machine.pic[0], *slave = &machine.pic[1];

	if (line < 0)
		return master->base + SPURIOUS;
	enter_service(master, (uint32_t)line);
	if (line != CASCADE)
		return master->base + (uint32_t)line;
	int second = requested(slave);

	if (second < 0)
		return slave->base + SPURIOUS;
	enter_service(slave, (uint32_t)second);
	cascade();
	return slave->base + (uint32_t)second;
}

/* Non-specific EOI, with rotation where bit 2 of the command says so. */
static void end_of_interrupt(struct pic_chip *pic, uint32_t command)
{
	uint32_t served = first_of(pic, pic->isr), line = (pic->priority + served) & 7;

	if (served == 8)
		return;
	pic->isr &= (uint8_t)~(1u << line);
	if (command & 4)
		pic->priority = (uint8_t)((line + 1) & 7);
}

static void write_ocw2(struct pic_chip *pic, uint32_t value)
{
	uint32_t command = value >> 5, line = value & 7;

	switch (command) {
	case 0: case 4: pic->rotate = command == 4; break;
	case 1: case 5: end_of_interrupt(pic, command); break;
	case 3: case 7:
		pic->isr &= (uint8_t)~(1u << line);
		if (command == 7)
			pic->priority = (uint8_t)((line + 1) & 7);
		break;
	case 6: pic->priority = (uint8_t)((line + 1) & 7); break;
	default: break;
	}
}

static void write_command(struct pic_chip *pic, uint32_t value)
{
	if (value & 0x10) { /* ICW1 */
		uint8_t base = pic->base, elcr = pic->elcr, lines = pic->lines;

		*pic = (struct pic_chip){ .base = base, .elcr = elcr, .lines = lines, .init = 1, .icw4 = value & 1 };
		timers_rearm(); /* all lines are open now */
	} else if (value & 8) { /* OCW3 */
		if (value & 4)
			pic->poll = 1;
		if (value & 2)
			pic->read_isr = value & 1;
		if (value & 0x40)
			pic->special_mask = value >> 5 & 1;
	} else {
		write_ocw2(pic, value);
	}
}

static void write_data(struct pic_chip *pic, uint32_t value)
{
	switch (pic->init) {
	case 1:
		pic->base = value & 0xf8;
		pic->init = 2;
		break;
	case 2: /* ICW3: the cascade is wired as in every PC */
		pic->init = pic->icw4 ? 3 : 0;
		break;
	case 3:
		pic->auto_eoi = value >> 1 & 1;
		pic->init = 0;
		break;
	default:
		pic->imr = (uint8_t)value;
		timers_rearm(); /* the PIT's line may have been opened */
	}
}

uint32_t pic_in(uint32_t port)
{
	if (port >= ELCR_MASTER)
		return machine.pic[port & 1].elcr;
	struct pic_chip *pic = &machine.pic[port >= SLAVE_COMMAND];

	if (pic->poll) {
		int line = requested(pic);

		pic->poll = 0;
		if (line < 0)
			return 0;
		enter_service(pic, (uint32_t)line);
		cascade();
		return 0x80 | (uint32_t)line;
	}
	if (port & 1)
		return pic->imr;
	return pic->read_isr ? pic->isr : pic->irr;
}

void pic_out(uint32_t port, uint32_t value)
{
	if (port >= ELCR_MASTER) {
		machine.pic[port & 1].elcr = (uint8_t)value & (port & 1 ? 0xde : 0xf8);
	} else {
		struct pic_chip *pic = &machine.pic[port >= SLAVE_COMMAND];

		if (port & 1)
			write_data(pic, value);
		else
			write_command(pic, value);
	}
	cascade();
	irq_update();
}
