"""The ``ring3`` command: one file per subcommand, `main` chooses among them.

This is the only place that knows the porter and the hypervisor. Subcommands are imported when they are
asked for, so that ``ring3 cc``, which a build runs once per file, starts fast.
"""
