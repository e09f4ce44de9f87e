"""Putting a kernel into guest RAM and the vCPU at its entry.

``handover``       what is asked for, what loaders tell of the machine, and the plan that they make
``placement``      which parts of RAM are taken
``elf``            read and check an i386 ELF executable
``sections``       its section headers and symbols, for kernels that want them
``address_fields`` images in other formats than ELF, by fields of their multiboot header
``multiboot``      multiboot 1: header and boot information
``multiboot2``     multiboot 2: header; ``multiboot2_info``: boot information
``vbe``            what a VESA BIOS would say of a graphics mode
``linux``          Linux boot protocol, from the 32-bit entry
``boot``           chooses the protocol, writes what it planned, sets the virtual CPU
``symbols``        names for addresses
"""
