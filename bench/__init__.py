"""Benchmarks (``make bench``): micro-benchmarks of the engine and whole runs of a kernel beside QEMU."""
