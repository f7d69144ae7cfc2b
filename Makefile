# `make demo` and `make test` are all a newcomer needs; both build .venv first if it is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# For `make sweep` and `make experiments`.
JOBS ?= 1
SORT ?= test.frame.balanced_accuracy
METRICS ?= test\.frame\.balanced_accuracy|metrics/coop.json:test\.video\.balanced_accuracy
# Stages run `python` from PATH; it has to be the environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONPATH PYTHONHOME

.PHONY: help demo test test-fast lint format sweep experiments docs published browser env clean

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: env  ## run the whole pipeline on the embedded data and print its metrics
	@dvc repro
	@clipline summary

test: lint  ## lint, types, import contracts and all tests
	pytest -n 2

test-fast: lint  ## the same without the tests marked slow
	pytest -n 2 -m "not slow"

lint: env  ## ruff, mypy, import-linter, and the rules of tests/test_house.py
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	pytest -q tests/test_house.py

format: env  ## let ruff repair and format
	ruff check --fix .
	ruff format .

# A grid's experiments are told apart from older ones in the queue by the names that DVC gives them.
sweep: env  ## queue a grid and run it: make sweep GRID="-S 'train.n_ctx=4,16'" JOBS=1
	@$(if $(GRID),,echo "error: no grid: make sweep GRID=\"-S 'train.n_ctx=4,16'\""; exit 2)
	@set -euo pipefail; \
	names=$$(dvc exp run --queue $(GRID) | tee /dev/stderr | sed -n "s/^Queued experiment '\(.*\)' for.*/\1/p"); \
	dvc exp run --run-all --jobs $(JOBS); \
	status=$$(dvc queue status); failed=""; \
	for name in $$names; do \
	  grep -qE "^\S+ +$$name .* Success *$$" <<< "$$status" && continue; \
	  failed="$$failed $$name"; echo; echo "$$name:"; dvc queue logs $$name | grep -v '^ERROR: failed' | tail -3 || true; \
	done; \
	[ -z "$$failed" ] || { echo "error: these failed:$$failed; see \`dvc queue logs NAME\`"; exit 1; }

experiments: env  ## this commit's experiments, best first, with the parameters in which they differ
	@dvc exp show --no-pager --only-changed --sort-by $(SORT) --sort-order desc \
	  --drop '^(?!data\.|extract\.|mine\.|train\.|evaluate\.)' --keep '^(Experiment|State|(.*:)?($(METRICS)))$$'

docs: env  ## build the documentation into site/
	python docs/site/tables.py
	NO_MKDOCS_2_WARNING=1 mkdocs build --strict -f docs/site/mkdocs.yml

published: env  ## fetch the published weights and switch params.yaml to them
	clipline weights fetch clip slowfast dinov2 videomamba --use

browser:  ## Debian's Chromium (as root) for the tests of pages, which are skipped without it
	@command -v chromedriver >/dev/null || apt-get update -q
	@command -v chromedriver >/dev/null || apt-get -o Acquire::Retries=3 install -yq \
	  --no-install-recommends chromium chromium-driver fonts-dejavu-core

env: $(READY)  ## make .venv with the pinned versions

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; set PYTHON=/path/to/python3.11"; exit 2; }
	@# One that is there is mended in place: something may be running in it.
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,ray,openvino,s3]'
	$(BIN)/python -m pipeline_lib.runtime.torchvision_ops
	@touch $@

clean:  ## remove what the pipeline made; the demo CLIP and .venv stay
	rm -rf data/demo data/features data/mined data/index data/models data/evaluation data/tensorboard data/.scratch metrics/plots
