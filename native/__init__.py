"""Compiling the C programs of ring3 while it is installed. Imports nothing of ours, and the standard library only."""
