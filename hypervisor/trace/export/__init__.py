"""Traces for other tools.

``events``    a trace as slices, events and counters on tracks, in the order of time
``perfetto``  these for Perfetto
``chrome``    the same for chrome://tracing and whatever reads its JSON
``ctf``       records for babeltrace2 and Trace Compass
``sql``       records as tables
"""
