/* A kernel with a screen, a keyboard and a mouse: shows what it was given, in hexadecimal from row 2 on, and
 * the same on the serial line. Q ends it, M enables the mouse, G shows graphics, T text again. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

__asm__(".long 0x1badb002, 0, -0x1badb002\n"
	".globl start\nstart:\n\tmov $stack + 4096, %esp\n\tcall kernel\n\t.lcomm stack, 4096\n");

#define TEXT ((volatile u16 *)0xb8000)
#define PICTURE ((volatile u8 *)0xa0000)

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }
static void outw(u16 port, u16 value) { __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port)); }

static u8 inb(u16 port)
{
	u8 value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void show(u32 at, const char *text, u8 attribute)
{
	while (*text)
		TEXT[at++] = (u16)((u8)*text++ | attribute << 8);
}

static void set(u16 port, u8 index, u8 value) { outw(port, (u16)(index | value << 8)); }

static void cursor(u32 at)
{
	set(0x3d4, 14, (u8)(at >> 8));
	set(0x3d4, 15, (u8)at);
}

static void greet(void)
{
	for (u32 i = 0; i < 2000; i++)
		TEXT[i] = 0x0720;
	show(0, "Hello, \x02 \xc9\xcd\xbb", 0x1e);
	show(80, "red", 0x04);
	show(84, "blink", 0x87);
}

/* The parts of mode 13h and mode 3 that memory and picture depend on. */
static void graphics(int on)
{
	set(0x3c4, 2, on ? 15 : 3);
	set(0x3c4, 4, on ? 0x0e : 2);
	set(0x3ce, 5, on ? 0x40 : 0x10);
	set(0x3ce, 6, on ? 5 : 0x0e);
	set(0x3d4, 9, on ? 0x41 : 0x4f);
	set(0x3d4, 0x14, on ? 0x40 : 0x1f);
	inb(0x3da);
	outb(0x3c0, 0x10);
	outb(0x3c0, on ? 0x41 : 0x0c);
	outb(0x3c0, 0x20);
	if (on)
		for (u32 i = 0; i < 320 * 200; i++)
			PICTURE[i] = i % 320 < 160 ? 4 : 1;
}

static void mouse(u8 command)
{
	outb(0x64, 0xd4);
	outb(0x60, command);
}

void kernel(void)
{
	static const char digits[] = "0123456789abcdef";
	u32 at = 160;

	greet();
	cursor(160);
	for (const char *text = "serial\n"; *text; text++)
		outb(0x3f8, *text);
	for (;;) {
		u8 status = inb(0x64), value;

		if (!(status & 1))
			continue;
		value = inb(0x60);
		TEXT[at] = (u16)((u8)digits[value >> 4] | 0x0700);
		TEXT[at + 1] = (u16)((u8)digits[value & 15] | 0x0700);
		outb(0x3f8, status & 0x20 ? 'm' : 'k');
		outb(0x3f8, digits[value >> 4]);
		outb(0x3f8, digits[value & 15]);
		at += 3;
		cursor(at);
		if (status & 0x20)
			continue;
		if (value == 0x90)	/* Q, released */
			outw(0x604, 0x2000);
		if (value == 0xb2)	/* M */
			mouse(0xf4);
		if (value == 0xa2)	/* G */
			graphics(1);
		if (value == 0x94) {	/* T; the picture took the text's place */
			graphics(0);
			greet();
		}
	}
}
