# The vocabulary of this repository, for people, hooks and CI alike. `make help` lists it.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

UV_INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps
RESOLVE := $(BIN)/uv pip compile --quiet --no-header --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes
LOCK := $(RESOLVE) pyproject.toml

.PHONY: help repro test lint reproduce check-lock data-docs bench docs lock

help: ## list these targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

repro: $(BIN)/.runtime ## set everything up and run the pipeline: dvc repro
	@champion check
	dvc repro

test: $(BIN)/.development lint ## set everything up, check style and types, and run the whole suite
	python -m pytest

lint: $(BIN)/.development ## ruff, mypy and the import rules
	ruff check .
	ruff format --check .
	mypy
	lint-imports

reproduce: $(BIN)/.runtime ## run the pipeline of HEAD again in a clone: every output must be bit for bit the same
	champion reproduce

check-lock: $(BIN)/.runtime ## the same without data, in seconds: is the committed dvc.lock stale?
	champion reproduce --fast

data-docs: $(BIN)/.runtime ## Great Expectations' pages about the data, in reports/data-docs
	champion data-docs

lock: $(BIN)/.bootstrap ## resolve requirements/*.txt again from pyproject.toml
	$(LOCK) --group data -o requirements/runtime.txt
	$(RESOLVE) --group pyproject.toml:s3 -c requirements/runtime.txt -o requirements/s3.txt
	$(LOCK) --group data --group dev -c requirements/runtime.txt -o requirements/development.txt

$(BIN)/.bootstrap: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; set PYTHON=/path/to/it")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/bootstrap.txt
	@touch $@

$(BIN)/.runtime: $(BIN)/.bootstrap requirements/runtime.txt pyproject.toml
	@$(UV_INSTALL) --compile-bytecode --require-hashes -r requirements/runtime.txt
	@$(UV_INSTALL) --editable .
	@touch $@

$(BIN)/.s3: $(BIN)/.runtime requirements/s3.txt
	@$(UV_INSTALL) --compile-bytecode --require-hashes -r requirements/s3.txt
	@touch $@

$(BIN)/.development: $(BIN)/.runtime requirements/development.txt
	@$(UV_INSTALL) --compile-bytecode --require-hashes -r requirements/development.txt
	@touch $@
