# Start with `make reproduce` or `make test`. Targets that run code first install requirements.lock and the project in .venv.
PYTHON ?= python3
SUITE ?= quickstart
unexport PIP_USER # a virtual environment has no user site
export PATH := $(CURDIR)/.venv/bin:$(PATH)

.PHONY: reproduce publish test quick endurance bench gpu-check gpu-bundle setup lint types check lock clean

reproduce: setup
	@snakemake --config suite=$(SUITE)

# Record the results of `snakemake` under DVC without running anything. SUITE, if given, must be the suite named in
# params/pipeline.yaml.
publish: setup
	python -m daso publish $(if $(filter file,$(origin SUITE)),,--suite $(SUITE))

test: setup lint types check

# Rules of the code, losses, methods and params: about a minute.
quick: setup
	OMP_NUM_THREADS=1 python -m pytest -q -m "not slow and not endurance" \
	  tests/test_house.py tests/ops tests/methods tests/config

# Tests that kill processes, fill disks, damage files, and start servers and a cluster: docs/reliability.md.
endurance: setup
	OMP_NUM_THREADS=1 python -m pytest -m endurance -n 2 --dist loadgroup

# About 12 minutes on two cores; nothing else should run on the machine.
bench: setup
	python -m tools.bench speed

# Prepare the files for a GPU machine without network, and run its check here on the CPU: docs/gpu.md.
gpu-check: setup
	python -m tools.gpu.prepare .gpu
	python -m pip download -q --no-deps --only-binary=:all: --python-version 3.12 --implementation cp --abi cp312 --abi none \
	  --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 --platform any -d .gpu/wheels \
	  click ruamel.yaml jinja2 markupsafe \
	  || echo "no wheels: the check leaves out the tests that read params/, and training needs click there"
	DRY=1 STAGES="1 2 3" PYTHON=python bash tools/gpu/check.sh
	du -sh .gpu

# Pack seed 0 of METHODS in the setting PLACE, if a GPU finishes these runs within BUDGET seconds at the measured pace.
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
	  || { echo "$(PYTHON) is not Python 3.11 to 3.13; name a supported one: make PYTHON=python3.12"; exit 1; }
	@echo "installing requirements.lock in .venv: about 6 GB, a few minutes"
	$(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

lint:
	ruff check .
	ruff format --check .
	snakefmt --check Snakefile workflow

types:
	mypy

# Small networks gain nothing from more than one thread. The tests start hundreds of processes, so bytecode is cached
# even where the environment forbids it.
check:
	env -u PYTHONDONTWRITEBYTECODE OMP_NUM_THREADS=1 python -m pytest -m "not endurance" -n 2 --dist loadgroup

lock:
	uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock

clean:
	rm -rf .snakemake scratch logs benchmarks
