/* The FPU's place in CR0 and CR4: TS, EM and MP, by which kernels switch it lazily; errors of x87 and SSE
 * (SDM vol. 3, 2.5 and table 9-3).
 *
 * The host's own CR0 is out of reach. But an x87 state with an unmasked exception pending makes each further x87
 * and MMX instruction fault before it does anything, except those that do not wait for exceptions (fninit,
 * fnstsw, fnstcw, fnstenv, fnsave, fnclex, fxsave, fxrstor). So while the guest's CR0 has TS or EM set, its x87
 * registers are put aside for such a state, and what then faults is given to the guest as #NM.
 *
 * SSE instructions cannot be made to fault. A kernel that switches their state lazily (CR4.OSFXSR and CR0.TS are
 * set when ring 3 begins) gets its #NM at once: too early at most, never too late. Ring 0 gets none. */
#include "monitor.h"

#define X87 1u /* state component: x87 and MMX registers (SDM vol. 1, 13.1) */
#define XSTATE_BV 512u
#define STATUS_ES 0x80u
#define ERROR_LINE 13u /* of an x87 error while CR0.NE is clear */

/* FCW: all masked but invalid operation; FSW: that is pending. */
static const struct {
	uint16_t control, status;
	uint8_t rest[XSTATE_BV - 4];
	uint64_t components, reserved[7];
} pending __attribute__((aligned(64))) = { 0x037e, 0x8081, { 0 }, X87, { 0 } };

static void load(const void *area)
{
	__asm__ volatile("xrstor64 (%0)" : : "r"(area), "a"(X87), "d"(0) : "memory");
}

/* CR0 or CR4 has been written. */
void fpu_follow(void)
{
	bool withheld = shared.cr0 & (CR0_TS | CR0_EM);

	if (withheld != machine.fpu_withheld) {
		if (withheld) {
			__asm__ volatile("xsave64 (%0)" : : "r"(machine.x87_aside), "a"(X87), "d"(0) : "memory");
			load(&pending);
		} else {
			load(machine.x87_aside);
		}
		machine.fpu_withheld = withheld;
	}
	machine.fpu_due = (shared.cr0 & (CR0_TS | CR0_EM)) == CR0_TS && shared.cr4 & CR4_OSFXSR;
}

/* Ring 3 begins with #NM. */
void fpu_deliver_early(void)
{
	machine.fpu_due = false;
	machine.instruction_eip = vcpu.eip;
	raise_plain(VECTOR_NM);
	fault_deliver();
}

/* The x87 registers that were put aside have an exception pending. */
static bool error_aside(void)
{
	uint16_t status;
	uint64_t components;

	memcpy(&status, machine.x87_aside + 2, 2);
	memcpy(&components, machine.x87_aside + XSTATE_BV, 8);
	return components & X87 && status & STATUS_ES;
}

/* An x87 error: #MF or, as PCs did it first, an interrupt. The instruction waits until that has been handled, in
 * the shadow of sti, too. */
static bool x87_error(void)
{
	if (shared.cr0 & CR0_NE)
		return raise_plain(VECTOR_MF);
	irq_pulse(ERROR_LINE);
	machine.shadow = false;
	machine.events = 1;
	return true;
}

/* An instruction that wants the x87 registers, which are withheld. */
static bool refuse(void)
{
	enum { FWAIT = 0x9b };
	struct instruction in;
	uint32_t cr0 = shared.cr0;

	if (!decode(vcpu.eip, &in))
		return false;
	if (in.opcode_map) /* MMX */
		return raise_plain(cr0 & CR0_EM ? VECTOR_UD : VECTOR_NM);
	if (in.opcode != FWAIT || (cr0 & (CR0_TS | CR0_MP)) == (CR0_TS | CR0_MP))
		return raise_plain(VECTOR_NM);
	if (error_aside())
		return x87_error();
	vcpu.eip += in.length;
	return true;
}

/* The host raised #MF. False: deliver machine.fault to the guest. */
bool fpu_fault(void) { return machine.fpu_withheld ? refuse() : x87_error(); }
