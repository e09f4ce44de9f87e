/* Start-up of a guest's first process: map the memory files, lay out the hole, reset the chips, close
 * the sandbox, and go on as the zygote of the address-space processes (pool.c). */
#include "monitor.h"
#include "sys.h"

uint32_t host_ss_lost, host_flags_lost;

/* Tell the VMM why this guest cannot go on, then end. Works before the state file is mapped only by
 * its exit status, which is the error code + 64. */
_Noreturn void fatal(uint32_t code, uint64_t detail)
{
	static bool again;

	if (!again && control.magic == ABI_MAGIC) {
		uint64_t one = 1;

		again = true;
		control.exit.reason = EXIT_FATAL;
		control.exit.code = code;
		control.exit.detail = detail;
		control.exit.eip = vcpu.eip;
		control.exit_pending = 1;
		syscall3(SYS_write, EXIT_FD, &one, 8);
	}
	syscall3(SYS_exit_group, code + 64, 0, 0);
	__builtin_unreachable();
}

static void map_or_die(uint64_t address, uint64_t length, int protection, int fd, uint64_t offset)
{
	int64_t result = sys_mmap(address, length, protection, MAP_SHARED | MAP_FIXED, fd, offset);

	if (result != (int64_t)address)
		fatal(ERROR_MAP, (uint64_t)-result);
}

/* Guest address 0 at host address 0 where the host allows it (vm.mmap_min_addr), else all guest
 * segments get a base of 64 KiB. */
static uint32_t choose_slide(void)
{
	if (control.flags & CONFIG_FORCE_SLIDE)
		return SLIDE;
	int64_t result = sys_mmap(0, 4096, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);

	if (result != 0)
		return SLIDE;
	sys_munmap(0, 4096);
	return 0;
}

static void map_hole(uint32_t slide)
{
	uint64_t base = (uint64_t)HOLE + slide;

	map_or_die(base, PAGE_SIZE, PROT_READ | PROT_WRITE, STATE_FD, 0);
	map_or_die(base + GATES_OFFSET, PAGE_SIZE, PROT_READ | PROT_EXEC, STATE_FD, GATES_OFFSET);
	map_or_die(base + SELMAP_OFFSET, GUEST_VISIBLE_SIZE - SELMAP_OFFSET, PROT_READ, STATE_FD, SELMAP_OFFSET);
	map_or_die(base + TRAMPOLINES_OFFSET, TRAMPOLINES_SIZE, PROT_READ | PROT_EXEC, STATE_FD, TRAMPOLINES_FILE_OFFSET);
	map_or_die(LANDING, LANDING_COUNT * LANDING_STUB_SIZE, PROT_READ | PROT_EXEC, STATE_FD, LANDING_OFFSET);
}

static void check_configuration(void)
{
	if (control.magic != ABI_MAGIC || control.abi_version != ABI_VERSION)
		syscall3(SYS_exit_group, ERROR_BUG + 64, 0, 0);
	if (control.ram_size == 0 || control.ram_size > (uint64_t)HOLE || control.ram_size & PAGE_MASK)
		fatal(ERROR_MEMORY, control.ram_size);
	if (!(cpuid(1, 0).ecx & CPUID_OSXSAVE))
		fatal(ERROR_XSAVE, 0);
	if (control.pool_max == 0 || control.pool_max > MEMBERS_MAX)
		control.pool_max = MEMBERS_MAX;
}

_Noreturn void monitor_main(void)
{
	syscall3(SYS_prctl, 1 /* PR_SET_PDEATHSIG */, 9, 0);
	int64_t mapped = sys_mmap(STATE_BASE, TRACE_OFFSET, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, STATE_FD, 0);

	if (mapped != (int64_t)STATE_BASE)
		syscall3(SYS_exit_group, ERROR_MAP + 64, 0, 0);
	check_configuration();
	/* The VMM may have ended before the request above took effect. */
	if (syscall3(SYS_getppid, 0, 0, 0) != control.vmm_pid)
		syscall3(SYS_exit_group, 1, 0, 0);
	if (control.trace_slots)
		map_or_die(STATE_BASE + TRACE_OFFSET, (uint64_t)control.trace_slots * TRACE_RECORD_SIZE,
			   PROT_READ | PROT_WRITE, STATE_FD, TRACE_OFFSET);
	map_or_die(RAM_BASE, control.ram_size, PROT_READ | PROT_WRITE, RAM_FD, 0);
	ide_map_disks();
	control.slide = choose_slide();
	landing_write(state);
	flag_tables_write();
	sequences_prepare();
	map_hole(control.slide);

	shared.upcall_mask = !(vcpu.eflags & FLAG_IF);
	shared.not_pending = 1;
	vcpu.eflags = (vcpu.eflags & ~(FLAG_IOPL | FLAG_VM | FLAG_RF)) | FLAG_IF | 2;
	pic_reset();
	lapic_reset();
	ioapic_reset();
	pit_reset();
	pm_reset();
	uart_reset();
	rtc_reset();
	machine.deadline = machine.ide_deadline = ~0ull;
	compare_prepare();
	debugger_follow();
	machine.events = debugger.request;
	signals_install();
	pool_run();
}
