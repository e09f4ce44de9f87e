/* The functions of the monitor's files, in reading order; those of its devices are in devices.h. */
#ifndef RING3_MONITOR_H
#define RING3_MONITOR_H

#include "machine.h"

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

/* mirror.c: the guest's descriptors in the host's LDT */
uint32_t desc_base(uint64_t descriptor);
uint32_t desc_limit(uint64_t descriptor);
void mirror_table(void);
void mirror_local_table(void);
bool mirror_entry(uint32_t selector, uint64_t descriptor);
void mirror_sync(void);
void mirror_user_limit(void);
uint32_t host_selector(uint32_t guest);
uint32_t guest_selector(uint32_t host);
uint32_t data_selector(uint32_t guest);
uint32_t shown_selector(uint32_t host);
void selector_map_write(uint8_t *file);
void host_register_invalidate(enum segment_register reg, uint32_t guest);
bool segments_widen(void);
static inline bool is_ghost(uint32_t host) { return (host >> 3) - GHOST_FIRST < GHOST_COUNT && host & 4; }
static inline bool is_whole(uint32_t host) { return (host >> 3) - WHOLE_FIRST < WHOLE_COUNT && host & 4; }
static inline bool is_null(uint32_t host) { return !(host & 0xfffc) || (host >> 3 == NULL_ENTRY && host & 4); }

/* segment.c: segment registers as the host has them, and as the guest sees them */
uint32_t host_register(enum segment_register reg);
void host_register_set(enum segment_register reg, uint32_t value);
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
void patches_follow_code_segment(void);
void cells_follow_paging(void);
uint32_t pair_find(uint64_t table, uint32_t size, uint32_t count, uint64_t key);
uint32_t original_eip(uint32_t eip);
uint32_t trampoline_eip(uint32_t eip);
bool in_trampolines(uint32_t eip);
void take_trampoline_jumps(void);
const uint8_t *hole_bytes(uint32_t offset, uint32_t size);
uint32_t replaced_at(uint32_t linear);
enum { COPY_BEFORE = 8, COPY_MOST_BEFORE = 64, COPY_MOST_BEHIND = 56 }; /* bytes that replaced_in_copy compares */
uint32_t replaced_in_copy(uint32_t linear, uint32_t (*size)(uint32_t entry), bool alone);
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

/* debugger.c: a debugger of the guest, behind the VMM */
void debugger_follow(void);
int debugger_withheld(uint32_t page);
bool debugger_at_instruction(void);
bool debugger_at_int3(void);
void debugger_touches(const struct access_list *list);
void debugger_due(uint32_t why, uint32_t what);
void debugger_stop(void);
bool debugger_at_event(uint32_t why, uint32_t number);
void debugger_port(uint32_t port, uint32_t size);

/* branch.c: jumps behind the end of user addresses */
bool fetch_beyond_user(uint32_t eip);
void branch_beyond_user(const struct instruction *in);

/* sequence.c: instructions that ported code does inline */
void sequences_prepare(void);
bool sequence_complete(bool inside);
bool sequence_begins(void);
#define NO_SEQUENCE 255u
uint32_t sequence_covered_action(void);
bool sequence_covered(void);
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

/* exit.c: questions to the VMM */
uint32_t exit_to_vmm(uint32_t reason);
void exit_prepare(uint32_t port, uint64_t address, uint32_t size, uint32_t count, uint32_t value);
void doorbell(void);
void trace_doorbell(void);
_Noreturn void guest_ends(uint32_t reason, uint32_t code);

/* time.c: host time, idling */
uint64_t now_ns(void);
bool surely_ahead(uint64_t time);
uint64_t run_ns(void);
uint64_t wall_ns(void);
void host_timer(uint64_t deadline);
void timers_create(void);
void idle(void);

/* trace_filter.c */
bool trace_wanted(const struct trace_record *record);

/* trace.c */
void trace_event(uint32_t kind, uint32_t number, const uint32_t args[5], uint32_t result);
void trace_span(uint32_t kind, uint32_t number, uint64_t start, const uint32_t args[5]);
void trace_call_begins(uint32_t number);
void trace_instruction_begins(const struct instruction *in, uint32_t vector, uint32_t error);
void trace_operands(const struct call *call, bool carried);
void trace_operation_ends(void);
void trace_exit_begins(void);
void trace_exit_ends(uint32_t answer);
bool trace_mark(void);
void coverage_begins(uint32_t form, uint32_t number);
void coverage_call_begins(uint32_t number);
void coverage_ends(void);
void coverage_exit(void);
void coverage_slept(uint64_t start);
static inline bool tracing(uint32_t kind) { return (control.trace_mask >> kind) & 1; }

#include "devices.h"

#endif
