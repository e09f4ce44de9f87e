# Everything is done in .venv, from a fresh clone with Python 3.11+, a C compiler and make:
#
#   make demo          port and run the sample kernels, and show what they asked of the hypervisor
#   make test          run the tests, as many at a time as there are CPUs, up to four (PYTEST="-k vtlb -x" adds arguments,
#                      -n 0 runs one at a time)
#   make fuzz          port COUNT (100000) random assembly statements of SEED (a new one each time) and judge them;
#                      give each device ACCESSES (1000000) random ones
#   make bench         measure, against this host and (where installed) QEMU and user-mode Linux
#   make lint          ruff and mypy
#   make generated     remake what is generated from hypercalls/
#   make transcripts   record anew what the sample kernels print, devices answer and screens look like on a PC (needs
#                      qemu-system-i386 and nasm)

VENV := .venv
BIN := $(VENV)/bin

# The first Python on the path that is new enough.
PYTHON ?= $(shell for name in python3 python3.11 python3.12 python3.13 python3.14 python; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && command -v $$name && break; done)

# The compiler is only passed on when it was chosen: build and demo know how to find one.
ifneq ($(origin CC),default)
export CC
endif
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: all demo test fuzz bench lint generated transcripts monitor clean
all: $(VENV)/ring3

demo: $(VENV)/ring3 monitor
	sh sample_kernels/demo.sh

# A file's tests share what is costly to make, so they stay together.
PARALLEL := -n auto --maxprocesses 4 --dist loadfile
test: $(VENV)/test monitor
	$(BIN)/python -m pytest -q $(PARALLEL) $(PYTEST)

COUNT := 100000
ACCESSES := 1000000
SEED := $(shell date +%s)
fuzz: $(VENV)/test monitor
	$(BIN)/python -m tests.porter.fuzz.run $(COUNT) $(SEED)
	$(BIN)/python -m tests.hypervisor.devices.fuzz $(ACCESSES) $(SEED)
	$(BIN)/python -m tests.hypervisor.fuzz.run $(ACCESSES) $(SEED)

bench: $(VENV)/ring3 monitor
	$(BIN)/python bench/run.py

lint: $(VENV)/test
	$(BIN)/ruff check .
	$(BIN)/mypy

generated: $(VENV)/ring3
	$(BIN)/python -m hypercalls

transcripts: $(VENV)/test monitor
	$(BIN)/python -m tests.samples.record
	$(BIN)/python -m tests.hypervisor.engine.qemu_pc
	$(BIN)/python -m tests.hypervisor.screen.record
	$(BIN)/python -m tests.hypervisor.chips.record

# An editable install finds changed Python files by itself; what is written in C must be compiled again.
monitor: $(VENV)/ring3
	@$(BIN)/python -m hypervisor.monitor.build >/dev/null
	@$(BIN)/python -m porter.stage.build >/dev/null

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 or newer found; install one or say make PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); \
		echo "make: $(PYTHON) cannot create a virtual environment (Debian: apt-get install python3-venv)" >&2; exit 2; }

# The programs in the environment's bin are copies, and so installed anew when their source has changed.
STAGE := $(wildcard porter/stage/*.c porter/stage/*.h) porter/stage/build.py

$(VENV)/ring3: pyproject.toml setup.py $(STAGE) | $(BIN)/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/test: pyproject.toml setup.py $(VENV)/ring3
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[test]'
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info hypervisor/monitor/ring3-monitor porter/stage/ring3-as sample_kernels/*/build sample_kernels/*/ported
