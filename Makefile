# `make demo` and `make test` are all a newcomer needs; both build .venv first if it is missing.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# Stages run `python` from PATH; it has to be the environment's.
export PATH := $(CURDIR)/$(BIN):$(PATH)
unexport PYTHONPATH PYTHONHOME

.PHONY: help demo test test-fast lint format docs published browser env clean

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

published: env  ## fetch the published weights and switch params.yaml to them
	clipline weights fetch clip slowfast dinov2 videomamba --use

browser:  ## Debian's Chromium (as root) for the tests of pages, which are skipped without it
	@command -v chromedriver >/dev/null || apt-get update -q
	@command -v chromedriver >/dev/null || apt-get -o Acquire::Retries=3 install -yq \
	  --no-install-recommends chromium chromium-driver fonts-dejavu-core

env: $(READY)  ## make .venv with the pinned versions

$(READY): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { echo "error: $(PYTHON) not found; set PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,ray,openvino,s3]'
	$(BIN)/python -m pipeline_lib.runtime.torchvision_ops
	@touch $@

clean:  ## remove what the pipeline made; the demo CLIP and .venv stay
	rm -rf data/demo data/features data/mined data/index data/models data/evaluation data/tensorboard data/.scratch metrics/plots
