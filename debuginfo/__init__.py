"""What an ELF file tells of its source: for the porter and for the hypervisor, which do not know each other.

``damage``   what pyelftools raises for files that are not sound
``units``    compilation units, and which of them an address belongs to
``lines``    source file and line of an address
``inlines``  which functions were inlined there
``cfi``      where a function keeps what it returns to, by call-frame information
``prologue`` the same by its instructions
``unwind``   from a copy of a stack to the functions that called each other

Nothing of ring3 is imported here.
"""
