/* Page tables against what the virtual TLB remembers of them, in groups of 64 entries.
 *
 * A kernel's direct map is tens of thousands of entries, compared at each CR3 load: so with vector
 * instructions, and where entries follow each other as pages of memory do, against numbers that are
 * counted up instead of read. The vector registers are the guest's: what is used is put back. */
#include "monitor.h"

#define GROUPS_OF_REGION 16u

#define OSXSAVE_AND_AVX (CPUID_OSXSAVE | 0x10000000u) /* CPUID.1:ECX */
#define AVX2 0x20u		    /* CPUID.(7,0):EBX */
#define XGETBV_1 4u		    /* CPUID.(0DH,1):EAX: XGETBV tells which components are in use */
#define SSE_STATE 2u
#define AVX_STATE 4u

static bool has_avx2, by_eight;

static uint32_t xgetbv(uint32_t number)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(number));
	return low;
}

/* Once, in the first process: cpuid traps in a virtual machine. */
void compare_prepare(void)
{
	has_avx2 = cpuid(0, 0).eax >= 0xd && (cpuid(1, 0).ecx & OSXSAVE_AND_AVX) == OSXSAVE_AND_AVX &&
		   (xgetbv(0) & (SSE_STATE | AVX_STATE)) == (SSE_STATE | AVX_STATE) && cpuid(7, 0).ebx & AVX2 &&
		   cpuid(0xd, 1).eax & XGETBV_1;
}

/* Before a series of comparisons. While the guest has nothing in the upper halves of the registers (it is not
 * told of AVX), they can be left as they were: clear, and not in use. */
void compare_begin(void) { by_eight = has_avx2 && !(xgetbv(1) & AVX_STATE); }

#define ACCUMULATE(offset)                                                                                    \
	"vmovdqa " #offset "(%[now]), %%ymm1\n\t"                                                             \
	"vpxor " #offset "(%[then]), %%ymm1, %%ymm1\n\t"                                                      \
	"vpor %%ymm1, %%ymm0, %%ymm0\n\t"

#define COUNT(offset)                                                                                         \
	"vpxor " #offset "(%[now]), %%ymm3, %%ymm1; vpaddd %%ymm4, %%ymm3, %%ymm3\n\t"                        \
	"vpor %%ymm1, %%ymm0, %%ymm0\n\t"

/* `compared` is of two entries that lie next to each other, or of one that is wide. */
static uint32_t equal_by_eight(const uint32_t *now, const uint32_t *then, uint32_t groups, uint64_t compared)
{
	uint64_t saved[6], left = groups;

	__asm__ volatile(
		"movdqu %%xmm0, 0(%[saved]); movdqu %%xmm1, 16(%[saved]); movdqu %%xmm2, 32(%[saved])\n\t"
		"vmovq %[compared], %%xmm2; vpbroadcastq %%xmm2, %%ymm2\n\t"
		"1:\tvmovdqa (%[now]), %%ymm0; vpxor (%[then]), %%ymm0, %%ymm0\n\t"
		ACCUMULATE(32) ACCUMULATE(64) ACCUMULATE(96) ACCUMULATE(128) ACCUMULATE(160) ACCUMULATE(192)
		ACCUMULATE(224)
		"vptest %%ymm2, %%ymm0\n\t"
		"jnz 2f\n\t"
		"add $256, %[now]; add $256, %[then]\n\t"
		"dec %[left]\n\t"
		"jnz 1b\n\t"
		"2:\tvzeroupper\n\t"
		"movdqu 0(%[saved]), %%xmm0; movdqu 16(%[saved]), %%xmm1; movdqu 32(%[saved]), %%xmm2"
		: [now] "+r"(now), [then] "+r"(then), [left] "+r"(left)
		: [saved] "r"(saved), [compared] "r"(compared) : "cc", "memory");
	return groups - (uint32_t)left;
}

static uint32_t equal_by_four(const uint32_t *now, const uint32_t *then, uint32_t groups, uint64_t compared)
{
	uint64_t saved[8], left = groups, found;

	__asm__ volatile(
		"movdqu %%xmm0, 0(%[saved]); movdqu %%xmm1, 16(%[saved]); movdqu %%xmm2, 32(%[saved])\n\t"
		"movdqu %%xmm3, 48(%[saved])\n\t"
		"movq %[compared], %%xmm3; punpcklqdq %%xmm3, %%xmm3\n\t"
		"1:\tpxor %%xmm0, %%xmm0\n\t"
		"mov $-256, %[found]\n\t" /* counts up to zero over a group */
		"2:\tmovdqa 256(%[now],%[found]), %%xmm1\n\t"
		"movdqa 272(%[now],%[found]), %%xmm2\n\t"
		"pxor 256(%[then],%[found]), %%xmm1\n\t"
		"pxor 272(%[then],%[found]), %%xmm2\n\t"
		"por %%xmm1, %%xmm0\n\t"
		"por %%xmm2, %%xmm0\n\t"
		"add $32, %[found]\n\t"
		"jnz 2b\n\t"
		"pand %%xmm3, %%xmm0; pxor %%xmm1, %%xmm1; pcmpeqd %%xmm1, %%xmm0; pmovmskb %%xmm0, %k[found]\n\t"
		"cmp $0xffff, %k[found]\n\t"
		"jne 3f\n\t"
		"add $256, %[now]; add $256, %[then]\n\t"
		"dec %[left]\n\t"
		"jnz 1b\n\t"
		"3:\tmovdqu 0(%[saved]), %%xmm0; movdqu 16(%[saved]), %%xmm1; movdqu 32(%[saved]), %%xmm2\n\t"
		"movdqu 48(%[saved]), %%xmm3"
		: [now] "+r"(now), [then] "+r"(then), [left] "+r"(left), [found] "=&r"(found)
		: [saved] "r"(saved), [compared] "r"(compared) : "cc", "memory");
	return groups - (uint32_t)left;
}

/* Against entries that begin with `first` and map one page after the other. */
static uint32_t counted_by_eight(const uint32_t *now, uint32_t first, uint32_t groups, uint32_t compared)
{
	static const uint32_t offsets[8] __attribute__((aligned(32))) = {
		0, PAGE_SIZE, 2 * PAGE_SIZE, 3 * PAGE_SIZE, 4 * PAGE_SIZE, 5 * PAGE_SIZE, 6 * PAGE_SIZE, 7 * PAGE_SIZE,
	};
	uint64_t saved[10], left = groups;

	__asm__ volatile(
		"movdqu %%xmm0, 0(%[saved]); movdqu %%xmm1, 16(%[saved]); movdqu %%xmm2, 32(%[saved])\n\t"
		"movdqu %%xmm3, 48(%[saved]); movdqu %%xmm4, 64(%[saved])\n\t"
		"vmovd %[compared], %%xmm2; vpbroadcastd %%xmm2, %%ymm2\n\t"
		"vmovd %[first], %%xmm3; vpbroadcastd %%xmm3, %%ymm3; vpaddd (%[offsets]), %%ymm3, %%ymm3\n\t"
		"vmovd %[step], %%xmm4; vpbroadcastd %%xmm4, %%ymm4\n\t"
		"1:\tvpxor (%[now]), %%ymm3, %%ymm0; vpaddd %%ymm4, %%ymm3, %%ymm3\n\t"
		COUNT(32) COUNT(64) COUNT(96) COUNT(128) COUNT(160) COUNT(192) COUNT(224)
		"vptest %%ymm2, %%ymm0\n\t"
		"jnz 2f\n\t"
		"add $256, %[now]\n\t"
		"dec %[left]\n\t"
		"jnz 1b\n\t"
		"2:\tvzeroupper\n\t"
		"movdqu 0(%[saved]), %%xmm0; movdqu 16(%[saved]), %%xmm1; movdqu 32(%[saved]), %%xmm2\n\t"
		"movdqu 48(%[saved]), %%xmm3; movdqu 64(%[saved]), %%xmm4"
		: [now] "+r"(now), [left] "+r"(left)
		: [saved] "r"(saved), [compared] "r"(compared), [first] "r"(first), [offsets] "r"(offsets),
		  [step] "r"(8 * PAGE_SIZE) : "cc", "memory");
	return groups - (uint32_t)left;
}

/* Which of a region's groups map one page after the other, as counted from `base` at the region's start. */
static struct shape {
	uint16_t examined, straight;
	uint32_t base;
} shapes[(1u << 20) / GROUP / GROUPS_OF_REGION];

/* An entry of `group` is another now. */
void compare_again(uint32_t group)
{
	struct shape *shape = &shapes[group / GROUPS_OF_REGION];
	uint16_t others = (uint16_t)~(1u << group % GROUPS_OF_REGION);

	shape->examined &= others;
	shape->straight &= others;
}

static void examine(const uint32_t *entries, uint32_t group)
{
	struct shape *shape = &shapes[group / GROUPS_OF_REGION];
	uint32_t place = group % GROUPS_OF_REGION, first = entries[group * GROUP] & ~PTE_AD, i = 1;
	uint32_t base = first - place * GROUP * PAGE_SIZE;

	if (!shape->straight)
		shape->base = base;
	while (i < GROUP && (entries[group * GROUP + i] & ~PTE_AD) == first + i * PAGE_SIZE)
		i++;
	shape->examined |= (uint16_t)(1u << place);
	if (i == GROUP && base == shape->base)
		shape->straight |= (uint16_t)(1u << place);
}

static uint32_t equal(const uint32_t *now, const uint32_t *then, uint32_t groups, uint64_t compared)
{
	return (by_eight ? equal_by_eight : equal_by_four)(now, then, groups, compared);
}

/* How many of `groups` of 64 wide entries agree in the bits of `compared`? */
uint32_t wide_groups_unchanged(const uint64_t *table, const uint64_t *entries, uint32_t groups, uint64_t compared)
{
	return equal((const uint32_t *)table, (const uint32_t *)entries, 2 * groups, compared) / 2;
}

/* How many of `groups` from `first` on, all of one region, agree in the bits of `compared`? `table` and `entries`
 * are such that group g begins at index 64 * g. */
uint32_t groups_unchanged(const uint32_t *table, const uint32_t *entries, uint32_t first, uint32_t groups,
			  uint32_t compared)
{
	const struct shape *shape = &shapes[first / GROUPS_OF_REGION];
	/* Accessed and dirty bits are no part of the counting. */
	uint32_t straight = by_eight && !(compared & PTE_AD) ? shape->straight : 0, done = 0;

	while (done < groups) {
		uint32_t group = first + done, place = group % GROUPS_OF_REGION, kind = straight >> place & 1;
		uint32_t count = 1, same;

		while (done + count < groups && (straight >> (place + count) & 1) == kind)
			count++;
		if (kind)
			same = counted_by_eight(table + group * GROUP, shape->base + place * GROUP * PAGE_SIZE, count,
						compared);
		else
			same = equal(table + group * GROUP, entries + group * GROUP, count,
				     (uint64_t)compared << 32 | compared);
		for (uint32_t i = 0; !kind && i < same; i++)
			if (!(shape->examined >> (place + i) & 1))
				examine(entries, group + i);
		done += same;
		if (same < count)
			break;
	}
	return done;
}
