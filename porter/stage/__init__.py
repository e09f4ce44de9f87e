"""The program that stands where a compiler looks for its assembler, in C: see stage.h. `build.py` compiles it."""
