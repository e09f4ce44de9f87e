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
#define CR0_TS 0x8u
#define CR0_ET 0x10u
#define CR0_WP 0x10000u
#define CR0_AM 0x40000u
#define CR0_PG 0x80000000u
#define DR6_BS 0x4000u
#define PTE_AD 0x60u /* accessed, dirty */
#define CR4_DE 0x8u
#define CR4_PSE 0x10u
#define CR4_PGE 0x80u

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
	uint8_t irr, isr, imr, base, icw4, init, read_isr, auto_eoi, rotate, special_mask, poll, lines, elcr;
	uint8_t priority, reserved;
};

struct pit_channel {
	uint32_t reload, latched, latch_valid, access, mode, bcd, write_low, write_half, read_half, gate;
	uint32_t status, status_valid, armed, output;
	uint64_t start; /* ns when the count was loaded */
};

struct lapic_state {
	uint32_t irr[8], isr[8], tmr[8];
	uint32_t id, ldr, dfr, svr, tpr, esr, esr_new, icr_low, icr_high;
	uint32_t lvt[6]; /* timer, thermal, performance, LINT0, LINT1, error */
	uint32_t initial_count, divide;
	uint64_t start, deadline;
	uint32_t reads, count_was_read;
};

struct uart_state {
	uint8_t ier, lcr, mcr, scr, dll, dlm, fcr, thr_interrupt, loop, loop_valid, line;
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
	struct uart_state uart;
	uint64_t deadline; /* ns, CLOCK_MONOTONIC; the earliest device timer, ~0: none */
	uint64_t console_deadline; /* when the VMM is told of console output; ~0: not waiting */
	/* Segments: what the host LDT is to hold, packed as descriptors */
	uint32_t ldt_generation, ldt_top;
	uint64_t ldt_wanted[HOST_LDT_ENTRIES];
	/* The guest descriptor that each mirror entry was made from */
	uint64_t ldt_source[HOST_LDT_ENTRIES];
	/* Memory */
	uint32_t user_limit; /* guest-linear end of user addresses; 0 = not learned yet */
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
	uint32_t traced_eip;	  /* where it began */
	bool entered;		  /* an interrupt or exception was delivered */
	bool iterated;		  /* one item of a repeated string instruction is done */
	uint32_t resume_failures; /* leaving for the guest faulted this often without guest code running */
	struct fault fault;
	/* Pool */
	volatile uint32_t current, members, zygote_turn, request;
	uint64_t clock;
	struct member pool[MEMBERS_MAX];
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

/* mmu.c: the guest's own page tables */
struct translation {
	uint32_t physical;
	uint32_t pte;	   /* combined rights: P, W, U, plus G */
	uint32_t run;	   /* pages from here that continue physically, this one included */
};
enum access { ACCESS_READ = 0, ACCESS_WRITE = 2, ACCESS_USER = 4 };
bool translate(uint32_t linear, uint32_t access, struct translation *out);
bool is_ram(uint32_t physical);
uint32_t pages_of_ram(uint32_t physical);

/* vtlb.c: host mappings as a cache of them */
enum fill_result { FILL_MAPPED, FILL_FAULT, FILL_DEVICE, FILL_FULL };
enum fill_result vtlb_fill(uint32_t linear, uint32_t access);
void vtlb_flush(void);
void vtlb_drop(uint32_t linear);
void vtlb_validate(bool globals);
void vtlb_enter_user(void);
bool vtlb_user_is_clean(void);
bool vtlb_is_mapped(uint32_t page);
void vtlb_remember(uint32_t page, uint32_t pte, uint32_t pde);

/* compare.c: page tables against what the virtual TLB remembers, in groups of entries */
#define GROUP 64u
void compare_prepare(void);
void compare_begin(void);
void compare_again(uint32_t group);
uint32_t groups_unchanged(const uint32_t *table, const uint32_t *entries, uint32_t first, uint32_t groups,
			  uint32_t compared);

/* user_limit.c: where user addresses end */
bool user_limit_kernel_only(uint32_t cr3);
void user_limit_learn(void);

/* run.c: how far one fill reaches */
struct run {
	uint32_t first, count, physical; /* pages; address of the first */
};
struct run run_choose(uint32_t page, uint32_t physical, bool alone);

/* guest.c: guest memory by linear address, from the monitor */
bool guest_read(uint32_t linear, void *to, uint32_t size, uint32_t access);
bool guest_write(uint32_t linear, const void *from, uint32_t size, uint32_t access);
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

/* system.c: control registers, MSRs, CPUID, descriptor-table registers */
bool write_cr(uint32_t number, uint32_t value);
bool write_cr0(uint32_t value);
bool write_cr3(uint32_t value);
void task_register_set(const struct segment *tss);
bool read_msr(void);
bool write_msr(void);
void virtual_cpuid(void);
bool load_table_register(bool gdt, uint32_t linear, bool narrow);
bool load_ldtr(uint32_t selector);
bool load_tr(uint32_t selector);
bool is_privileged(void);

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

/* sequence.c: instructions that ported code does inline */
void sequences_prepare(void);
bool sequence_complete(bool inside);
bool sequence_begins(void);
bool sequence_is_sti(void);
bool sequence_behind_sti(void);

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
bool ide_writes(uint32_t index);

/* exit.c: questions to the VMM */
uint32_t exit_to_vmm(uint32_t reason);
void exit_prepare(uint32_t port, uint64_t address, uint32_t size, uint32_t count, uint32_t value);
void doorbell(void);
void trace_doorbell(void);
_Noreturn void guest_ends(uint32_t reason, uint32_t code);

/* irqchip: pic.c, lapic.c, ioapic.c, interrupt lines */
void irq_set_line(uint32_t line, bool high);
void irq_pulse(uint32_t line);
int irq_acknowledge(void);
void irq_update(void);
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
void lapic_timer(uint64_t now);
void ioapic_reset(void);
void ioapic_set_line(uint32_t line, bool high);
void ioapic_eoi(uint32_t vector);
uint32_t ioapic_read(uint32_t offset);
void ioapic_write(uint32_t offset, uint32_t value);

/* pit.c, uart.c: devices that kernels use all the time */
void pit_reset(void);
uint32_t pit_in(uint32_t port);
void pit_out(uint32_t port, uint32_t value);
void pit_timer(uint64_t now);
uint64_t pit_deadline(void);
void uart_reset(void);
uint32_t uart_in(uint32_t port);
void uart_out(uint32_t port, uint32_t value);
void uart_update(void);
void console_put(uint8_t byte);

/* time.c: host time, the next deadline, idling */
uint64_t now_ns(void);
void timers_create(void);
void timers_run(void);
void timers_rearm(void);
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
