"""The Linux boot protocol: bzImages of all versions, vmlinux, zero page, initrd, refusals."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hypervisor.errors import RingError
from hypervisor.loaders.boot import set_boot_state
from hypervisor.loaders.handover import ModuleFile, Protocol
from hypervisor.memory_map import EBDA, HIGH, MIB
from tests.hypervisor.fakes import FakeMemory, FakeState
from tests.hypervisor.loaders.booted import boot, machine, text
from tests.hypervisor.loaders.elves import CODE, Part, elf

LOADED_HIGH = 1


@dataclass(frozen=True)
class BzImage:
    """A bzImage; fields that `version` does not have yet hold garbage, as a loader must not look at them."""

    version: int = 0x020F
    flags: int = LOADED_HIGH
    setup_sectors: int = 4
    code: bytes = CODE
    prefers: int = 2 * MIB
    movable: int = 1
    alignment: int = MIB
    initrd_max: int = 0x7FFF_FFFF
    command_line: int = 2047
    init_size: int = MIB
    features: int = 0

    def build(self) -> bytes:
        image = bytearray(((self.setup_sectors or 4) + 1) * 512)
        image[0x1F1:0x290] = b"\xa5" * (0x290 - 0x1F1)

        def put(offset: int, layout: str, value: int, since: int = 0) -> None:
            if self.version >= since:
                struct.pack_into("<" + layout, image, offset, value)

        put(0x1F1, "B", self.setup_sectors)
        put(0x1F4, "H", -(-len(self.code) // 16))
        put(0x1F6, "H", 0, 0x0204)
        put(0x1FE, "H", 0xAA55)
        put(0x200, "H", 0x66EB if self.version >= 0x0206 else 0x40EB)
        image[0x202:0x206] = b"HdrS"
        put(0x206, "H", self.version)
        put(0x211, "B", self.flags)
        put(0x214, "I", HIGH)
        put(0x22C, "I", self.initrd_max, 0x0203)
        put(0x230, "I", self.alignment, 0x0205)
        put(0x234, "B", self.movable, 0x0205)
        put(0x236, "H", self.features, 0x020C)
        put(0x238, "I", self.command_line, 0x0206)
        put(0x258, "Q", self.prefers, 0x020A)
        put(0x260, "I", self.init_size, 0x020A)
        return bytes(image) + self.code


def zero_page(memory: FakeMemory, address: int) -> bytes:
    assert address % 4096 == 0
    return memory.read(address, 4096)


def word(page: bytes, offset: int, layout: str = "I") -> int:
    return int(struct.unpack_from("<" + layout, page, offset)[0])


def test_a_bzimage_is_entered_where_it_prefers(tmp_path: Path) -> None:
    memory, state = FakeMemory(8 * MIB), FakeState()
    plan = boot(tmp_path, BzImage().build(), memory=memory, append="console=ttyS0")
    set_boot_state(state, plan)
    vcpu, page = state.vcpu, zero_page(memory, plan.esi)
    assert memory.read(2 * MIB, len(CODE)) == CODE
    assert (vcpu.eip, vcpu.esi, vcpu.ebp, vcpu.edi, vcpu.ebx) == (2 * MIB, plan.esi, 0, 0, 0)
    assert (state.shared.cs, state.shared.ss) == (0x10, 0x18)
    gdt = struct.unpack("<4Q", memory.read(vcpu.gdt_base, vcpu.gdt_limit + 1))
    assert gdt[2:] == (0x00CF_9B00_0000_FFFF, 0x00CF_9300_0000_FFFF)
    assert not vcpu.eflags & 0x200 and state.shared.cr0 & 0x8000_0001 == 1
    assert text(memory, word(page, 0x228)) == "console=ttyS0"


def test_the_zero_page(tmp_path: Path) -> None:
    memory, image = FakeMemory(8 * MIB), BzImage().build()
    page = zero_page(memory, boot(tmp_path, image, memory=memory).esi)
    changed = {0x1FA, 0x1FB, 0x210, *range(0x214, 0x220), *range(0x228, 0x22C)}
    end = 0x202 + image[0x201]
    assert all(page[at] == image[at] for at in range(0x1F1, end) if at not in changed), "the setup header is passed on"
    assert not any(page[end:0x2D0]) and not page[0x1EF]
    assert (word(page, 0x1FA, "H"), page[0x210], word(page, 0x214)) == (0xFFFF, 0xFF, 2 * MIB)
    assert (page[6], page[7], page[14], page[15], word(page, 16, "H")) == (3, 80, 25, 1, 16)
    assert word(page, 2, "H") == word(page, 0x1E0) == 7 * 1024
    assert word(page, 0x70, "Q") == machine(8 * MIB).rsdp_address
    entries = [struct.unpack_from("<QQI", page, 0x2D0 + 20 * number) for number in range(page[0x1E8])]
    assert [entry[:2] for entry in entries if entry[2] == 1] == [(0, EBDA), (HIGH, 7 * MIB)]
    assert not any(page[0x2D0 + 20 * len(entries) :])


@pytest.mark.parametrize(
    ("version", "start"),
    [(0x0202, HIGH), (0x0203, HIGH), (0x0204, HIGH), (0x0205, HIGH), (0x0209, HIGH), (0x020A, 2 * MIB),
     (0x020C, 2 * MIB), (0x020F, 2 * MIB)],
)  # fmt: skip
def test_fields_that_a_version_lacks_are_not_read(tmp_path: Path, version: int, start: int) -> None:
    memory = FakeMemory(4 * MIB)
    (tmp_path / "initrd").write_bytes(b"initrd")
    plan = boot(tmp_path, BzImage(version=version).build(), memory=memory, append="x" * 255, initrd=tmp_path / "initrd")
    assert plan.image.entry == start and memory.read(start, len(CODE)) == CODE
    assert word(zero_page(memory, plan.esi), 0x218) == 4 * MIB - 4096


@pytest.mark.parametrize("sectors", [0, 1, 4, 39])
def test_the_protected_mode_part_is_behind_the_setup_sectors(tmp_path: Path, sectors: int) -> None:
    memory = FakeMemory(4 * MIB)
    boot(tmp_path, BzImage(setup_sectors=sectors).build(), memory=memory)
    assert memory.read(2 * MIB, len(CODE)) == CODE


def test_a_movable_kernel_goes_elsewhere_where_it_does_not_fit(tmp_path: Path) -> None:
    memory = FakeMemory(4 * MIB)
    plan = boot(tmp_path, BzImage(prefers=16 * MIB, alignment=2 * MIB, init_size=2 * MIB).build(), memory=memory)
    assert plan.image.entry == 2 * MIB and memory.read(2 * MIB, len(CODE)) == CODE
    assert word(zero_page(memory, plan.esi), 0x214) == 2 * MIB


def test_what_it_needs_to_unpack_is_kept_free(tmp_path: Path) -> None:
    (tmp_path / "initrd").write_bytes(bytes(MIB + 1))
    with pytest.raises(RingError, match="no room for initrd"):
        boot(tmp_path, BzImage(init_size=2 * MIB).build(), initrd=tmp_path / "initrd", memory=FakeMemory(4 * MIB))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(st.integers(0, 2 * MIB), st.integers(HIGH, 5 * MIB), st.integers(0, MIB))
def test_an_initrd_is_as_high_as_the_kernel_takes_it(tmp_path: Path, size: int, limit: int, init_size: int) -> None:
    (tmp_path / "initrd").write_bytes(b"\xb7" * size)
    memory = FakeMemory(4 * MIB)
    kernel = BzImage(initrd_max=limit, prefers=HIGH, init_size=init_size)
    try:
        plan = boot(tmp_path, kernel.build(), memory=memory, initrd=tmp_path / "initrd")
    except RingError as refusal:
        assert "no room for initrd" in str(refusal)
        assert min(limit + 1, 4 * MIB) - max(size, 1) < HIGH + max(init_size, len(CODE)) + 4096
        return
    page = zero_page(memory, plan.esi)
    at, length = word(page, 0x218), word(page, 0x21C)
    assert length == size and at % 4096 == 0 and at + max(size, 1) <= min(limit + 1, 4 * MIB) < at + max(size, 1) + 4096
    assert memory.read(at, size) == b"\xb7" * size


# --- vmlinux


def test_a_vmlinux(tmp_path: Path) -> None:
    memory = FakeMemory(8 * MIB)
    (tmp_path / "initrd").write_bytes(b"initrd")
    image = elf(Part(CODE, 2 * MIB, vaddr=0xC020_0000), entry=0xC020_0004)
    plan = boot(tmp_path, image, memory=memory, append="quiet", initrd=tmp_path / "initrd")
    page = zero_page(memory, plan.esi)
    assert plan.image.entry == 2 * MIB + 4 and plan.segments.code == 0x10
    assert page[0x202:0x206] == b"HdrS" and word(page, 0x206, "H") >= 0x0207 and page[0x211] == LOADED_HIGH
    assert (text(memory, word(page, 0x228)), word(page, 0x1FE, "H")) == ("quiet", 0xAA55)
    assert memory.read(word(page, 0x218), word(page, 0x21C)) == b"initrd"


def test_a_vmlinux_without_initrd_is_asked_for(tmp_path: Path) -> None:
    image = elf(Part(CODE, 2 * MIB), entry=2 * MIB)
    assert boot(tmp_path, image).esi == 0
    assert boot(tmp_path, image, protocol=Protocol.LINUX).esi != 0


# --- refusals


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (BzImage(version=0x0201).build(), "has Linux boot protocol 2.01; 2.02 is the oldest possible"),
        (BzImage(flags=0).build(), "is a zImage; build the kernel as a bzImage"),
        (BzImage(features=1).build(), "is a 64-bit Linux kernel; .*make ARCH=i386"),
        (BzImage().build()[:0x280], "is a truncated Linux kernel; build it again"),
        (BzImage().build()[: 5 * 512], "is a truncated Linux kernel: 2560 of 2624 bytes"),
        (BzImage(code=CODE * 9).build()[:-16], "is a truncated Linux kernel"),
        (BzImage(movable=0, prefers=16 * MIB).build(), "unpacks .* does not fit into 4 MiB of memory"),
        (BzImage(init_size=16 * MIB).build(), "no room for .*kernel .*; give more with --memory"),
        (BzImage(command_line=3).build(), "--append has 4 bytes, and .* takes a command line of 3; shorten it"),
        (BzImage(version=0x0205).build(), "--append has 256 bytes, and .* takes a command line of 255"),
    ],
)
def test_refusals(tmp_path: Path, image: bytes, message: str) -> None:
    append = "x" * int(message.split()[2]) if "--append" in message else ""
    memory = FakeMemory(4 * MIB)
    with pytest.raises(RingError, match=message) as refusal:
        boot(tmp_path, image, memory=memory, append=append)
    assert "\n" not in str(refusal.value) and not any(memory.data)


def test_a_linux_kernel_takes_no_modules(tmp_path: Path) -> None:
    with pytest.raises(RingError, match="takes no modules; give --initrd"):
        boot(tmp_path, BzImage().build(), modules=(ModuleFile(tmp_path / "x", "x"),))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damaged_headers_are_booted_or_refused(tmp_path: Path, data: st.DataObject) -> None:
    damaged = bytearray(BzImage().build())
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0x1F1, 0x268))] = data.draw(st.integers(0, 255))
    try:
        boot(tmp_path, bytes(damaged), memory=FakeMemory(8 * MIB))
    except RingError as refusal:
        assert "\n" not in str(refusal)
