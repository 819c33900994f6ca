# What follows ## is what `make help` says, and `make` alone.
.PHONY: help demo environment check test test-all bench lock clean

export PATH := $(CURDIR)/.venv/bin:$(PATH)

help: ## This list; `make` alone prints it too
	@echo "The VGG paper, reproduced: see README.md. To begin: make demo"
	@awk -F ':.* ## ' '/^[a-z-]+:.* ## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@awk -F ' .*## ' '/^[A-Z_]+ .*## / {printf "  %-17s %s\n", $$1 "=", $$2}' $(MAKEFILE_LIST)

TORCH ?= ## cpu, torch for CPUs alone: .venv takes 2.5 GB, not 7; or cuda
TORCH_INDEX ?= ## Index of packages for TORCH=cpu, if not PyTorch's own
PYTHON ?= ## Python 3.11 to 3.13 that makes .venv, if not one on PATH

demo: environment ## The whole paper in miniature, in twelve minutes
	snakemake all --cores all --quiet rules
	@echo "Open $(CURDIR)/reports/index.html"

environment: ## .venv with all requirements; the others make it if need be
	@sh envs/install.sh

# A process has torch in its memory, about a gigabyte with what the tests of its modules keep.
PARALLEL := --numprocesses auto --maxprocesses 8 --dist loadscope

check: environment ## Lint, format and quick tests, in four minutes
	ruff check .
	ruff format --check .
	mypy
	snakefmt --check Snakefile rules
	snakemake --lint
	tests/checks/dry_runs.sh few
	python -m pytest tests/unit -m "not slow" $(PARALLEL)

test: ## The same and all other tests that need no root: 35 minutes
test-all: ## The same and all other tests, as root on Debian or Ubuntu
# Tests of the workflow one after the other: each run of Snakemake takes two cores.
test: SELECTED := -m "not slurm and not browser and not latex"
test test-all: check
	tests/checks/dry_runs.sh rest
	python -m pytest tests/unit -m slow $(PARALLEL)
	python -m pytest tests/workflow $(SELECTED)

bench: demo ## How fast this machine is: 25 minutes, and nothing else runs
	snakemake benchmarks --forcerun measure_speed --cores all --quiet rules
	@echo "Open $(CURDIR)/reports/benchmarks.html"

# All versions that follow from the direct pins.
lock: environment ## envs/lock.txt anew, after a change of the pins beside it
	uv pip compile --quiet envs/requirements-dev.txt --universal --python-version 3.11 \
		--no-annotate --custom-compile-command "make lock" --output-file envs/lock.txt

clean: ## Remove results, logs, pages and drawn images, no others
	rm -rf results logs benchmarks reports/*.html .snakemake resources/miniature resources/other_sets
