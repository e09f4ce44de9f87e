"""The contract between ported guests, the monitor and the VMM, declared once.

``table``   every hypercall: number, name, arguments, result, errors, meaning, Xen counterpart
``layout``  where things lie: the hole in the guest's address space, the state memory file
``structs`` the records that cross a boundary: shared page, vCPU, control block, exit, trace
``gas``, ``gas_intel``, ``nasm``, ``cheader``, ``reference``  what is generated from them

Nothing of ring3 is imported here; everything else of ring3 may import this.
"""

from hypercalls.table import HYPERCALLS, Hypercall, by_name, by_number

ABI_VERSION = 1

__all__ = ["ABI_VERSION", "HYPERCALLS", "Hypercall", "by_name", "by_number"]
