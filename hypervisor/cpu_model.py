"""Models of the virtual CPU: what CPUID tells a guest (Intel SDM vol. 2, CPUID).

A model names features of real processors, and has none that the engine does not provide: no virtual-8086
extensions, machine checks, MTRRs, or physical addresses above 4 GiB. Features are told, not enforced: an
instruction that needs no privilege runs on the host's processor, whatever the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hypercalls import ABI_VERSION
from hypervisor.errors import RingError

# Bits of CPUID.1:EDX, CPUID.1:ECX and CPUID.80000001H:EDX, by the names of /proc/cpuinfo.
EDX = {"fpu": 0, "de": 2, "pse": 3, "tsc": 4, "msr": 5, "pae": 6, "cx8": 8, "apic": 9, "sep": 11, "pge": 13,
       "cmov": 15, "pat": 16, "clflush": 19, "mmx": 23, "fxsr": 24, "sse": 25, "sse2": 26}  # fmt: skip
ECX = {"pni": 0, "pclmulqdq": 1, "ssse3": 9, "sse4_1": 19, "sse4_2": 20, "movbe": 22, "popcnt": 23, "aes": 25,
       "rdrand": 30, "hypervisor": 31}  # fmt: skip
EXTENDED_EDX = {"nx": 20}

DEFAULT = "ring3"


@dataclass(frozen=True)
class CpuModel:
    """One model. `signature` is CPUID.1:EAX: family, model and stepping."""

    name: str
    summary: str
    signature: int
    features: frozenset[str]
    brand: str = ""

    def leaves(self) -> list[tuple[int, int, int, int, int]]:
        """All leaves that are not zeros: number, EAX, EBX, ECX, EDX."""
        basic = 2 if self._family >= 6 else 1
        found = [
            (0, basic, _word("Genu"), _word("ntel"), _word("ineI")),
            (1, self.signature, 0x0001_0000 | (0x800 if "clflush" in self.features else 0),
             self._bits(ECX), self.edx),
        ]  # fmt: skip
        if basic >= 2:
            found.append((2, 1, 0, 0, 0))  # one call tells all of the caches: nothing
        # Where hypervisors tell their name, as Xen and KVM lay them out.
        found += [(0x4000_0000, 0x4000_0001, _word("ring"), _word("33ri"), _word("ng33")),
                  (0x4000_0001, ABI_VERSION, 0, 0, 0)]  # fmt: skip
        if self.brand:
            words = [_word(self.brand[at : at + 4]) for at in range(0, 48, 4)]
            found += [(0x8000_0000, 0x8000_0004, 0, 0, 0), (0x8000_0001, 0, 0, 0, self._bits(EXTENDED_EDX))]
            for i in range(3):
                eax, ebx, ecx, edx = words[4 * i : 4 * i + 4]
                found.append((0x8000_0002 + i, eax, ebx, ecx, edx))
        return found

    @property
    def edx(self) -> int:
        """CPUID.1:EDX: features."""
        return self._bits(EDX)

    @property
    def _family(self) -> int:
        return self.signature >> 8 & 0xF

    def _bits(self, register: dict[str, int]) -> int:
        return sum(1 << bit for name, bit in register.items() if name in self.features)


def _word(text: str) -> int:
    return int.from_bytes(text.encode().ljust(4, b"\0"), "little")


def _features(text: str, base: frozenset[str] = frozenset({"hypervisor"})) -> frozenset[str]:
    return base | frozenset(text.split())


_I486 = _features("fpu")
_PENTIUM = _features("de pse tsc msr cx8 apic mmx", _I486)
_PENTIUM3 = _features("sep pae pge cmov pat fxsr sse", _PENTIUM)
_PENTIUM4 = _features("clflush sse2 pni nx", _PENTIUM3)
_SIGNATURE_P3 = 0x673  # a CPU of the time when 32-bit kernels were common
# What the host's CPU has besides, and guests may use: all act on registers that the engine keeps.
_OF_HOST = _features("ssse3 sse4_1 sse4_2 pclmulqdq movbe popcnt aes rdrand", frozenset())

_MODELS = (
    CpuModel(DEFAULT, "all that the engine provides on every host (the default)", _SIGNATURE_P3, _PENTIUM4,
             "ring3 virtual CPU"),
    CpuModel("i486", "an i486DX4: no paging extensions, no time stamp counter, no MSRs", 0x480, _I486),
    CpuModel("pentium", "a Pentium MMX: 4 MiB pages, no PAE, no SYSENTER", 0x543, _PENTIUM),
    CpuModel("pentium3", "a Pentium III: PAE, SYSENTER, SSE", _SIGNATURE_P3, _PENTIUM3),
    CpuModel("pentium4", "a late Pentium 4: SSE3 and execute-disable, too", 0xF43, _PENTIUM4,
             "Intel(R) Pentium(R) 4 CPU 3.00GHz"),
    CpuModel("host", f"as {DEFAULT}, with the instructions that this host's CPU has besides", _SIGNATURE_P3,
             _PENTIUM4, "ring3 virtual CPU"),
)  # fmt: skip
MODELS = {model.name: model for model in _MODELS}


def find(name: str) -> CpuModel:
    """The model called `name`. RingError where there is none."""
    model = MODELS.get(name)
    if not model:
        raise RingError(f"CPU model {name} is unknown; choose one of {', '.join(MODELS)}")
    if name != "host":
        return model
    extra = _OF_HOST & host_features()
    return CpuModel(model.name, model.summary, model.signature, model.features | extra, model.brand)


def host_features() -> frozenset[str]:
    """Features of the host's CPU, by the names of /proc/cpuinfo."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("flags"):
            return frozenset(line.partition(":")[2].split())
    return frozenset()
