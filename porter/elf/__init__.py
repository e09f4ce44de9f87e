"""Porting a linked binary: the third door, for kernels whose source nobody has.

Reading order: ``encode`` (what stands for one instruction); ``steps``, ``frames``, ``leaps`` and ``proof`` (which
instructions are code beyond doubt), ``ran`` (what a run tells of that); ``barriers`` and ``low`` (where nothing may be
put, or not everything); ``trampolines`` (what stands for what has moved) and ``room`` (where that goes); ``patch``
(where a jump to it can be put); ``port`` (a whole kernel), ``write`` (the file), ``report`` and ``main`` (the command).
``ported_file`` reads a ported file again. What a port tells the monitor is declared in ``hypercalls/binary_port.py``.
"""
