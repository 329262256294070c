# Each target does its own set-up in .venv, from constraints.txt, and says what it is doing.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.ready
NATIVE := $(shell find native CMakeLists.txt -type f 2>/dev/null)

.PHONY: help setup demo test check fuzz native-test bench plots clean
help:
	@echo "make demo    train, pack and run a sparse binary network on real digits; writes a report page"
	@echo "make test    build and run all tests"
	@echo "make check   format, lint, types, layers"
	@echo "make fuzz    fifty times as many damaged files and random networks as make test"
	@echo "make native-test  the kernels alone, every instruction set against plain loops, on random shapes"
	@echo "make bench   time layers and whole networks in turn with other libraries; adds rows to benchmarks/results"
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

native-test: setup
	$(BIN)/cmake -S . -B build/tools -G Ninja -DBITWRIGHT_TOOLS=ON -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja
	$(BIN)/cmake --build build/tools
	$(BIN)/ctest --test-dir build/tools --output-on-failure

bench: setup build/tools/bench_peak
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[peers]'
	$(BIN)/bw bench --suite layers --output benchmarks/results/layers.csv
	$(BIN)/bw bench --suite networks --output benchmarks/results/networks.csv
	build/tools/bench_peak > benchmarks/results/peaks.csv

build/tools/bench_peak: $(STAMP)
	$(BIN)/cmake -S . -B build/tools -G Ninja -DBITWRIGHT_TOOLS=ON -DCMAKE_MAKE_PROGRAM=$(CURDIR)/$(BIN)/ninja
	$(BIN)/cmake --build build/tools --target bench_peak

plots: setup
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt -e '.[plots]'
	$(BIN)/python benchmarks/draw.py

clean:
	rm -rf $(VENV) build dist
