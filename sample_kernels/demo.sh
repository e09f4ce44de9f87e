#!/bin/sh
# Ports the sample kernels by building them with ring3's compiler wrapper, runs them at the same time, each in an
# unprivileged process, and shows what each asked of its hypervisor. Needs `ring3` on the path; `make demo` sees to it.
set -eu

cd "$(dirname "$0")"
kernels="hello preempt"

compiler=${CC:-}
for name in gcc cc clang; do
	[ -n "$compiler" ] || ! command -v "$name" >/dev/null || compiler=$name
done
[ -n "$compiler" ] || { echo "demo: no C compiler found; install one or name it in CC" >&2; exit 2; }

ring3 doctor

for kernel in $kernels; do
	printf '\n== porting %s: make CC="ring3 cc %s"\n' "$kernel" "$compiler"
	make -s -C "$kernel" CC="ring3 cc $compiler" OUT=ported
	ring3 check "$kernel/ported/$kernel.elf"
done

printf '\n== running them side by side\n\n'
processes=
for kernel in $kernels; do
	ring3 run "$kernel/ported/$kernel.elf" --trace "$kernel/ported/trace" \
		>"$kernel/ported/console" 2>"$kernel/ported/report" </dev/null &
	processes="$processes $!"
done
status=0
for process in $processes; do
	wait "$process" || status=$?
done
for kernel in $kernels; do
	tr -d '\r' <"$kernel/ported/console" >"$kernel/ported/lines"
done
pr -m -t -w 116 hello/ported/lines preempt/ported/lines | expand
if [ "$status" -ne 0 ]; then
	cat hello/ported/report preempt/ported/report >&2
	exit "$status"
fi

for kernel in $kernels; do
	printf '\n== what %s asked for\n' "$kernel"
	ring3 trace summary "$kernel/ported/trace" --by hypercall
done
