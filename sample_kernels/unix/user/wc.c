/* wc [FILE]: the number of lines, words and bytes. */
#include "unix.h"

int main(int count, char **arguments)
{
	int descriptor = count > 1 ? open(arguments[1], O_READ) : STANDARD_INPUT;
	unsigned lines = 0, words = 0, total = 0;
	int length, in_word = 0;
	char bytes[1024];

	if (descriptor < 0)
		return complain("wc", arguments[1], descriptor);
	while ((length = read(descriptor, bytes, sizeof(bytes))) > 0)
		for (int index = 0; index < length; index++) {
			int blank = bytes[index] == ' ' || bytes[index] == '\t' || bytes[index] == '\n';

			lines += bytes[index] == '\n';
			words += !blank && !in_word;
			in_word = !blank;
			total++;
		}
	print("%7u %7u %7u\n", lines, words, total);
	return 0;
}
