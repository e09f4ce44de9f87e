"""The text of the macros that ported code needs: of GAS's families, AT&T and Intel syntax, only those that it uses."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from porter.model import ATT, EITHER, INTEL, RESOLVE, in_family

_Texts = tuple[Callable[[], str], Callable[[], str]]


def _joined(used: Iterable[str], att: _Texts, intel: _Texts) -> str:
    """The macros of each family, and ``r3_resolve`` of it, where `used` has such names."""
    names = set(used)
    if EITHER in names:
        names |= {in_family("r3_", syntax) for syntax in (ATT, INTEL)}
    out: list[str] = []
    for syntax, (macros, resolving) in ((ATT, att), (INTEL, intel)):
        prefix = in_family("r3_", syntax)
        if any(name.startswith(prefix) for name in names):
            out.append(macros())
        if in_family(RESOLVE, syntax) in names:
            out.append(resolving())
    return "".join(out)


def include(used: Iterable[str]) -> str:
    """GAS text with the macros that `used` names need: ``ring3.inc``."""
    from hypercalls import gas, gas_intel
    from porter import resolve

    return _joined(used, (gas.macros, resolve.macros), (gas_intel.macros, resolve.intel_macros))


def header(used: Iterable[str]) -> str:
    """The same for ``#include`` from C and from assembly: ``ring3.h``."""
    from hypercalls import gas, gas_intel
    from porter import resolve

    return _joined(used, (gas.c_header, resolve.c_header), (gas_intel.c_header, resolve.intel_c_header))


def nasm_include() -> str:
    """NASM text with the macros: ``ring3.nasm``."""
    from hypercalls import nasm
    from porter import nasm_resolve

    return nasm.macros() + nasm_resolve.macros()
