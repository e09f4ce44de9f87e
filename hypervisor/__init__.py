"""The hypervisor: monitor, engine, devices, domains and the ``ring3`` command."""
