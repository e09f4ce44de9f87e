/* The monitor's own state and the functions of its files, in reading order. */
#ifndef RING3_MONITOR_H
#define RING3_MONITOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "abi.h"

/* Everything is linked into one file: no global offset table. */
#pragma GCC visibility push(hidden)

#define PAGE_MASK 0xfffu
#define MEMBERS_MAX 128
#define NS 1000000000ull /* in a second */
#define OPENED_MAX 8u

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
	uint64_t console_deadline; /* when the VMM is told of console output; ~0: not waiting */
	/* Segments: what the host LDT is to hold, packed as descriptors */
	uint32_t ldt_generation, ldt_top;
	uint64_t ldt_wanted[HOST_LDT_ENTRIES];
	/* The guest descriptor that each mirror entry was made from */
	uint64_t ldt_source[HOST_LDT_ENTRIES];
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
static inline uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* main.c: start-up of the first process (the zygote) */
_Noreturn void fatal(uint32_t code, uint64_t detail);
void *memcpy(void *to, const void *from, size_t count);
void *memset(void *to, int byte, size_t count);

/* sandbox.c */
void sandbox_enter(bool zygote);

/* pool.c: address-space processes */
extern uint32_t self; /* index of this process in machine.pool */
_Noreturn void pool_run(void);
void pool_switch(uint32_t cr3);
void pool_flush_all(void);

/* entry.S */
_Noreturn void resume(void);
extern uint8_t resume_window[], resume_window_end[], gate_restart[];

/* landing.c: the code pages and tables in the hole */
void landing_write(uint8_t *file);
void flag_tables_write(void);
bool raw_load(uint32_t host_linear, void *to, uint32_t size);
bool raw_store(uint32_t host_linear, const void *from, uint32_t size);
bool raw_copy(void *to, const void *from, uint64_t size);
extern uint8_t raw_start[], raw_end[], raw_failed[];
extern uint8_t monitor_stack_top[];

/* signal.c: faults and timers as host signals */
void signals_install(void);
void step_one(void);
void end_of_instruction(void);

/* resume.c: what is to be done before guest code runs again */
void resume_work(void);
void devices_poll(void);

/* mmu.c: the guest's own page tables. A directory entry stands for a region of 1024 pages or, PAE, 512. */
struct translation {
	uint64_t physical;
	uint32_t rights;     /* P, W, U that both entries give, and PS */
	bool executable;
	bool dirty;	     /* the entry has D set */
	uint64_t pde, entry; /* as the guest's tables have them; of a large page both are its directory entry */
};
enum access { ACCESS_READ = 0, ACCESS_WRITE = 2, ACCESS_USER = 4, ACCESS_FETCH = 16 };
bool translate(uint32_t linear, uint32_t access, struct translation *out);
bool is_ram(uint64_t physical);
uint32_t pages_of_ram(uint64_t physical);
uint32_t ram_begins(uint64_t physical);
bool load_pdptes(uint32_t cr3);
static inline uint32_t region_shift(void) { return machine.wide ? 9 : 10; }
uint64_t directory_entry(uint32_t region);
bool is_large(uint64_t pde);
uint32_t *table_of(uint64_t pde);
/* Entry `index` of the table at `table`; entries count from it as the format has them. */
static inline uint32_t *entry_low(uint32_t *table, uint32_t index) { return &table[index << machine.wide]; }
static inline uint64_t entry_of(uint32_t *table, uint32_t index)
{
	uint32_t *low = entry_low(table, index);

	return machine.wide ? (uint64_t)low[1] << 32 | low[0] : low[0];
}
static inline bool exact_dirty(void) { return control.flags & CONFIG_EXACT_DIRTY; }

/* vtlb.c: host mappings as a cache of them */
enum fill_result { FILL_MAPPED, FILL_FAULT, FILL_DEVICE, FILL_FULL, FILL_WATCHED };
enum fill_result vtlb_fill(uint32_t linear, uint32_t access);
void vtlb_flush(void);
void vtlb_drop(uint32_t linear);
void vtlb_validate(bool globals);
void vtlb_enter_user(void);
bool vtlb_user_is_clean(void);
bool vtlb_is_mapped(uint32_t page);
void vtlb_remember(uint32_t page, uint64_t pte, uint64_t pde);

/* compare.c: page tables against what the virtual TLB remembers, in groups of entries */
#define GROUP 64u
void compare_prepare(void);
void compare_begin(void);
void compare_again(uint32_t group);
uint32_t groups_unchanged(const uint32_t *table, const uint32_t *entries, uint32_t first, uint32_t groups,
			  uint32_t compared);
uint32_t wide_groups_unchanged(const uint64_t *table, const uint64_t *entries, uint32_t groups, uint64_t compared);

/* user_limit.c: where user addresses end */
bool user_limit_kernel_only(void);
void user_limit_learn(void);

/* run.c: how far one fill reaches */
struct run {
	uint32_t first, count; /* pages */
	uint64_t physical;     /* address of the first */
};
struct run run_choose(uint32_t page, const struct translation *to, bool alone);

/* guest.c: guest memory by linear address, from the monitor */
bool guest_read(uint32_t linear, void *to, uint32_t size, uint32_t access);
bool guest_write(uint32_t linear, const void *from, uint32_t size, uint32_t access);
uint8_t *guest_ram(uint32_t linear, uint32_t size, uint32_t access);
bool guest_probe_write(uint32_t linear, uint32_t size, uint32_t access);
bool stack_operand_linear(uint32_t offset, uint32_t size, bool write, uint32_t *linear);
bool stack_push(const void *from, uint32_t size);
bool stack_read(uint32_t offset, void *to, uint32_t size);
bool stack_pop(void *to, uint32_t size);
uint32_t stack_linear(uint32_t offset_from_esp);
void stack_release(int32_t bytes);

/* mirror.c: the guest's descriptors in the host's LDT; the host's segment registers */
uint32_t desc_base(uint64_t descriptor);
uint32_t desc_limit(uint64_t descriptor);
void mirror_table(void);
void mirror_local_table(void);
bool mirror_entry(uint32_t selector, uint64_t descriptor);
void mirror_sync(void);
void mirror_user_limit(void);
uint32_t host_selector(uint32_t guest);
uint32_t guest_selector(uint32_t host);
uint32_t shown_selector(uint32_t host);
void selector_map_write(uint8_t *file);
uint32_t host_register(enum segment_register reg);
void host_register_set(enum segment_register reg, uint32_t value);
void host_register_invalidate(enum segment_register reg, uint32_t guest);
bool segments_widen(void);
static inline bool is_ghost(uint32_t host) { return (host >> 3) - GHOST_FIRST < GHOST_COUNT && host & 4; }
static inline bool is_null(uint32_t host) { return !(host & 0xfffc) || (host >> 3 == NULL_ENTRY && host & 4); }

/* segment.c: segment registers as the guest sees them */
bool descriptor_read(uint32_t selector, uint64_t *descriptor);
void segment_unpack(uint32_t selector, uint64_t descriptor, struct segment *out);
uint32_t segment_selector(enum segment_register reg);
bool segment_reaches(const struct segment *s, uint32_t offset, uint32_t bytes);
void segment_of(enum segment_register reg, struct segment *out);
bool segment_load(enum segment_register reg, uint32_t selector);
void segment_invalidate(enum segment_register reg, uint32_t selector);
void segments_after_return(void);
bool segment_usable(uint32_t host);
void cs_set(const struct segment *cs);
void ss_set(const struct segment *ss);

/* exception.c: exceptions of the guest */
bool raise_fault(uint32_t vector, uint32_t error);
bool raise_plain(uint32_t vector);
bool raise_page_fault(uint32_t linear, uint32_t error);
void fault_is_external(void);
void fault_deliver(void);
void fault_deliver_during(const struct event *event);

/* ring.c: from one segment or ring to another. TRANSFER_DIRECT: by a selector of the program; TRANSFER_GATE: by a
 * gate's, in the same ring; TRANSFER_INWARD: or to an inner one. */
enum transfer { TRANSFER_DIRECT, TRANSFER_GATE, TRANSFER_INWARD };
bool transfer_target(uint32_t selector, enum transfer how, struct segment *out);
bool transfer_to(const struct segment *cs, uint32_t eip);
bool inner_stack(uint32_t level, struct segment *ss, uint32_t *esp);
bool frame_push(const struct segment *ss, uint32_t *esp, uint32_t level, const uint32_t *items, uint32_t count,
		bool wide, uint32_t error);
bool stack_items(uint32_t skip, uint32_t *items, uint32_t count, bool wide);
bool far_return(uint32_t eip, uint32_t selector, uint32_t popped, uint32_t release, bool wide);
void enter_outer(void);
bool task_descriptor(uint32_t selector, uint64_t *d);
bool task_stack(uint32_t selector, uint32_t level, struct segment *out);

/* flow.c: interrupts, iret, EFLAGS */
bool interrupt_enter(const struct event *event);
uint32_t flags_for_guest(void);
void flags_from_guest(uint32_t value, uint32_t mask);
void flags_load(uint32_t value);
void vif_set(bool on);
void iopl_set(uint32_t iopl);
bool flow_iret(bool wide);
bool flow_int(uint32_t vector);

/* far.c: far transfers, sysenter */
bool flow_ljmp(uint32_t selector, uint32_t offset);
bool flow_lcall(uint32_t selector, uint32_t offset, bool wide);
bool flow_lret(uint32_t release, bool wide);
bool flow_sysenter(void);
bool flow_sysexit(void);

/* task.c: hardware tasks */
enum task_way { TASK_JUMP, TASK_CALL, TASK_RETURN };
bool task_switch(uint32_t selector, enum task_way way);
bool task_by_interrupt(uint32_t selector, const struct event *event);
bool task_return(void);
void task_begin(void);

/* system.c: control registers, descriptor-table registers */
bool write_cr(uint32_t number, uint32_t value);
bool write_cr0(uint32_t value);
bool write_cr3(uint32_t value);
void task_register_set(const struct segment *tss);
bool load_table_register(bool gdt, uint32_t linear, bool narrow);
bool load_ldtr(uint32_t selector);
bool load_tr(uint32_t selector);
bool is_privileged(void);

/* fpu.c: CR0.TS and EM, errors of x87 */
void fpu_follow(void);
void fpu_deliver_early(void);
bool fpu_fault(void);

/* cpu.c: CPUID and MSRs of the virtual CPU's model */
enum cpu_feature { CPU_DE = 1 << 2, CPU_PSE = 1 << 3, CPU_TSC = 1 << 4, CPU_MSR = 1 << 5, CPU_PAE = 1 << 6,
		   CPU_APIC = 1 << 9, CPU_SEP = 1 << 11, CPU_PGE = 1 << 13, CPU_PAT = 1 << 16, CPU_FXSR = 1 << 24,
		   CPU_SSE = 1 << 25 };
enum cpu_extended { CPU_NX = 1 << 20 };
bool cpu_has(uint32_t bit);
bool cpu_has_extended(uint32_t bit);
void virtual_cpuid(void);
bool read_msr(void);
bool write_msr(void);

/* decode.c: instruction lengths and operands */
struct operand {
	bool memory;
	uint8_t reg; /* register number, or reg field */
	uint8_t size;
	uint8_t segment;
	uint32_t offset;
};
struct instruction {
	uint8_t length, bytes[15], fetched;
	uint8_t opcode_map; /* 0: one byte, 1: 0f, 2: 0f38, 3: 0f3a */
	uint8_t opcode, modrm, reg_field, repeat /* f2 or f3 */, lock, segment, operand_size, address_size;
	bool has_modrm;
	struct operand rm;
	uint32_t immediate;
	uint32_t far_selector;
};
bool decode(uint32_t eip, struct instruction *out);
uint32_t register_read(uint32_t number, uint32_t size);
void register_write(uint32_t number, uint32_t size, uint32_t value);
bool operand_linear(const struct operand *operand, uint32_t size, bool write, uint32_t *linear);
bool operand_read(const struct operand *operand, uint32_t size, uint32_t *value);
bool operand_write(const struct operand *operand, uint32_t size, uint32_t value);
bool operand_probe_write(const struct operand *operand, uint32_t size);
bool memory_read(uint32_t linear, uint32_t size, uint32_t *value);
bool memory_write(uint32_t linear, uint32_t size, uint32_t value);

/* operation.c: one sensitive operation, however it arrived; emulate.c: arrival by a trap */
struct call {
	uint32_t number;	 /* hypercall that stands for the operation */
	struct operand a, b;	 /* memory or register; register */
	uint32_t immediate, immediate2;
	enum segment_register segment; /* source of outs */
	uint32_t address_size;
};
bool operation_run(const struct call *call);
void popf_settle(void);
bool emulate_trapped(uint32_t vector, uint32_t error);
bool push_item(uint32_t value, uint32_t size);
bool pop_segment(enum segment_register reg, uint32_t size);
bool pop_flags(void);
bool set_interrupts(bool on);
bool emulate_gate_call(void);
bool emulate_ordinary(void);
bool emulate_memory(const struct instruction *instruction);
bool emulate_next(void);

bool writes_operand(const struct instruction *in);
bool stack_operand(const struct instruction *in, uint32_t *linear, bool *write);

/* accesses.c: what an instruction does to memory */
struct memory_access {
	uint32_t linear, size;
	bool write;
};
struct access_list {
	uint32_t count;
	struct memory_access item[4];
};
void accesses_of(const struct instruction *in, struct access_list *list);

/* debug.c: debug registers */
void debug_follow(void);
int debug_withheld(uint32_t page);
void debug_deliver_trap(bool step);
void debug_pass(uint32_t linear, uint32_t access);
void debug_opened(uint32_t page);
void debug_close(void);
void debug_port(uint32_t port, uint32_t size);
void debug_resume_flag(void);
bool debug_register(bool write, uint32_t number, const struct operand *operand);

/* branch.c: jumps behind the end of user addresses */
bool fetch_beyond_user(uint32_t eip);
bool branch_beyond_user(const struct instruction *in);

/* sequence.c: instructions that ported code does inline */
void sequences_prepare(void);
bool sequence_complete(bool inside);
bool sequence_begins(void);
bool sequence_is_sti(void);
bool sequence_behind_sti(void);
bool sequence_behind_popf(void);

/* fast.c: int and iret in the ordinary case */
bool fast_int(void);
bool fast_iret(void);
extern uint8_t fast_start[], fast_end[];

/* hypercall.c: arrival by a gate */
void hypercall_from_gate(uint32_t number);
void hypercall_long_way(uint32_t number);
void hypercall_serve(uint32_t number);

/* query.c: lar, lsl, verr, verw, arpl */
bool query_lar_lsl(uint32_t selector, bool limit, uint32_t *result);
bool query_verify(uint32_t selector, bool write);

/* io.c: ports */
bool port_allowed(uint32_t port, uint32_t size);
uint32_t port_in(uint32_t port, uint32_t size);
void port_out(uint32_t port, uint32_t size, uint32_t value);
bool port_string(bool in, uint32_t size, bool repeat, enum segment_register segment, uint32_t address_size);

/* ide.c: what of IDE needs no exit */
void ide_map_disks(void);
bool ide_takes(uint32_t index, uint32_t value);
void ide_block_done(uint32_t index);
bool ide_continues(uint32_t index);
uint8_t *ide_sector(const struct ide_channel *channel, uint32_t drive, uint64_t sector);

/* ide_interrupt.c: when it interrupts */
void ide_interrupt(struct ide_channel *channel);
void ide_interrupt_back(struct ide_channel *channel);
void ide_interrupts_poll(void);
bool ide_interrupts_wait(void);
bool ide_interrupts_now(void);
void ide_timer(uint64_t now);
uint32_t ide_status(uint32_t index);
uint32_t ide_master_status(struct ide_channel *channel);

/* bus_master.c: IDE's way to memory */
#define MASTER_INTERRUPT 4u
bool master_may_run(const struct ide_channel *channel);
bool master_runs(struct ide_channel *channel);
uint32_t master_in(uint32_t index);
bool master_takes(uint32_t index, uint32_t value);

/* exit.c: questions to the VMM */
uint32_t exit_to_vmm(uint32_t reason);
void exit_prepare(uint32_t port, uint64_t address, uint32_t size, uint32_t count, uint32_t value);
void doorbell(void);
void trace_doorbell(void);
_Noreturn void guest_ends(uint32_t reason, uint32_t code);

/* irqchip: pic.c, lapic.c, ioapic.c, interrupt lines */
void irq_set_line(uint32_t line, bool high);
bool irq_unserved(uint32_t line);
bool irq_open(uint32_t line);
void irq_pulse(uint32_t line);
int irq_acknowledge(void);
void irq_update(void);
bool irq_waits(void);
void pic_reset(void);
void pic_set_line(uint32_t line, bool high);
bool pic_pending(void);
uint32_t pic_acknowledge(void);
uint32_t pic_in(uint32_t port);
void pic_out(uint32_t port, uint32_t value);
void lapic_reset(void);
bool lapic_pending(void);
bool lapic_accepts_extint(void);
uint32_t lapic_acknowledge(void);
void lapic_inject(uint32_t vector, bool level);
uint32_t lapic_read(uint32_t offset);
void lapic_write(uint32_t offset, uint32_t value);
bool lapic_page_readable(void);
bool lapic_is(uint32_t destination, bool logical);
bool lapic_waits(uint32_t vector);
void lapic_wire_changed(bool high);
static inline void lapic_wire(bool high)
{
	if (high != machine.lapic.wire)
		lapic_wire_changed(high);
}
uint64_t lapic_deadline(void);
void lapic_timer(uint64_t now);
void ioapic_reset(void);
void ioapic_set_line(uint32_t line, bool high);
void ioapic_eoi(uint32_t vector);
bool ioapic_open(uint32_t pin);
bool ioapic_unserved(uint32_t pin);
uint32_t ioapic_read(uint32_t offset);
void ioapic_write(uint32_t offset, uint32_t value);

/* acpi.c: the power management timer and its event */
enum { SCI_IRQ = 9 };
void pm_reset(void);
uint32_t pm_in(uint32_t port, uint32_t size);
void pm_out(uint32_t port, uint32_t size, uint32_t value);
void pm_timer(uint64_t now);
uint64_t pm_deadline(void);

/* pit.c, uart.c, rtc.c: devices that kernels use all the time */
void pit_reset(void);
uint32_t pit_in(uint32_t port);
void pit_out(uint32_t port, uint32_t value);
void pit_timer(uint64_t now);
void pit_masked(void);
uint64_t pit_deadline(void);
void uart_reset(void);
uint32_t uart_in(uint32_t port);
void uart_out(uint32_t port, uint32_t value);
void uarts_update(void);
void uart_timer(uint64_t now);
void serial_put(uint32_t number, uint8_t byte);
bool serial_get(uint32_t number, uint8_t *byte);
void rtc_reset(void);
uint32_t rtc_in(uint32_t port);
void rtc_out(uint32_t port, uint32_t value);
void rtc_timer(void);

/* vga.c: the registers of the VGA; vga_memory.c: its memory, and when that is plain RAM */
uint32_t vga_in(uint32_t port);
void vga_out(uint32_t port, uint32_t value);
void vga_memory_update(void);
uint32_t vga_read(uint32_t physical, uint32_t size);
void vga_write(uint32_t physical, uint32_t size, uint32_t value);
static inline bool vga_owns(uint64_t physical) { return physical - VGA_MEMORY < VGA_MEMORY_SIZE; }
static inline bool vga_decodes(uint64_t physical) { return physical - control.vga.window < control.vga.window_size; }
static inline bool vga_is_plain(uint64_t physical) { return control.vga.plain && vga_decodes(physical); }
static inline uint32_t vga_window_end(void) { return control.vga.window + control.vga.window_size; }

/* calendar.c */
struct date {
	uint32_t year, month, day; /* month and day from 1 on */
};
void date_of(uint32_t day, struct date *date);
bool day_of(const struct date *date, uint32_t *day);

/* ticks.c: interrupts of timers that come too late */
bool ticks_due(struct ticks *ticks, uint64_t count, bool unserved, uint64_t now, uint64_t period);
void ticks_forget(struct ticks *ticks, uint64_t count);
uint64_t ticks_deadline(const struct ticks *ticks, uint64_t regular);

/* timers.c: the deadlines of the devices */
void timers_run(void);
void timers_rearm(void);

/* time.c: host time, idling */
uint64_t now_ns(void);
bool surely_ahead(uint64_t time);
uint64_t run_ns(void);
uint64_t wall_ns(void);
void host_timer(uint64_t deadline);
void timers_create(void);
void timer_soon(void);
void idle(void);

/* trace.c */
void trace_event(uint32_t kind, uint32_t number, const uint32_t args[5], uint32_t result);
void trace_span(uint32_t kind, uint32_t number, uint64_t start, const uint32_t args[5]);
void trace_call_begins(uint32_t number);
void trace_instruction_begins(const struct instruction *in, uint32_t vector, uint32_t error);
void trace_operands(const struct call *call, bool carried);
void trace_operation_ends(void);
void trace_exit_begins(void);
void trace_exit_ends(uint32_t answer);
static inline bool tracing(uint32_t kind) { return (control.trace_mask >> kind) & 1; }

#endif
