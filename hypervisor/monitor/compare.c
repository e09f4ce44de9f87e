/* Page tables against what the virtual TLB remembers of them, in groups of 64 entries.
 *
 * A kernel's direct map is tens of thousands of entries, compared at each CR3 load: so with vector
 * instructions, which the number of instructions bounds and not the cache. The vector registers are the
 * guest's: what is used is put back. */
#include "monitor.h"

#define OSXSAVE_AND_AVX 0x18000000u /* CPUID.1:ECX */
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

struct leaf {
	uint32_t eax, ebx, ecx, edx;
};

static struct leaf cpuid(uint32_t number, uint32_t part)
{
	struct leaf leaf;

	__asm__ volatile("cpuid" : "=a"(leaf.eax), "=b"(leaf.ebx), "=c"(leaf.ecx), "=d"(leaf.edx)
			 : "a"(number), "c"(part));
	return leaf;
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

static uint32_t equal_by_eight(const uint32_t *now, const uint32_t *then, uint32_t groups, uint32_t compared)
{
	uint64_t saved[6], left = groups;

	__asm__ volatile(
		"movdqu %%xmm0, 0(%[saved]); movdqu %%xmm1, 16(%[saved]); movdqu %%xmm2, 32(%[saved])\n\t"
		"vmovd %[compared], %%xmm2; vpbroadcastd %%xmm2, %%ymm2\n\t"
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

static uint32_t equal_by_four(const uint32_t *now, const uint32_t *then, uint32_t groups, uint32_t compared)
{
	uint64_t saved[8], left = groups, found;

	__asm__ volatile(
		"movdqu %%xmm0, 0(%[saved]); movdqu %%xmm1, 16(%[saved]); movdqu %%xmm2, 32(%[saved])\n\t"
		"movdqu %%xmm3, 48(%[saved])\n\t"
		"movd %[compared], %%xmm3; pshufd $0, %%xmm3, %%xmm3\n\t"
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

/* How many of `groups`, from the first on, agree in the bits of `compared`? Both tables are aligned to a group
 * or a page. */
uint32_t groups_equal(const uint32_t *now, const uint32_t *then, uint32_t groups, uint32_t compared)
{
	return (by_eight ? equal_by_eight : equal_by_four)(now, then, groups, compared);
}
