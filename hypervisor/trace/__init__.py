"""Traces of what guests ask for: recorded from the monitor's ring, read back, decoded, summarised.

``format``    the file, as docs/trace-format.md describes it
``recorder``  from the ring in shared memory to the file, while the guest runs
``reader``    the file as typed records and as columns
``decode``    what a record says, in the contract's terms
``summary``   counts and latencies, by hypercall, caller and kind
"""
