"""Which places of a kernel asked for something, how often, and what it cost: counters without records.

Reading order: ``counters`` (what the monitor counted), ``format`` (the file, and how runs add up), ``collect`` (from
the one to the other), ``tables`` and ``present`` (summaries), ``listing`` (the counts over the source).
docs/coverage.md tells how it is used.
"""
