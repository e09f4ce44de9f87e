"""The 64-bit C program in whose process guest code runs, and how it is built."""
