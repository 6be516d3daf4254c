# `make reproduce`, `make test`, and for those who have the time `make endurance`; all set up .venv first, once a lock file.
PYTHON ?= python3
SUITE ?= quickstart
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: reproduce publish test endurance bench setup lint types check lock clean

reproduce: setup
	snakemake --config suite=$(SUITE)
	@echo "The report: reports/$(SUITE)/index.html"

# What has been run is recorded under DVC, nothing runs again; SUITE only where it is said, to be sure.
publish: setup
	python -m daso publish $(if $(filter file,$(origin SUITE)),,--suite $(SUITE))

test: setup lint types check

# Real processes killed, disks filled, files damaged, servers and a cluster started: docs/reliability.md.
endurance: setup
	OMP_NUM_THREADS=1 python -m pytest -m endurance -n 2 --dist loadgroup

# A quarter of an hour on two cores, with nothing else running there.
bench: setup
	python -m daso bench

setup: .venv/.installed

.venv/.installed: requirements.lock
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  || { echo "$(PYTHON) is not Python 3.11 to 3.13; name another: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	touch $@

lint:
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow

types:
	mypy

# One thread per process, one process per core: small networks gain nothing from more threads.
check:
	OMP_NUM_THREADS=1 python -m pytest -m "not endurance" -n 2 --dist loadgroup

lock:
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock

clean:
	rm -rf .snakemake scratch logs benchmarks
