/* The monitor's own state, and the names of what the processor defines. */
#ifndef RING3_MACHINE_H
#define RING3_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi.h"

/* Everything is linked into one file: no global offset table. */
#pragma GCC visibility push(hidden)

#define PAGE_MASK 0xfffu
#define MEMBERS_MAX 128
#define NS 1000000000ull /* in a second */
#define SECTOR 512u
#define OPENED_MAX 8u

/* The bits of an access of 1 to 4 bytes. */
static inline uint32_t mask_of(uint32_t size) { return size == 4 ? ~0u : (1u << size * 8) - 1; }

/* Flags */
#define FLAG_CF 0x1u
#define FLAG_ZF 0x40u
#define FLAG_TF 0x100u
#define FLAG_IF 0x200u
#define FLAG_DF 0x400u
#define FLAG_IOPL 0x3000u
#define FLAG_NT 0x4000u
#define FLAG_RF 0x10000u
#define FLAG_VM 0x20000u
#define FLAG_AC 0x40000u

#define CR0_PE 0x1u
#define CR0_MP 0x2u
#define CR0_EM 0x4u
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_NE 0x20u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_NW 0x20000000u
#define CR0_CD 0x40000000u
#define CR0_PG 0x80000000u
#define DR6_BS 0x4000u
#define EFER_NXE 0x800u

/* Entries of page tables, in both formats (SDM vol. 3, tables 4-5 to 4-6 and 4-8 to 4-11) */
#define PTE_P 1u
#define PTE_W 2u
#define PTE_U 4u
#define PTE_A 0x20u
#define PTE_D 0x40u
#define PTE_AD (PTE_A | PTE_D)
#define PTE_PS 0x80u
#define PTE_G 0x100u
#define PTE_NX (1ull << 63)
#define PTE_FRAME 0x000ffffffffff000ull
#define CR4_VME 0x1u
#define CR4_PVI 0x2u
#define CR4_TSD 0x4u
#define CR4_DE 0x8u
#define CR4_PSE 0x10u
#define CR4_PAE 0x20u
#define CR4_PGE 0x80u
#define CR4_OSFXSR 0x200u
#define CR4_OSXMMEXCPT 0x400u

/* Exception vectors (SDM vol. 3, table 6-1) */
enum { VECTOR_DE = 0, VECTOR_DB = 1, VECTOR_BP = 3, VECTOR_OF = 4, VECTOR_BR = 5, VECTOR_UD = 6, VECTOR_NM = 7,
       VECTOR_DF = 8, VECTOR_TS = 10, VECTOR_NP = 11, VECTOR_SS = 12, VECTOR_GP = 13, VECTOR_PF = 14,
       VECTOR_MF = 16, VECTOR_AC = 17, VECTOR_XM = 19 };

/* A segment's access rights, as in `struct segment` (SDM vol. 3, 3.4.5) */
#define ACCESS_WRITABLE 2u
#define ACCESS_CONFORMING 4u  /* of code */
#define ACCESS_EXPAND_DOWN 4u /* of data */
#define ACCESS_CODE 8u
#define ACCESS_S 0x10u
#define ACCESS_P 0x80u
#define ACCESS_BIG 0x4000u
#define TSS_WIDE 8u /* a TSS is a 32-bit one */

enum segment_register { SEG_ES, SEG_CS, SEG_SS, SEG_DS, SEG_FS, SEG_GS, SEG_NONE };

/* Mapped at fixed addresses by the linker script. */
extern uint8_t state[];
extern struct control_block control;
#define shared (*(volatile struct shared_page *)state)
#define ram ((uint8_t *)RAM_BASE)
#define debugger (*(struct debug_block *)(state + DEBUG_OFFSET))

/* --- What all processes of one guest share, behind the vCPU in the state file --------------------- */

struct pic_chip {
	uint8_t irr, isr, imr, base, init, single, icw4, read_isr, auto_eoi, fully_nested, rotate, special_mask, poll;
	uint8_t lines, elcr, priority;
	uint8_t pulsed; /* level lines that are high until they are taken */
};

/* Interrupts of a timer: how many are accounted for, and how many the guest is still to get. */
struct ticks {
	uint64_t seen, owed, again; /* again: when the next of those owed comes; ns */
};

struct pit_channel {
	uint32_t count, next_count; /* 1 to 65536 (BCD: 10000); next_count: from `next_at` on, 0: none */
	uint8_t mode, access, bcd, gate;
	uint8_t loaded;	   /* a count was written since the mode was set, and triggered where the mode wants that */
	uint8_t unloaded;  /* a count was written that is not counted yet ("null count") */
	uint8_t write_half, write_low, read_half, latched_reads, status_latched, status;
	uint32_t latched;
	uint64_t start;	   /* tick when counting began */
	uint64_t held;	   /* ticks counted before the gate closed */
	uint64_t next_at;  /* ticks from `start` */
	uint64_t edges;	   /* rising edges of the output before `start` */
	struct ticks ticks;
	bool unwatched;	   /* the line was masked everywhere */
};

struct lapic_state {
	uint32_t irr[8], isr[8], tmr[8];
	uint32_t id, ldr, dfr, svr, tpr, esr, esr_new, icr_low, icr_high;
	uint32_t lvt[6]; /* timer, thermal, performance, LINT0, LINT1, error */
	uint32_t initial_count, divide;
	uint32_t left;	/* count at `start`; 0: the timer stands */
	uint32_t reads, count_was_read, wire; /* wire: the PIC asks at LINT0 */
	uint64_t start; /* ns */
	struct ticks ticks;
};

struct uart_state {
	uint8_t ier, lcr, mcr, scr, dll, dlm, fcr, errors, modem_changes, thr_interrupt, line, timed_out;
	uint8_t received[16], first, count, holding; /* holding: without FIFO, what DATA reads until more comes */
	uint32_t breaks;
	uint64_t timeout_at; /* ns */
};

struct rtc_state {
	uint8_t index, flags, line, stopped;
	int64_t offset;	   /* s: the guest's time minus the host's */
	uint64_t fraction; /* ns, added first */
	uint64_t seen;	   /* second up to which updates and alarms are accounted for */
	struct ticks ticks;
};

struct member {
	volatile uint32_t turn; /* futex: 1 = this process runs the guest */
	uint32_t pid;
	uint32_t cr3;	 /* key; 1 = none (a CR3 value has bits 0-2 clear) */
	uint32_t ldt_generation;
	uint64_t last_used;
	uint32_t global_generation;
	uint32_t flush; /* drop everything before the next use */
};

struct fault {
	uint32_t vector, error, has_error, address;
};

/* What enters a handler, by the IDT. An exception is of cause FAULT or TRAP: faults push EFLAGS.RF. */
enum cause { CAUSE_NONE, CAUSE_EXTERNAL, CAUSE_SOFTWARE, CAUSE_FAULT, CAUSE_TRAP };
struct event {
	uint32_t vector, error, has_error;
	enum cause cause;
};

/* What is left to do of a task switch: see task.c. */
struct task_start {
	struct event event;
	bool wide, trap;  /* the TSS has 32 bits; its T flag is set */
	bool local_table; /* the new task has an LDT, or the old one had */
	bool tables_wrong; /* its CR3 was refused */
};

struct machine {
	volatile uint32_t events; /* something to look at before guest code runs again */
	uint32_t segments_lost;	  /* load DS, ES, FS, GS from the vCPU before guest code runs */
	uint32_t gate_number;	  /* hypercall that came in by a gate last */
	uint32_t reserved;
	/* Interrupts */
	struct pic_chip pic[2];
	struct pit_channel pit[3];
	uint32_t port61;
	struct lapic_state lapic;
	uint64_t ioapic_redirection[24];
	uint32_t ioapic_id, ioapic_select, ioapic_lines;
	uint32_t pm_enable, pm_raised; /* PM1 event enable; those that hold the SCI */
	uint64_t pm_cleared; /* half periods of the PM timer when its event was cleared */
	struct uart_state uart[SERIAL_COUNT];
	struct rtc_state rtc;
	uint64_t rtc_deadline, uart_deadline; /* ns; ~0: none */
	uint64_t deadline; /* ns, CLOCK_MONOTONIC; the earliest of all devices, ~0: none */
	uint64_t ide_deadline; /* when IDE interrupts that are due are looked for; ~0: none are */
	uint64_t ide_run;      /* what the process `ide_process` had run then, in ns, and where the guest was */
	uint32_t ide_process, ide_eip;
	uint32_t ide_trust;    /* how many IDE interrupts in a row came without that, at most TRUSTED */
	uint64_t serial_deadline; /* when the VMM is told of serial output; ~0: not waiting */
	/* Segments: what the host LDT is to hold, packed as descriptors */
	uint32_t ldt_generation, ldt_top;
	uint64_t ldt_wanted[HOST_LDT_ENTRIES];
	/* The guest descriptor that each mirror entry was made from */
	uint64_t ldt_source[HOST_LDT_ENTRIES];
	uint32_t whole_of[WHOLE_COUNT]; /* which entry each of them has whole; 0: none */
	uint32_t uncut_segments; /* how many mirrored ones do not end where user addresses do */
	/* Memory */
	uint32_t user_limit; /* guest-linear end of user addresses; 0 = not learned yet */
	uint32_t wide;	     /* CR4.PAE: page table entries have 8 bytes; 0 or 1 */
	uint32_t global_generation;
	uint32_t refill, refill_valid; /* address of the last reflected page fault */
	/* Tasks */
	uint32_t inner_stacks; /* limit of the TSS, if it is a 32-bit one: where the stacks of inner rings are */
	bool task_due;	       /* `task` is to begin */
	struct task_start task;
	/* Current operation */
	uint32_t instruction_eip; /* where a fault of the current operation points to */
	bool shadow;		  /* no interrupt before one more instruction has run */
	bool stack_loaded;	  /* that is because SS was loaded: no single-step trap either */
	bool stepping;		  /* that instruction runs with the host's TF */
	bool stepping_too;	  /* and the guest's */
	bool stepping_unaligned;  /* without the guest's AC */
	bool stepped;		  /* guest code was stopped by that, in the shadow of sti or SS */
	bool traced;		  /* the guest's TF is set; its instruction may be over, see end_of_instruction */
	bool traced_trap;	  /* it is: a trap said so */
	bool traced_step;	  /* it is the guest's TF that asks, not only a data breakpoint */
	uint32_t traced_eip;	  /* where it began */
	bool entered;		  /* an interrupt or exception was delivered */
	bool iterated;		  /* one item of a repeated string instruction is done */
	uint32_t resume_failures; /* leaving for the guest faulted this often without guest code running */
	struct fault fault;
	/* Pool */
	volatile uint32_t current, members, zygote_turn, request;
	uint64_t clock;
	struct member pool[MEMBERS_MAX];
	/* Debug registers (debug.c) */
	bool watching;	     /* some breakpoint on memory is enabled */
	bool watching_code;  /* one of them on an instruction */
	bool watching_ports; /* some breakpoint on a port is */
	bool opened;	     /* pages with breakpoints are mapped with all rights, for one instruction */
	bool resumed;	     /* RF: no instruction breakpoint at `resumed_eip` */
	uint32_t resumed_eip;
	uint32_t debug_hits; /* breakpoints that the current instruction met, for when it is over */
	uint32_t opened_count, opened_page[OPENED_MAX];
	/* A debugger of the guest (debugger.c) */
	bool debugger_points;  /* it has break points or watch points */
	bool debugger_step;    /* it lets one instruction run */
	bool debugger_due;     /* the guest is to stand still before it goes on, because of ... */
	bool debugger_touched; /* the instruction that runs touches a watch point */
	uint32_t debugger_why; /* DebugStop */
	uint32_t debugger_what, debugger_type;
	/* FPU (fpu.c) */
	bool fpu_withheld; /* CR0.TS or EM is set: the x87 registers are put aside */
	bool fpu_due;	   /* #NM is to come when ring 3 begins */
	uint8_t x87_aside[576] __attribute__((aligned(64)));
	/* FPU state on the way between two processes */
	uint8_t fpu[8192] __attribute__((aligned(64)));
};

extern struct vcpu vcpu;
extern struct machine machine;
/* entry.S reaches these by the offsets in monitor.ld. */
_Static_assert(offsetof(struct machine, segments_lost) == 4, "monitor.ld");
_Static_assert(offsetof(struct machine, gate_number) == 8, "monitor.ld");

static inline bool interrupts_on(void) { return !shared.upcall_mask; }
static inline bool paging_on(void) { return (shared.cr0 & CR0_PG) != 0; }

struct leaf {
	uint32_t eax, ebx, ecx, edx;
};

#define CPUID_OSXSAVE 0x08000000u /* CPUID.1:ECX */

/* What the host's processor says; in a virtual machine it traps. */
static inline struct leaf cpuid(uint32_t number, uint32_t part)
{
	struct leaf leaf;

	__asm__ volatile("cpuid" : "=a"(leaf.eax), "=b"(leaf.ebx), "=c"(leaf.ecx), "=d"(leaf.edx)
			 : "a"(number), "c"(part));
	return leaf;
}

static inline uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

#endif
