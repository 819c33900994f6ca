# make demo: the whole paper in miniature. make test: the tests. make check: lint, format, dry-runs.
# make bench: how fast this machine does it; 15 to 20 minutes, in which nothing else should run.
.PHONY: demo test check bench environment clean

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

demo: environment
	snakemake all --cores all --quiet rules
	@echo "Open $(CURDIR)/reports/index.html"

test: environment
	python -m pytest

check: environment
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile rules
	snakemake --lint
	tests/checks/dry_runs.sh

bench: demo
	snakemake benchmarks --forcerun measure_speed --cores all --quiet rules
	@echo "Open $(CURDIR)/reports/benchmarks.html"

environment: .venv/installed

.venv/installed: envs/requirements.txt envs/requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -r envs/requirements-dev.txt
	touch $@

clean:
	rm -rf results resources logs benchmarks reports/*.html .snakemake
