"""Devices of a PC that the VMM services, one per file, behind `hypervisor.bus.Device`.

The interrupt controllers, the timers and the serial port are in the monitor (`hypervisor/monitor`),
because a kernel uses them too often for exits.
"""
