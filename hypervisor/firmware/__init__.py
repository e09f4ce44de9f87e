"""What a PC's firmware leaves in memory for a kernel to find; there is no BIOS code behind it.

``rom``         the BIOS area, and what lies where in it
``bios_data``   interrupt vectors, BIOS data area, extended BIOS data area
``interrupts``  how ISA interrupts are wired: what MP and ACPI tables tell alike
``mptable``     MP tables
``aml``         ACPI machine language, as far as the DSDT needs it
``acpi``        ACPI tables
``smbios``      SMBIOS tables
``firmware``    all of them for one machine
"""
