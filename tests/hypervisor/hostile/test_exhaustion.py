"""Guests that ask for more than the host gives: the virtual TLB and the pool are caches, so they evict."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from hypervisor.domain import Domain, DomainConfig
from hypervisor.engine import POOL_MAX
from hypervisor.memory_map import MIB
from hypervisor.outcome import Ending
from tests.hypervisor.engine import guests
from tests.hypervisor.hostile import code, machine, stage
from tests.hypervisor.hostile.families import FUTEX, FUTEX_WAKE
from tests.hypervisor.hostile.processes import limited, living, members, slide_of

SECONDS = 30.0
MAX_MAP_COUNT = Path("/proc/sys/vm/max_map_count")

# Maps `pages` pages from 1 GiB on, each to another frame than its neighbours, touches all of them, then
# exchanges neighbours' entries with invlpg for each, and looks at all of them anew.
SCATTERED = """
	.set TABLES,0x400000
	.set WINDOW,0x40000000
test:	movl $TABLES,%edi
	xorl %eax,%eax
	movl $1024,%ecx
	rep stosl
	movl $0x83,TABLES
	movl $0x400083,TABLES+4
	movl $0x800083,TABLES+8
	movl $TABLES+0x1003,%eax
	movl $TABLES+4*256,%edi
	movl ${tables},%ecx
1:	stosl
	addl $0x1000,%eax
	loop 1b
	movl $TABLES+0x1000,%edi
	movl $0x800003,%eax
	movl ${tables}*1024,%ecx
2:	stosl
	xorl $0x2000,%eax
	loop 2b
	movl $0x12345678,0x800000
	movl $0x9abcdef0,0x802000
	movl $0x10,%eax
	r3_write_cr4 %eax
	movl $TABLES,%eax
	r3_write_cr3 %eax
	movl $0x80000011,%eax
	r3_write_cr0 %eax
	movl $WINDOW,%esi
	movl ${tables}*1024,%ecx
	xorl %ebx,%ebx
3:	addl (%esi),%ebx
	addl $0x1000,%esi
	loop 3b
	say sum, %ebx
	movl ${tables}*1024-1,%ecx
	movl $WINDOW+{tables}*0x400000-0x1000,%esi
4:	xorl $0x2000,TABLES+0x1000(,%ecx,4)
	r3_invlpg (%esi)
	subl $0x1000,%esi
	decl %ecx
	jns 4b
	movl $WINDOW+{tables}*0x400000-0x2000,%esi
	movl ${tables}*512,%ecx
	xorl %ebx,%ebx
5:	cmpl $0x9abcdef0,(%esi)
	je 6f
	incl %ebx
6:	cmpl $0x12345678,0x1000(%esi)
	je 7f
	incl %ebx
7:	subl $0x2000,%esi
	loop 5b
	say stale, %ebx
	finish
"""


@pytest.mark.parametrize("slide", [False, True], ids=["plain", "slide"])
def test_more_mappings_than_the_host_allows(slide: bool, tmp_path: Path, monitor: Path) -> None:
    tables = int(MAX_MAP_COUNT.read_text()) // 1024 + 2
    if tables > 250:
        pytest.skip("this host allows more mappings than 1 GiB has pages")
    kernel = guests.assemble(SCATTERED.replace("{tables}", str(tables)), tmp_path / "scattered", ported=True)
    with Domain(DomainConfig(kernel, memory=16 * MIB, slide=slide)) as domain:
        domain.build()
        console = guests.Recorder()
        result = limited(SECONDS, domain, console)
        said = guests.Run(result, console.data.decode()).items
        assert result.ending is Ending.EXIT, result
        assert domain.control.tlb_evictions
    assert said == {"sum": (0x12345678 + 0x9ABCDEF0) * tables * 512 & 0xFFFF_FFFF, "stale": 0}


def test_processes_without_end(tmp_path: Path, monitor: Path) -> None:
    """Orders to the zygote, forged by 64-bit code, make no more processes than the pool may have."""
    at = machine.addresses()
    order = code.store64_low(at["request"], 1) + code.store64_low(at["zygote_turn"], 1)
    order += code.host_call(FUTEX, at["zygote_turn"], FUTEX_WAKE, 1)
    again = b"\xe9" + code.long(-len(order) - 5)
    piece = stage.in_long_mode(order + again)
    kernel = stage.write_elf(tmp_path / "orders.elf", stage.image([piece], slide_of(False)))
    most = 0

    def watch() -> None:
        nonlocal most
        while not ended.wait(0.01):
            most = max(most, sum(len(members(pid)) for pid in domain.engine.pids[:1]))

    ended = threading.Event()
    with Domain(DomainConfig(kernel, memory=8 * MIB)) as domain:
        domain.build()
        watcher = threading.Thread(target=watch)
        watcher.start()
        limited(1.0, domain)
        ended.set()
        watcher.join()
        assert 2 < most <= POOL_MAX + 1  # members of the pool, and the zygote
        assert not living(domain.engine.pids[0])
