"""A guest under gdb: the remote serial protocol (GDB manual, appendix E), a register file, break points.

The monitor's part is hypervisor/monitor/debugger.c.
"""
