/* hexdump [FILE]: bytes, sixteen in a line. */
#include "unix.h"

int main(int count, char **arguments)
{
	int descriptor = count > 1 ? open(arguments[1], O_READ) : STANDARD_INPUT, length;
	unsigned char bytes[16];

	if (descriptor < 0)
		return complain("hexdump", arguments[1], descriptor);
	for (unsigned offset = 0; (length = read(descriptor, bytes, sizeof(bytes))) > 0; offset += (unsigned)length) {
		print("%6x ", offset);
		for (int index = 0; index < (int)sizeof(bytes); index++)
			if (index < length)
				print(" %s%x", bytes[index] < 16 ? "0" : "", bytes[index]);
			else
				print("   ");
		print("  ");
		for (int index = 0; index < length; index++)
			print("%c", bytes[index] >= ' ' && bytes[index] < 127 ? bytes[index] : '.');
		print("\n");
	}
	return 0;
}
