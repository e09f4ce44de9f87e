/* Host signals: faults of guest code, timers, the VMM's kick.
 *
 * A fault of guest code is handled on the signal stack and left through `resume`, never by sigreturn
 * (a quarter cheaper); so no signal is ever blocked, and the guest's FPU state, which the kernel has
 * put into the signal frame and cleared, is loaded back at once. A signal that arrives while the
 * monitor itself runs only notes an event. */
#include "monitor.h"
#include "sys.h"

enum { SIGILL = 4, SIGTRAP = 5, SIGBUS = 7, SIGFPE = 8, SIGUSR1 = 10, SIGSEGV = 11, SIGALRM = 14, SIGCHLD = 17,
       SIGSYS = 31 };
enum { SA_SIGINFO = 4, SA_RESTORER = 0x04000000, SA_ONSTACK = 0x08000000, SA_NODEFER = 0x40000000 };

/* arch/x86/include/uapi/asm/sigcontext.h, ucontext.h */
struct frame {
	uint64_t flags, link, stack_pointer, stack_flags, stack_size;
	uint64_t r8, r9, r10, r11, r12, r13, r14, r15, rdi, rsi, rbp, rbx, rdx, rax, rcx, rsp, rip, rflags;
	uint16_t cs, gs, fs, ss;
	uint64_t error, trap, old_mask, cr2;
	uint8_t *fpu;
};

struct siginfo {
	int32_t number, error, code, pad;
	uint64_t address;
	int32_t syscall;
	uint32_t arch;
};

/* A guest whose every way back faults has no way back. */
#define RESUME_FAILURES_MAX 8

#define FXSAVE_SIZE 512
#define XSTATE_MAGIC_OFFSET 464
#define XSTATE_MAGIC 0x46505853
#define XSTATE_FEATURES_OFFSET 472

extern uint8_t text_start[], text_end[], signal_restorer[], monitor_stack[];

static void fpu_reload(const uint8_t *frame_fpu)
{
	uint32_t magic;
	uint64_t features, present;

	memcpy(&magic, frame_fpu + XSTATE_MAGIC_OFFSET, 4);
	if (magic != XSTATE_MAGIC) {
		__asm__ volatile("fxrstor64 %0" : : "m"(*(const uint8_t(*)[FXSAVE_SIZE])frame_fpu));
		return;
	}
	memcpy(&features, frame_fpu + XSTATE_FEATURES_OFFSET, 8);
	memcpy(&present, frame_fpu + FXSAVE_SIZE, 8);
	if (present & features)
		__asm__ volatile("xrstor64 (%0)" : : "r"(frame_fpu), "a"((uint32_t)features),
				 "d"((uint32_t)(features >> 32)) : "memory");
}

static void registers_from(const struct frame *frame)
{
	vcpu.eax = (uint32_t)frame->rax;
	vcpu.ecx = (uint32_t)frame->rcx;
	vcpu.edx = (uint32_t)frame->rdx;
	vcpu.ebx = (uint32_t)frame->rbx;
	vcpu.esp = (uint32_t)frame->rsp;
	vcpu.ebp = (uint32_t)frame->rbp;
	vcpu.esi = (uint32_t)frame->rsi;
	vcpu.edi = (uint32_t)frame->rdi;
	vcpu.eip = (uint32_t)frame->rip;
	vcpu.eflags = (uint32_t)frame->rflags & ~FLAG_RF;
}

/* The landing stubs cannot fault when entered at their start: a fault there is the guest's, which jumped
 * somewhere else. */
static bool in_monitor(int number, const struct frame *frame)
{
	bool landing = frame->rip >= LANDING && frame->rip < LANDING + LANDING_COUNT * LANDING_STUB_SIZE;

	if (frame->cs != HOST_CS64)
		return false;
	return (frame->rip >= (uint64_t)text_start && frame->rip < (uint64_t)text_end) ||
	       (landing && (number == SIGALRM || number == SIGUSR1 || frame->trap == VECTOR_DB));
}

/* A signal in the monitor's own code: note it and go back to where it came. */
static void in_monitor_signal(int number, struct frame *frame)
{
	if (number == SIGALRM || number == SIGUSR1) {
		if (frame->rip >= (uint64_t)resume_window && frame->rip < (uint64_t)resume_window_end)
			frame->rip = (uint64_t)resume;
		return;
	}
	if (number == SIGTRAP && frame->trap == VECTOR_DB) {
		/* A single step (EFLAGS.TF) into a landing stub by a far jump that is none of ours. */
		frame->rflags &= ~(uint64_t)FLAG_TF;
		if (machine.stepping) {
			machine.stepping = false;
			machine.events = 1;
			if (machine.debugger_step) {
				machine.debugger_step = false;
				debugger_due(STOPPED_STEP, 0);
			}
		}
		return;
	}
	if (frame->rip >= (uint64_t)raw_start && frame->rip < (uint64_t)raw_end) {
		frame->rip = (uint64_t)raw_failed;
		return;
	}
	if (frame->rip >= (uint64_t)fast_start && frame->rip < (uint64_t)fast_end) {
		frame->rip = (uint64_t)gate_restart;
		return;
	}
	/* Leaving for the guest failed: its selector or flags are such that the jump itself faults. */
	if (frame->rip >= (uint64_t)resume_window && frame->rip < (uint64_t)resume_window_end &&
	    frame->trap != VECTOR_PF) {
		if (++machine.resume_failures > RESUME_FAILURES_MAX)
			guest_ends(EXIT_TRIPLE_FAULT, VECTOR_GP);
		machine.instruction_eip = vcpu.eip;
		if (!fetch_beyond_user(vcpu.eip))
			raise_fault(VECTOR_GP, 0);
		fault_deliver();
		resume();
	}
	fatal(ERROR_BUG, frame->rip);
}

/* Ported code reaches the hole by offset in SS and CS: with a base, that is another linear address. */
static bool is_contract(uint32_t linear)
{
	return (vcpu.ss.base && linear - vcpu.ss.base - HOLE < HOLE_SIZE) ||
	       (vcpu.cs.base && linear - vcpu.cs.base - HOLE < HOLE_SIZE);
}

/* The guest touched a page that no host mapping covers. */
static void guest_page_fault(const struct frame *frame)
{
	uint32_t linear = (uint32_t)frame->cr2 - control.slide;
	uint32_t access = (uint32_t)frame->error & (ACCESS_WRITE | ACCESS_FETCH);

	if (vcpu.cpl == 3)
		access |= ACCESS_USER;
	switch (is_contract(linear) ? FILL_DEVICE : vtlb_fill(linear, access)) {
	case FILL_MAPPED: case FILL_FULL:
		return;
	case FILL_DEVICE:
		if (!emulate_trapped(VECTOR_PF, (uint32_t)frame->error))
			fault_deliver();
		return;
	case FILL_WATCHED:
		debug_pass(linear, access);
		return;
	case FILL_FAULT:
		/* Ported code may have met an unmapped stack; what it stands for needs none. Of a fetch there is no
		 * instruction yet. */
		if (access & ACCESS_FETCH || (!emulate_gate_call() && !sequence_complete(false)))
			fault_deliver();
		return;
	}
}

/* Where the int3, into or int $n began that trapped with EIP behind it. */
static uint32_t trap_start(uint32_t vector)
{
	uint8_t bytes[2];

	if (guest_read(vcpu.cs.base + vcpu.eip - 2, bytes, 2, 0) && bytes[0] == 0xcd && bytes[1] == vector)
		return vcpu.eip - 2;
	return vcpu.eip - 1;
}

/* Let the guest run one instruction, under the host's TF. Its trap comes to `guest_stopped`. */
void step_one(void)
{
	machine.stepping = true;
	machine.stepping_too = vcpu.eflags & FLAG_TF;
	machine.stepping_unaligned = false;
	vcpu.eflags |= FLAG_TF;
}

static void step_again(void)
{
	machine.stepping = true;
	vcpu.eflags |= FLAG_TF;
	if (machine.stepping_unaligned)
		vcpu.eflags &= ~FLAG_AC;
	machine.traced = false;
}

/* The guest was stopped in a gate, behind its call: do its hypercall. False where it was not. */
static bool gate_complete(void)
{
	uint32_t slot = vcpu.eip - HOLE - SLOTS_OFFSET;

	if (vcpu.cs.base || slot >= LANDING_COUNT * SLOT_SIZE || slot % SLOT_SIZE)
		return false;
	hypercall_long_way(slot / SLOT_SIZE);
	return true;
}

/* A single step, or int1. Within a gate or an inline sequence, the guest's instruction is not over yet: do it
 * as a whole; `end_of_instruction` then raises what is due. */
static void debug_trap(const struct frame *frame)
{
	enum { INT1 = 0xf1 };
	uint8_t opcode;

	if (frame->rflags & FLAG_TF) {
		if (!gate_complete())
			sequence_complete(true);
		return;
	}
	/* int1 is a trap: EIP points behind it. */
	if (guest_read(vcpu.cs.base + vcpu.eip, &opcode, 1, 0) && opcode == INT1)
		machine.instruction_eip = vcpu.eip + 1;
	raise_plain(VECTOR_DB);
	fault_deliver();
}

/* The guest has TF set, or met a data breakpoint, and the monitor was at one of its instructions, or the host's TF
 * ended it. Called when guest code is to go on, maybe in another process. */
void end_of_instruction(void)
{
	if (machine.entered)
		machine.debug_hits = 0;
	if (machine.entered || machine.stack_loaded)
		return;
	if (machine.traced_trap || machine.iterated || vcpu.eip != machine.traced_eip)
		debug_deliver_trap(machine.traced_step);
}

static void guest_fault(const struct frame *frame)
{
	machine.instruction_eip = vcpu.eip;
	machine.resume_failures = 0;
	switch (frame->trap) {
	case VECTOR_PF:
		guest_page_fault(frame);
		return;
	case VECTOR_DB:
		debug_trap(frame);
		return;
	case VECTOR_DE: case VECTOR_BR:
		raise_plain((uint32_t)frame->trap);
		fault_deliver();
		return;
	case VECTOR_XM:
		raise_plain(shared.cr4 & CR4_OSXMMEXCPT ? VECTOR_XM : VECTOR_UD);
		fault_deliver();
		return;
	case VECTOR_MF:
		if (!fpu_fault())
			fault_deliver();
		return;
	case VECTOR_BP: case VECTOR_OF:
		if (frame->trap == VECTOR_BP && debugger_at_int3())
			return;
		machine.instruction_eip = trap_start((uint32_t)frame->trap);
		if (!flow_int((uint32_t)frame->trap))
			fault_deliver();
		return;
	case VECTOR_AC:
		/* The host checks alignment in its ring 3, which the guest's inner rings are too: there the
		 * flag is without effect (SDM vol. 3, 6.15). */
		if (vcpu.cpl != 3 || !(shared.cr0 & CR0_AM)) {
			step_one();
			machine.stepping_unaligned = true;
			vcpu.eflags &= ~FLAG_AC;
			return;
		}
		raise_fault(VECTOR_AC, 0);
		fault_deliver();
		return;
	default:
		if (!emulate_trapped((uint32_t)frame->trap, (uint32_t)frame->error))
			fault_deliver();
	}
}

/* int 0x80, sysenter and 32-bit syscall of guest code reach the host's seccomp filter first. */
static void guest_system_call(const struct siginfo *info)
{
	enum { ARCH_I386 = 0x40000003 };

	machine.instruction_eip = vcpu.eip - 2;
	if (info->arch == ARCH_I386 && info->address == vcpu.eip) {
		uint8_t bytes[2];

		if (guest_read(vcpu.eip - 2 + vcpu.cs.base, bytes, 2, 0) && bytes[0] == 0xcd) {
			if (!flow_int(bytes[1]))
				fault_deliver();
			return;
		}
	}
	raise_plain(VECTOR_UD);
	fault_deliver();
}

/* The host leaves EFLAGS.AC as the guest had it: the monitor's own accesses need not be aligned. */
static void alignment_check_off(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; pop %0" : "=r"(flags));
	if (flags & FLAG_AC)
		__asm__ volatile("push %0; popfq" : : "r"(flags & ~(uint64_t)FLAG_AC) : "cc");
}

/* In the zygote. A member ends only with its guest: by `guest_ends`, which has told why, or by a death
 * that nobody has told. Shared memory is the dead member's word, so it decides only what is said. The VMM
 * may be about to answer what the dead member asked, so this is not asked in its place. */
static void on_member_death(void)
{
	int32_t status = 0;
	int64_t pid = syscall4(SYS_wait4, -1, &status, 1 /* WNOHANG */, 0);

	if (pid <= 0)
		return;
	if (control.run_state != 4) {
		control.end.address = (uint64_t)pid;
		control.end.code = (uint32_t)status & 0x7f;
		control.end.eip = original_eip(machine.instruction_eip);
		control.end.cr3 = shared.cr3;
		control.end.reason = EXIT_MEMBER_DIED;
	}
	syscall3(SYS_exit_group, 0, 0, 0);
}

/* Guest code, entered with EFLAGS of `entered_with`, was stopped by a signal, with its registers in the vCPU. */
static void guest_stopped(int number, const struct siginfo *info, const struct frame *frame, uint32_t entered_with)
{
	bool event = number == SIGALRM || number == SIGUSR1, traced = vcpu.eflags & FLAG_TF;
	uint32_t before = vcpu.eip;
	bool stepped = false, debugger_step = false;

	machine.entered = machine.stack_loaded = machine.iterated = machine.stepped = false;
	if (machine.stepping) {
		if (event) /* its instruction has not run yet */
			return;
		machine.stepping = false;
		stepped = true;
		machine.stepped = !machine.stepping_unaligned;
		machine.events = 1;
		traced = machine.stepping_too;
		if (!traced)
			vcpu.eflags &= ~FLAG_TF;
		if (machine.stepping_unaligned)
			vcpu.eflags |= FLAG_AC;
		if (machine.debugger_step) {
			machine.debugger_step = machine.stepped = false;
			debugger_step = true;
			debugger_due(STOPPED_STEP, 0);
		}
	}
	if (machine.debugger_touched && !event && (number == SIGSYS || frame->trap != VECTOR_PF)) {
		machine.debugger_touched = machine.debugger_due = false;
		debugger_due(STOPPED_WATCH, machine.debugger_what);
	}
	if (machine.opened && !event && (number == SIGSYS || frame->trap != VECTOR_PF))
		debug_close();
	if (traced || machine.debug_hits) {
		machine.traced = true;
		machine.traced_step = traced;
		machine.events = 1;
		machine.traced_eip = before;
		machine.traced_trap = !event && number != SIGSYS && frame->trap == VECTOR_DB;
	}
	if (number == SIGSYS)
		guest_system_call(info);
	else if (!event)
		guest_fault(frame);
	else
		gate_complete(); /* an interrupt comes before or behind the guest's instruction, not within */
	if (!(entered_with & FLAG_TF) && machine.traced && !machine.debug_hits && sequence_behind_popf())
		machine.traced = false;
	if (stepped && frame->trap != VECTOR_DB && frame->trap != VECTOR_MF && !machine.entered && !machine.iterated && vcpu.eip == before) {
		/* A page was missing: the instruction has yet to run. */
		if (debugger_step && machine.debugger_why == STOPPED_BREAKPOINT)
			return;
		step_again();
		machine.debugger_step = debugger_step;
		if (debugger_step)
			machine.debugger_due = false;
		return;
	}
	if (machine.opened && machine.entered) { /* a fault of the guest's own instead */
		machine.debug_hits = 0;
		machine.debugger_touched = false;
		debug_close();
	}
	/* An interrupt is taken between two instructions of the guest. */
	if (machine.events && !machine.entered && !sequence_complete(true) && event && sequence_behind_sti())
		machine.shadow = true;
}

static void on_signal(int number, struct siginfo *info, struct frame *frame)
{
	alignment_check_off();
	host_ss_lost = host_flags_lost = 1;
	control.signals++;
	if (number == SIGCHLD) {
		on_member_death();
		return;
	}
	if (number == SIGALRM || number == SIGUSR1)
		machine.events = 1;
	if (in_monitor(number, frame)) {
		in_monitor_signal(number, frame);
		return;
	}
	fpu_reload(frame->fpu);
	uint32_t entered_with = vcpu.eflags;

	registers_from(frame);
	if (frame->cs == HOST_CS64 || !(frame->cs & 4)) {
		/* Guest code that left its segments: 64-bit code of its own, or the host's flat segment
		 * (AMD's compatibility-mode syscall returns with 0x23). Nothing it did counts. */
		machine.instruction_eip = vcpu.eip;
		raise_plain(VECTOR_UD);
		fault_deliver();
		resume();
	}
	vcpu.host_ss = frame->ss;
	guest_stopped(number, info, frame, entered_with);
	resume();
}

void signals_install(void)
{
	static const int signals[] = { SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGUSR1, SIGSEGV, SIGALRM, SIGCHLD, SIGSYS };
	struct {
		uint64_t handler, flags, restorer, mask;
	} action = { (uint64_t)on_signal, SA_SIGINFO | SA_RESTORER | SA_ONSTACK | SA_NODEFER,
		     (uint64_t)signal_restorer, 0 };
	struct {
		uint64_t base, flags, size;
	} stack = { (uint64_t)monitor_stack, 0, (uint64_t)(monitor_stack_top - monitor_stack) };
	uint64_t none = 0;

	if (syscall3(SYS_sigaltstack, &stack, 0, 0) < 0)
		fatal(ERROR_SIGNALS, 0);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		if (syscall4(SYS_rt_sigaction, signals[i], &action, 0, 8) < 0)
			fatal(ERROR_SIGNALS, (uint64_t)signals[i]);
	syscall4(SYS_rt_sigprocmask, 2 /* SIG_SETMASK */, &none, 0, 8);
}
