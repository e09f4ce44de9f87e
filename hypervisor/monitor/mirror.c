/* The mirror of the guest's descriptors in the host's LDT.
 *
 * Guest code runs on host LDT entries that copy the guest's descriptors (layout.py: host_ldt_index).
 * The copies have the host's ring 3, the slide added to the base, and, for user segments, a limit that
 * ends where user addresses end; ring 0 gets such data segments `whole`, by entries of their own. Each
 * process has an LDT of its own; `ldt_wanted` is what all are to hold and `ldt_source` the guest's
 * descriptor behind it.
 *
 * A register keeps its hidden part when the guest rewrites the descriptor (SDM vol. 3, 3.4.3). The host
 * would reload it from the LDT at any time, so such a register moves to a `ghost` entry first. */
#include "monitor.h"
#include "sys.h"

#define DESC_S (1ull << 44)
#define DESC_P (1ull << 47)
#define DESC_DB (1ull << 54)
#define DESC_G (1ull << 55)
#define DESC_CODE (1ull << 43)
#define DESC_EXPAND (1ull << 42) /* data: expand-down; code: conforming */
#define DESC_WRITE (1ull << 41)	 /* data: writable; code: readable */

static uint64_t installed[HOST_LDT_ENTRIES]; /* this process's LDT */

static uint32_t desc_dpl(uint64_t d) { return (uint32_t)(d >> 45) & 3; }
uint32_t desc_base(uint64_t d) { return (uint32_t)(d >> 16 & 0xffffff) | (uint32_t)(d >> 56) << 24; }

uint32_t desc_limit(uint64_t d)
{
	uint32_t limit = (uint32_t)(d & 0xffff) | (uint32_t)(d >> 32 & 0xf0000);

	return d & DESC_G ? limit << 12 | 0xfff : limit;
}

static uint32_t ldt_index(uint32_t selector)
{
	uint32_t index = selector >> 3;

	if (!(selector & 4)) {
		if (index < GDT_LOW)
			return index;
		return index < GDT_LIMIT - (LOW_END - GDT_LOW) ? index + LOW_END - GDT_LOW : HOST_LDT_ENTRIES - 1;
	}
	if (index < LDT_LOW)
		return GDT_LOW + index;
	return index < LDT_LIMIT ? GDT_LIMIT + index : HOST_LDT_ENTRIES - 1;
}

uint32_t host_selector(uint32_t guest)
{
	if (guest & 0xfffc)
		return ldt_index(guest) << 3 | 4 | (guest & 3);
	/* The host makes 0 of a null selector with an RPL, at its next interrupt. */
	return guest & 3 ? NULL_ENTRY << 3 | 4 | (guest & 3) : 0;
}

/* What the guest reads where the host register holds `host`. */
uint32_t shown_selector(uint32_t host)
{
	return ((uint16_t *)(state + REVMAP_OFFSET))[host & 0xffff];
}

/* The static inverse, with which REVMAP begins. */
uint32_t guest_selector(uint32_t host)
{
	uint32_t index = host >> 3, rpl = host & 3;

	if (!(host & 4))
		return host;
	if (index < GDT_LOW)
		return index << 3 | rpl;
	if (index < GHOST_FIRST)
		return (index - GDT_LOW) << 3 | 4 | rpl;
	if (index < LOW_END) /* ghosts' and whole ones' change; NULL_ENTRY */
		return rpl;
	if (index < GDT_LIMIT)
		return (index - (LOW_END - GDT_LOW)) << 3 | rpl;
	return (index - GDT_LIMIT) << 3 | 4 | rpl;
}

/* A descriptor that kernels rewrite for each thread that they switch to: a user segment of the GDT that begins
 * somewhere. An LDT is mirrored anew when it is loaded; of the GDT's others, what is changed in memory counts from the
 * next `lgdt` or `lldt` on. */
static bool is_rewritten(uint32_t guest, uint64_t d) { return !(guest & 4) && desc_dpl(d) == 3 && desc_base(d); }

/* The entry that has the data segment of entry `index` whole; 0 where none has. */
static uint32_t whole_entry(uint32_t index)
{
	for (uint32_t i = 0; index && i < WHOLE_COUNT; i++)
		if (machine.whole_of[i] == index)
			return WHOLE_FIRST + i;
	return 0;
}

/* The host's selector for the guest's, in ring 0. */
static uint32_t inner_selector(uint32_t guest)
{
	uint32_t host = host_selector(guest), whole = whole_entry(host >> 3);

	return whole ? whole << 3 | 4 | (guest & 3) : host;
}

/* What a data segment register is to hold for the guest's selector. */
uint32_t data_selector(uint32_t guest) { return vcpu.cpl ? host_selector(guest) : inner_selector(guest); }

/* The other direction, for ring 0, as ported code reads it inline: a selector that ring 0 may not load, that
 * this mirror does not know, or whose descriptor kernels rewrite, becomes one that faults, so that
 * `segment_load` decides. */
static uint32_t loadable(uint32_t guest, uint64_t source, uint64_t wanted)
{
	bool code = source & DESC_CODE, conforming = code && source & DESC_EXPAND;

	if (!wanted || is_rewritten(guest, source) || (code && !(source & DESC_WRITE)) ||
	    (!conforming && desc_dpl(source) < (guest & 3)))
		return FAULTING_SELECTOR;
	return inner_selector(guest);
}

static void selector_map_entry(uint32_t index)
{
	for (uint32_t rpl = 0; rpl < 4; rpl++) {
		uint32_t guest = guest_selector(index << 3 | 4 | rpl);

		if (guest & 0xfffc)
			((uint16_t *)(state + SELMAP_OFFSET))[guest] =
				(uint16_t)loadable(guest, machine.ldt_source[index], machine.ldt_wanted[index]);
	}
}

/* The maps of `file`, before any mirror is made, and the segment behind which null selectors hide. */
void selector_map_write(uint8_t *file)
{
	for (uint32_t s = 0; s < 0x10000; s++) {
		((uint16_t *)(file + SELMAP_OFFSET))[s] = (uint16_t)(s & 0xfffc ? FAULTING_SELECTOR : host_selector(s));
		((uint16_t *)(file + REVMAP_OFFSET))[s] = (uint16_t)guest_selector(s);
	}
	/* Expand-down with the highest limit: no offset is in it. */
	machine.ldt_wanted[NULL_ENTRY] = DESC_P | DESC_S | DESC_DB | DESC_G | DESC_EXPAND | DESC_WRITE |
					 0xfull << 48 | 0xffff;
	machine.ldt_top = NULL_ENTRY + 1;
	machine.ldt_generation = 1;
}

/* What the host's entry for a guest descriptor must be: 0 for what cannot be loaded. */
static uint64_t wanted_for(uint64_t d, bool cut)
{
	if (!(d & DESC_S) || !(d & DESC_P))
		return 0;
	uint32_t base = desc_base(d), limit = desc_limit(d);

	/* Outer rings end at the user's addresses, or at the hole: what ring 0 does there inline, they do by a trap
	 * that checks their rights. */
	if (cut && desc_dpl(d) && (d & DESC_CODE || !(d & DESC_EXPAND))) {
		bool user = desc_dpl(d) == 3 && machine.user_limit && paging_on();
		uint32_t top = user ? machine.user_limit : HOLE, end = top - base - 1;

		if (user && base >= top)
			limit = 0;
		else if (base < top && limit > end)
			limit = end;
	}
	bool pages = limit > 0xfffff;

	base += control.slide;
	if (pages)
		limit >>= 12;
	return (d & 0x0070ff0000000000ull & ~(1ull << 40)) | (limit & 0xffff) | (uint64_t)(limit & 0xf0000) << 32 |
	       (uint64_t)(base & 0xffffff) << 16 | (uint64_t)(base >> 24) << 56 | (pages ? DESC_G : 0);
}

/* Make this process's LDT entry what it is to be. */
static void install(uint32_t index)
{
	uint64_t d = machine.ldt_wanted[index];
	struct {
		uint32_t number, base, limit, flags;
	} entry = { index, 0, 0, 1 << 3 | 1 << 5 }; /* empty: read-only, not present, all else 0 */

	if (installed[index] == d)
		return;
	if (d) {
		uint32_t code = d & DESC_CODE ? 1 : 0, expand = d & DESC_EXPAND ? 1 : 0;

		expand &= !code; /* the host has one ring for all code, and Linux refuses conforming segments */
		/* Code is always readable, because gates read the gate table through CS. */
		uint32_t read_only = code ? 0 : !(d & DESC_WRITE);

		entry.base = desc_base(d);
		entry.limit = (uint32_t)(d & 0xffff) | (uint32_t)(d >> 32 & 0xf0000);
		entry.flags = (d & DESC_DB ? 1 : 0) | (code << 1 | expand) << 1 | read_only << 3 |
			      (d & DESC_G ? 1 : 0) << 4 | 1 << 6;
	}
	int64_t error = syscall3(SYS_modify_ldt, 0x11, &entry, sizeof(entry));

	if (error < 0 && d) {
		/* A host without 16-bit segments (CONFIG_X86_16BIT): loading this one faults. */
		machine.ldt_wanted[index] = 0;
		install(index);
		return;
	}
	if (error < 0)
		fatal(ERROR_LDT, (uint64_t)-error);
	installed[index] = d;
}

/* Segments that ring 3 can use and `wanted_for` cannot cut: those that expand down, conforming code of inner rings. */
static bool is_uncut(uint64_t d)
{
	return d & DESC_S && d & DESC_P && d & DESC_EXPAND && (d & DESC_CODE ? desc_dpl(d) < 3 : desc_dpl(d) == 3);
}

static void count_uncut(uint64_t before, uint64_t after)
{
	uint32_t old = machine.uncut_segments;

	machine.uncut_segments += (uint32_t)is_uncut(after) - (uint32_t)is_uncut(before);
	if (!old && machine.uncut_segments)
		machine.user_limit = 0; /* to be learned anew */
}

static void put_entry(uint32_t index, uint64_t wanted, uint64_t source)
{
	bool same = machine.ldt_wanted[index] == wanted;

	count_uncut(machine.ldt_source[index], source);
	machine.ldt_source[index] = source;
	machine.ldt_wanted[index] = wanted;
	if (!same) {
		if (index >= machine.ldt_top)
			machine.ldt_top = index + 1;
		machine.ldt_generation++;
		install(index);
		machine.pool[self].ldt_generation = machine.ldt_generation;
	}
}

static bool is_outer_data(uint64_t d) { return d & DESC_S && d & DESC_P && !(d & DESC_CODE) && desc_dpl(d); }

/* Have the data segment of an entry that is cut whole in another one, as long as there is a data segment; where all
 * are taken, registers that need it are widened one by one. */
static void put_whole(uint32_t index)
{
	uint64_t source = machine.ldt_source[index], full = wanted_for(source, false);
	uint32_t entry = whole_entry(index);

	if (!entry && machine.ldt_wanted[index] && is_outer_data(source) && full != machine.ldt_wanted[index])
		for (uint32_t i = 0; i < WHOLE_COUNT && !entry; i++)
			if (!machine.whole_of[i])
				entry = WHOLE_FIRST + i;
	if (!entry)
		return;
	bool is_used = is_outer_data(source);

	machine.whole_of[entry - WHOLE_FIRST] = is_used ? index : 0;
	put_entry(entry, is_used ? full : 0, is_used ? source : 0);
	for (uint32_t rpl = 0; rpl < 4; rpl++)
		((uint16_t *)(state + REVMAP_OFFSET))[entry << 3 | 4 | rpl] =
			(uint16_t)guest_selector(index << 3 | 4 | rpl);
}

static void set_entry(uint32_t index, uint64_t wanted, uint64_t source)
{
	put_entry(index, wanted, source);
	put_whole(index);
	selector_map_entry(index); /* behind `install`, which the host may refuse */
}

/* Put the register on a segment of its own, which shows as `guest`: a descriptor with nothing behind it where
 * `source` is 0. */
static void move_to_ghost(enum segment_register reg, uint32_t guest, uint64_t wanted, uint64_t source)
{
	uint32_t ghost = GHOST_FIRST + reg, host = ghost << 3 | 4 | (guest & 3);

	put_entry(ghost, wanted, source);
	((uint16_t *)(state + REVMAP_OFFSET))[host] = (uint16_t)guest;
	host_register_set(reg, host);
}

/* Move a register off the entry that is about to change, so that it keeps its hidden part. */
static void keep_hidden(enum segment_register reg, uint32_t index, uint64_t wanted, uint64_t source)
{
	uint32_t host = host_register(reg);

	if (host & 4 && host >> 3 == index)
		move_to_ghost(reg, shown_selector(host), wanted, source);
}

/* A selector that is no null one, but has no segment behind it: every access through the register faults. */
void host_register_invalidate(enum segment_register reg, uint32_t guest)
{
	move_to_ghost(reg, guest, machine.ldt_wanted[NULL_ENTRY], 0);
}

/* Move all registers off an entry that will hold `wanted`. */
static void leave_entry(uint32_t index, uint64_t wanted)
{
	uint64_t old = machine.ldt_wanted[index];

	if (old && old != wanted)
		for (enum segment_register reg = SEG_ES; reg < SEG_NONE; reg++)
			keep_hidden(reg, index, old, machine.ldt_source[index]);
}

static void change_entry(uint32_t index, uint64_t descriptor)
{
	uint64_t wanted = wanted_for(descriptor, true);
	uint32_t whole = whole_entry(index);

	leave_entry(index, wanted);
	if (whole)
		leave_entry(whole, is_outer_data(descriptor) ? wanted_for(descriptor, false) : 0);
	set_entry(index, wanted, descriptor);
}

/* Bring the mirror of one descriptor up to date; false where no entry mirrors it. */
bool mirror_entry(uint32_t selector, uint64_t descriptor)
{
	uint32_t index = ldt_index(selector);

	if (index == HOST_LDT_ENTRIES - 1)
		return false;
	if (machine.ldt_source[index] != descriptor || !machine.ldt_wanted[index])
		change_entry(index, descriptor);
	if (!machine.user_limit && vcpu.cpl == 3 && paging_on()) {
		user_limit_learn();
		vtlb_enter_user();
	}
	return machine.ldt_wanted[index] != 0;
}

static void mirror_range(uint32_t ti, uint32_t base, uint32_t limit, uint32_t first)
{
	for (uint32_t index = first; index < (ti ? LDT_LIMIT : GDT_LIMIT - (LOW_END - GDT_LOW)); index++) {
		uint32_t slot = ldt_index(index << 3 | ti);
		uint64_t descriptor = 0;

		if (index * 8 + 7 <= limit) {
			if (!guest_read(base + index * 8, &descriptor, 8, 0))
				descriptor = 0;
		} else if (slot >= machine.ldt_top && index * 8 > limit) {
			break;
		}
		if (machine.ldt_source[slot] != descriptor)
			change_entry(slot, descriptor);
	}
}

/* Mirror the LDT as it is now: LDTR has changed. */
void mirror_local_table(void)
{
	mirror_range(4, vcpu.ldtr.base, vcpu.ldtr.selector & 0xfffc ? vcpu.ldtr.limit : 0, 0);
}

/* The guest has loaded GDTR or LDTR: mirror both tables as they are now. */
void mirror_table(void)
{
	mirror_range(0, vcpu.gdt_base, vcpu.gdt_limit, 1);
	mirror_local_table();
}

/* This process becomes the current one: take over what changed while it waited. */
void mirror_sync(void)
{
	if (machine.pool[self].ldt_generation == machine.ldt_generation)
		return;
	for (uint32_t index = 0; index < machine.ldt_top; index++)
		install(index);
	machine.pool[self].ldt_generation = machine.ldt_generation;
}

/* machine.user_limit has changed: cut user segments anew. */
void mirror_user_limit(void)
{
	for (uint32_t index = 0; index < machine.ldt_top; index++) {
		uint64_t source = machine.ldt_source[index];

		if (desc_dpl(source) != 3 || is_whole(index << 3 | 4))
			continue;
		(is_ghost(index << 3 | 4) ? put_entry : set_entry)(index, wanted_for(source, true), source);
	}
}

/* Ring 0 code that goes on using a user segment (Linux does) must reach all of it: widen the registers
 * that hold one. False where none needed it. */
bool segments_widen(void)
{
	static const enum segment_register data[] = { SEG_DS, SEG_ES, SEG_FS, SEG_GS };
	bool any = false;

	for (uint32_t i = 0; i < 4; i++) {
		uint32_t host = host_register(data[i]), index = host >> 3;

		if (is_null(host) || !(host & 4) || is_ghost(host))
			continue;
		uint64_t source = machine.ldt_source[index], full = wanted_for(source, false);

		if (full == machine.ldt_wanted[index])
			continue;
		uint32_t whole = whole_entry(index);

		if (whole)
			host_register_set(data[i], whole << 3 | 4 | (host & 3));
		else
			keep_hidden(data[i], index, full, source);
		any = true;
	}
	return any;
}
