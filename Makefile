# make demo: the whole paper in miniature.
# make check: lint, format, quick tests. make test: all tests that need no root; make test-all:
# all of them, as root on Debian or Ubuntu. Each does what the one before it does.
# make bench: how fast this machine does it; 20 to 25 minutes, in which nothing else should run.
.PHONY: demo check test test-all bench environment lock clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

demo: environment
	snakemake all --cores all --quiet rules
	@echo "Open $(CURDIR)/reports/index.html"

# A process has torch in its memory, about a gigabyte with what the tests of its modules keep.
PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadscope

check: environment
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	snakemake --lint
	tests/checks/dry_runs.sh few
	python -m pytest tests/unit -m "not slow" $(PARALLEL)

# Tests of the workflow one after the other: each run of Snakemake takes two cores.
test: SELECTED := -m "not slurm and not browser and not latex"
test test-all: check
	tests/checks/dry_runs.sh rest
	python -m pytest tests/unit -m slow $(PARALLEL)
	python -m pytest tests/workflow $(SELECTED)

bench: demo
	snakemake benchmarks --forcerun measure_speed --cores all --quiet rules
	@echo "Open $(CURDIR)/reports/benchmarks.html"

environment: .venv/installed

.venv/installed: envs/lock.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r envs/lock.txt
	touch $@

# After a change of the direct pins: all versions that follow from them.
lock: environment
	uv pip compile --quiet envs/requirements-dev.txt --universal --python-version 3.11 \
		--no-annotate --custom-compile-command "make lock" --output-file envs/lock.txt

clean:
	rm -rf results resources logs benchmarks reports/*.html .snakemake
