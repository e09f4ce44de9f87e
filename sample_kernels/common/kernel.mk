# Builds one sample kernel. The including Makefile sets KERNEL (its name) and SOURCES (its own files).
#
#   make                          build/NAME.elf for a bare PC
#   make CC="ring3 cc gcc" OUT=p  p/NAME.elf ported, from the very same files

COMMON := $(dir $(lastword $(MAKEFILE_LIST)))
OUT ?= build
# A kernel with another memory layout brings its own entry and linker script.
START ?= start.S
LINKER_SCRIPT ?= $(COMMON)kernel.ld

CFLAGS = -m32 -std=gnu11 -O2 -g -Wall -Wextra -ffreestanding -fno-pic -fno-stack-protector \
	-fno-asynchronous-unwind-tables -mgeneral-regs-only -I$(COMMON)
LDFLAGS = -m32 -nostdlib -static -no-pie -Wl,-T,$(LINKER_SCRIPT) -Wl,--build-id=none

COMMON_SOURCES ?= $(START) vectors.S segments.c interrupts.c timer.c serial.c memory.c power.c
# A kernel takes other files from here by naming them in SOURCES.
VPATH += $(COMMON)
OBJECTS = $(patsubst %,$(OUT)/common-%.o,$(basename $(COMMON_SOURCES))) \
	$(patsubst %,$(OUT)/%.o,$(basename $(SOURCES)))

$(OUT)/$(KERNEL).elf: $(OBJECTS) $(LINKER_SCRIPT)
	$(CC) $(LDFLAGS) -o $@ $(OBJECTS)

$(OUT)/common-%.o: $(COMMON)%.c | $(OUT)
	$(CC) $(CFLAGS) -MMD -c -o $@ $<

$(OUT)/common-%.o: $(COMMON)%.S | $(OUT)
	$(CC) $(CFLAGS) -MMD -c -o $@ $<

$(OUT)/%.o: %.c | $(OUT)
	$(CC) $(CFLAGS) -MMD -c -o $@ $<

$(OUT)/%.o: %.S | $(OUT)
	$(CC) $(CFLAGS) -MMD -c -o $@ $<

$(OUT):
	mkdir -p $@

.PHONY: clean
clean:
	rm -rf $(OUT)

-include $(OBJECTS:.o=.d)
