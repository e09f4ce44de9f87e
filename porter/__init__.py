"""The porter: makes every privileged or sensitive i386 operation of a guest an explicit hypercall.

Reading order: ``catalogue`` (which instructions, and why), ``grammars/`` and ``syntax`` (how source text
is parsed), ``operands``, ``classify`` and ``adjacent`` (what becomes of a statement, or of two), ``reach`` and
``real_mode`` (which code a guest never comes to), ``asm_text`` with ``asm_port``, ``source_port`` and
``c_port`` (a file), then the doors: ``wrapper`` (compiler and assembler stage), ``tree`` (source trees) and
``check`` (what is left in a linked file).

Imports ``hypercalls`` and nothing of the hypervisor. Of the macros that stand in for instructions it
knows the names, never the bodies.
"""
