/* Periodic interrupts that come too late, because the host let the guest wait or the guest did not take
 * the one before: what becomes of them is the domain's choice (LostTicks). */
#include "monitor.h"

#define SLEW_FACTOR 4u /* ticks that are owed come this much faster */

/* `count`: ticks ever due; `unserved`: the last one has not been taken yet. True: raise an interrupt. */
bool ticks_due(struct ticks *ticks, uint64_t count, bool unserved, uint64_t now, uint64_t period)
{
	uint64_t fresh = count - ticks->seen;

	ticks->seen = count;
	if (control.lost_ticks != TICKS_SLEW) {
		ticks->owed = 0;
		return fresh != 0;
	}
	ticks->owed += fresh;
	bool raise = ticks->owed && !unserved;

	if (raise)
		ticks->owed--;
	ticks->again = ticks->owed ? now + period / SLEW_FACTOR : ~0ull;
	return raise;
}

/* Whoever was to have the ticks so far does not want them: none is owed. */
void ticks_forget(struct ticks *ticks, uint64_t count)
{
	*ticks = (struct ticks){ .seen = count, .again = ~0ull };
}

/* When the next one comes, if the next that is not owed comes at `regular`; ns. */
uint64_t ticks_deadline(const struct ticks *ticks, uint64_t regular)
{
	return ticks->owed && ticks->again < regular ? ticks->again : regular;
}
