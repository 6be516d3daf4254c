# `make reproduce`, `make test`, and for those who have the time `make endurance`; all set up .venv first, once a lock file.
PYTHON ?= python3
SUITE ?= quickstart
unexport PIP_USER # a virtual environment has no user site
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: reproduce publish test endurance bench gpu-check gpu-bundle setup lint types check lock clean

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
	python -m tools.bench speed

# What travels to a GPU machine without network, and a dry run of the check here: docs/gpu.md.
gpu-check: setup
	python -m tools.gpu.prepare .gpu
	python -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp --abi cp312 --abi none \
	  --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform any -d .gpu/wheels \
	  ruamel.yaml jsonschema jsonschema-specifications referencing rpds-py jinja2 markupsafe \
	  || echo "no wheels: the check leaves out the tests that read params/"
	DRY=1 STAGES="1 2 3" PYTHON=python bash tools/gpu/check.sh
	du -sh .gpu

# METHODS of one setting and seed, packed where the measured pace lets BUDGET seconds of a GPU finish them.
METHODS ?= supervised supervised_la
BUNDLE ?= $(firstword $(METHODS))
PLACE ?= cifar10-lt/n500-m4000-l100-u100
RUNS ?= $(METHODS:%=$(PLACE)/paper/%/s0)
BUDGET ?= 450
gpu-bundle: setup
	python -m tools.gpu.fits $(RUNS) --budget $(BUDGET) $(if $(UNKNOWN_PACE),--unknown-pace)
	snakemake data/splits/$(PLACE)/s0.json
	python -m daso bundle $(RUNS) --out bundles/$(BUNDLE)
	du -sh bundles/$(BUNDLE)

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

# One thread per process, one process per core: small networks gain nothing from more threads. Bytecode is kept,
# also in a container whose environment forbids it: the tests start hundreds of processes.
check:
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 python -m pytest -m "not endurance" -n 2 --dist loadgroup

lock:
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock

clean:
	rm -rf .snakemake scratch logs benchmarks
