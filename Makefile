# `make help` lists the targets. Each target installs what it needs.

PYTHON ?= python3
PYTHONS := 3.11 3.12 3.13 3.14
VENV   := .venv
BIN    := $(VENV)/bin
AUDIO  ?= ../shared/data/gtzan_dev
SEED   ?= 0
PYTEST := $(BIN)/python -m pytest
WAITING := $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) * 3 / 2 )))# more than cores: these tests often wait
PARALLEL := --maxprocesses 6 --dist loadfile --no-loadscope-reorder
# TORCH=cpu installs the CPU build of torch: an environment of 2.2 GB instead of 6.
INSTALL = $(BIN)/python -m runner.install --constraint requirements.lock \
	$(if $(filter cpu,$(TORCH)),--extra-index-url https://download.pytorch.org/whl/cpu)
KERNELS = echo "Compiling the feature kernels …" && \
	$(BIN)/python -c 'import numpy; from genre.features import extract; extract(numpy.zeros(22050, "float32"), 22050)'
# The scripts in .venv/bin hold its absolute path (stored in .path): after a move it is rebuilt.
MOVED  := $(shell test ! -e $(VENV)/.path || test "$$(cat $(VENV)/.path)" -ef $(VENV) || echo moved)

export DVC_NO_ANALYTICS = 1
export DO_NOT_TRACK = 1
export PREFECT_SERVER_ANALYTICS_ENABLED = false
export MLFLOW_DISABLE_TELEMETRY = true

.DEFAULT_GOAL := help
.PHONY: help setup run app retrain up down status boot test test-quick test-slow test-all test-pythons soak lint docs bench lock moved

help:  ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.installed  ## Create .venv with the versions of requirements.lock; without CUDA: make setup TORCH=cpu

run: setup  ## Train and register a model, on demo songs or yours: make run SOURCE=<folder, archive or URL> [SHA256=…]
	@$(BIN)/python -m runner.run $(if $(SOURCE),"$(SOURCE)") $(if $(SHA256),--sha256 $(SHA256))

app: $(VENV)/.installed-app  ## Open the page that classifies songs, on 127.0.0.1
	@$(BIN)/python -m genre.cli app

retrain: setup  ## Run the Prefect flow retrain once, with retries and a record in the UI
	@$(BIN)/python -m flows.retrain

up: $(VENV)/.installed-services  ## Start the Prefect and MLflow servers and the retraining schedule, on 127.0.0.1
	@$(BIN)/python -m services.control up

down: $(VENV)/.installed-services  ## Stop the services of `make up`
	@$(BIN)/python -m services.control down

status: $(VENV)/.installed-services  ## Show the services of `make up` and their addresses
	@$(BIN)/python -m services.control status

boot: $(VENV)/.installed-services  ## Write a systemd unit that starts the services at boot, and print how to enable it
	@$(BIN)/python -m services.control boot

# In parallel: the tests often wait, lint never does.
test: $(VENV)/.installed-dev  ## Lint, type checks and the quick tests (minutes)
	@$(MAKE) --no-print-directory --jobs=2 lint test-quick

test-quick: $(VENV)/.installed-dev
	@$(PYTEST) -m "not slow" --numprocesses logical $(PARALLEL)

# The second line names its files: to collect all tests takes twenty seconds.
test-slow: $(VENV)/.installed-dev  ## The slow tests: kills, full disks, hostile files, services, documents, page
	@$(PYTEST) -m "slow and not whole_machine" --seed $(SEED) --numprocesses $(WAITING) $(PARALLEL)
	@$(PYTEST) -m whole_machine --seed $(SEED) $$(grep -l whole_machine tests/test_*.py)

test-all: test test-slow  ## All tests

test-pythons: $(VENV)/.installed-dev  ## Test decoding and features on every other installed Python, a short run on the newest
	@$(BIN)/python tests/other_pythons.py

soak: $(VENV)/.installed-dev  ## All random cases (kills, damaged files, …) of which test-all draws a few: make soak SEED=7
	@$(PYTEST) --soak --seed $(SEED) tests/test_killed_runs.py tests/test_hostile_audio.py tests/test_hostile_archives.py \
		tests/test_user_actions.py tests/test_musicnn_embedder.py

lint: $(VENV)/.installed-dev  ## ruff, mypy, import contracts, declared dependencies
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .

docs: $(VENV)/.installed-docs  ## Build the documentation, with API pages from docstrings, into site/
	@$(BIN)/mkdocs build --strict --quiet
	@echo "Open site/index.html in a browser."

bench: $(VENV)/.installed-dev  ## Time feature extraction against librosa: make bench AUDIO=<folder>
	@$(BIN)/python -m benchmarks.features --audio "$(AUDIO)"

lock: $(VENV)/.installed-dev  ## Pin the newest versions that pyproject.toml allows, the same for all Pythons
	@$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras \
		--fork-strategy fewest --no-annotate --no-header --upgrade --output-file requirements.lock pyproject.toml

moved:
	@echo "$(VENV) was moved here from $$(cat $(VENV)/.path), and its scripts hold that path: rebuilding it …"
	@rm -rf $(VENV)

# Not 3.15: numpy 2.4, scipy 1.17 and pyarrow 25 have no wheels for it. Same bounds as in pyproject.toml.
$(BIN)/python: $(MOVED)
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 15))' 2>/dev/null || { \
		for version in $(PYTHONS); do python$$version -c '' 2>/dev/null && found=$$version; done; \
		echo "error: $(PYTHON): found '$$($(PYTHON) --version 2>&1 | head -n 1)', expected Python $(PYTHONS)"; \
		test -n "$$found" || echo "None of them is installed: install one first, for example 3.13."; \
		echo "Type: make $(MAKECMDGOALS) PYTHON=python$${found:-3.13}"; exit 2; } >&2
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 2; }
	@cd $(VENV) && pwd -P >.path

$(VENV)/.installed: requirements.lock pyproject.toml $(MOVED) | $(BIN)/python
	@echo "Setting up $(VENV) (a few minutes the first time) …"
	@$(INSTALL) --editable .
	@$(KERNELS)
	@touch $@

$(VENV)/.installed-app: $(VENV)/.installed
	@$(INSTALL) --editable '.[app]'
	@touch $@

$(VENV)/.installed-docs: $(VENV)/.installed
	@$(INSTALL) --editable '.[docs]'
	@touch $@

$(VENV)/.installed-services: $(VENV)/.installed
	@$(INSTALL) --editable '.[services]'
	@touch $@

# All extras at once, which is faster than one after the other.
$(VENV)/.installed-dev: requirements.lock pyproject.toml $(MOVED) | $(BIN)/python
	@echo "Setting up $(VENV) with the development tools (a few minutes the first time) …"
	@$(INSTALL) --editable '.[dev]'
	@$(KERNELS)
	@touch $(VENV)/.installed $(VENV)/.installed-app $(VENV)/.installed-services $@
