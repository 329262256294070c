# Each target does its own set-up in .venv, from constraints.txt, and says what it is doing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
NATIVE := $(shell find native CMakeLists.txt -type f 2>/dev/null)

.PHONY: help setup demo test check fuzz native-test test-neon test-dispatch neon-packages qemu-packages bench plots docs \
        clean
help:
	@echo "make demo    train, pack and run a sparse binary network on real digits; writes a report page"
	@echo "make test    build and run all tests"
	@echo "make check   format, lint, types, layers"
	@echo "make fuzz    fifty times as many damaged files and random networks as make test"
	@echo "make native-test  the engine alone, every instruction set this machine has: kernels against plain loops, models"
	@echo "make test-neon    the same for aarch64 with NEON, cross-compiled and emulated by QEMU"
	@echo "make test-dispatch  which instruction set emulated x86-64 processors get, and its models"
	@echo "make bench   time layers, networks and training in turn with other libraries; adds rows to benchmarks/results"
	@echo "make docs    write what docs/ has from the methods' files and the logs in recipes/, with pictures"
	@echo "make plots   draw the plots and tables of docs/benchmarks.md from these rows"

setup: $(STAMP)

# PIP_CONSTRAINT also holds in pip's isolated build environments
$(STAMP): pyproject.toml constraints.txt $(NATIVE)
	@echo ">>> setting up $(VENV) (the first time this downloads PyTorch and compiles the kernels: a few minutes)"
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip install --disable-pip-version-check \
	    --progress-bar on -c constraints.txt -e '.[demo,dev]'
	@touch $@

demo: setup
	@echo ">>> training, packing and running a sparse binary network on 5,000 digits"
	$(BIN)/bw demo

test: setup
	@echo ">>> running the tests"
	$(BIN)/python -m pytest

check: setup
	@echo ">>> format, lint, types, layers"
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright
	$(BIN)/lint-imports

fuzz: setup
	$(BIN)/python -m pytest tests/fuzz tests/native --hypothesis-profile=long --timeout=0

# The engine's own tests in build/$(1), and models for them; $(2): further settings of CMake
define build-tests
	$(BIN)/cmake -S . -B build/$(1) -G Ninja -DBITWRIGHT_TOOLS=ON -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja $(2)
	$(BIN)/cmake --build build/$(1)
	$(BIN)/python tests/models.py build/$(1)/models
endef

native-test: setup
	$(call build-tests,tools)
	$(BIN)/ctest --test-dir build/tools --output-on-failure

test-neon: neon-packages setup
	$(call build-tests,neon,-DCMAKE_TOOLCHAIN_FILE=native/cmake/aarch64-linux-gnu.cmake)
	$(BIN)/ctest --test-dir build/neon --output-on-failure

# Nehalem stands for processors before AVX2; the features taken from Haswell are those that QEMU would warn of
test-dispatch: qemu-packages setup
	$(call build-tests,tools)
	qemu-x86_64-static -cpu Nehalem build/tools/test_models build/tools/models sse2
	qemu-x86_64-static -cpu Haswell-noTSX,-pcid,-x2apic,-tsc-deadline,-invpcid \
	    build/tools/test_models build/tools/models avx2

# Each word of $(1) is a program and the Debian package that brings it
require = @missing=; for pair in $(1); do \
	    command -v $${pair%%:*} >/dev/null || missing="$$missing $${pair\#\#*:}"; done; \
	    test -z "$$missing" || { echo "make $(2): install the Debian packages$$missing"; exit 1; }

neon-packages:
	$(call require,aarch64-linux-gnu-g++-12:g++-12-aarch64-linux-gnu qemu-aarch64-static:qemu-user-static,test-neon)

qemu-packages:
	$(call require,qemu-x86_64-static:qemu-user-static,test-dispatch)

bench: setup build/tools/bench_peak build/tools/bench_bit_code
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[peers]'
	$(BIN)/bw bench --suite layers --output benchmarks/results/layers.csv
	$(BIN)/bw bench --suite networks --output benchmarks/results/networks.csv
	$(BIN)/bw bench --suite sparsity --output benchmarks/results/sparsity.csv
	build/tools/bench_peak > benchmarks/results/peaks.csv
	$(BIN)/python benchmarks/train_step.py
	$(BIN)/python benchmarks/file_size.py
	$(BIN)/python benchmarks/decode.py

build/tools/bench_peak build/tools/bench_bit_code: $(STAMP)
	$(BIN)/cmake -S . -B build/tools -G Ninja -DBITWRIGHT_TOOLS=ON -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja
	$(BIN)/cmake --build build/tools --target $(notdir $@)

plots: setup
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[plots]'
	$(BIN)/python benchmarks/draw.py
	$(BIN)/python benchmarks/draw_sparsity.py

docs: setup
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[plots]'
	$(BIN)/python docs/build_methods.py
	$(BIN)/python docs/build_runs.py
	$(BIN)/python docs/draw_samples.py

clean:
	rm -rf $(VENV) build dist
