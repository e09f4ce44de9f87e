/* echo [WORD...] */
#include "unix.h"

int main(int count, char **arguments)
{
	for (int index = 1; index < count; index++)
		print(index + 1 < count ? "%s " : "%s", arguments[index]);
	print("\n");
	return 0;
}
