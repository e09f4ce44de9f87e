"""Putting a kernel into guest RAM and the vCPU at its entry.

``elf``        read and check an i386 ELF executable
``multiboot``  the multiboot 1 header and boot information
``placement``  which parts of RAM are taken
``boot``       load: RAM, boot GDT and registers for either protocol
``symbols``    names for addresses
"""
