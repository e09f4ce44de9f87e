/* mkdir PATH... */
#include "unix.h"

int main(int count, char **arguments)
{
	int bad = 0;

	for (int index = 1; index < count; index++) {
		int error = mkdir(arguments[index]);

		if (error)
			bad = complain("mkdir", arguments[index], error);
	}
	return bad;
}
