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

.PHONY: help repro test test-fast test-all lint as-of reproduce check-lock gate diff compare report track ui register challenge ready deploy \
	smoke promote smoke-or-roll-back notify checkout pull push resolve-lock s3 comment data-docs bench docs lock

help: ## list these targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

repro: $(BIN)/.runtime ## set everything up and run the pipeline: dvc repro
	@champion check
	dvc repro

test: $(BIN)/.development lint ## set everything up, check style and types, and run the whole suite
	python -m pytest

test-fast: $(BIN)/.development ## the unit and data tests that need no run on the whole loan file
	python -m pytest tests/unit tests/data -m "not real and not sweep"

test-all: $(BIN)/.development lint ## the suite and its slow sweeps, which stop deliveries at every line and S3 in the middle of a transfer
	python -m pytest -m ""

lint: $(BIN)/.development ## ruff, mypy, the import rules, and the workflows
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	actionlint
	zizmor --offline --no-progress --quiet --pedantic .github/workflows

as-of: $(BIN)/.runtime ## move the date of the dataset, in params.yaml, to CHAMPION_AS_OF
	champion as-of "$$CHAMPION_AS_OF"

reproduce: $(BIN)/.runtime ## run the pipeline of HEAD again in a clone: every output must be bit for bit the same
	champion reproduce

check-lock: $(BIN)/.runtime ## the same without data, in seconds: is the committed dvc.lock stale?
	champion reproduce --fast

gate: $(BIN)/.runtime ## fail unless the evaluated model is the one on disk and passes every gate
	champion gate

diff: $(BIN)/.runtime ## DVC's own account of changed metrics and params, against CHAMPION_BASE (origin/main)
	dvc metrics diff --all "$${CHAMPION_BASE:-origin/main}"
	dvc params diff --all "$${CHAMPION_BASE:-origin/main}"

compare: $(BIN)/.runtime ## fail when a metric fell, against CHAMPION_BASE, beyond its tolerance
	champion compare --allow-no-baseline

report: $(BIN)/.runtime $(BIN)/.report ## what a pull request would show against CHAMPION_BASE: Markdown and HTML in reports/change
	champion report --output reports/change/report.md --html reports/change/report.html

register: $(BIN)/.runtime ## make the model on disk a version, in the registry of ENVIRONMENT
	champion register

challenge: $(BIN)/.runtime ## the newest version against the champion: fail when it loses
	champion challenge

ready: $(BIN)/.runtime ## smoke test the champion in the registry
	champion ready

deploy: $(BIN)/.runtime ## serve the champion in ENVIRONMENT
	champion deploy champion

smoke: $(BIN)/.runtime ## smoke test what ENVIRONMENT serves
	champion smoke

promote: $(BIN)/.runtime ## serve in ENVIRONMENT what passed in the one before it
	champion promote

smoke-or-roll-back: $(BIN)/.runtime ## smoke test what ENVIRONMENT serves; when it fails, serve the version before
	champion smoke --or-roll-back

notify: $(BIN)/.runtime ## send CHAMPION_MESSAGE to the webhook of CHAMPION_WEBHOOK_URL
	champion notify "$$CHAMPION_MESSAGE"

checkout: $(BIN)/.runtime ## put what this machine's cache has of the data and the model in place
	dvc checkout --allow-missing

pull: $(BIN)/.runtime ## fetch what the remote has of the data and the model; dvc repro makes the rest
	champion pull --allow-missing

push: $(BIN)/.runtime ## send what the committed lock names to the remote
	champion push

resolve-lock: $(BIN)/.runtime ## after a merge conflict in dvc.lock: run what the merge changed, and stage the result
	champion resolve-lock

s3: $(BIN)/.s3 ## an S3 server on this machine, with the bucket of the default remote, until Ctrl-C
	@champion s3

track: $(BIN)/.runtime $(BIN)/.tracking ## log what dvc repro left to MLflow
	@champion track

ui: $(BIN)/.runtime $(BIN)/.tracking ## MLflow's page for what was tracked on this machine, until Ctrl-C
	@champion ui

# Needs no environment: the job that may write to pull requests installs nothing.
comment:
	PYTHONPATH=src $(PYTHON) -m champion.report.comment "$$REPORT"

data-docs: $(BIN)/.runtime ## Great Expectations' pages about the data, in reports/data-docs
	champion data-docs

docs: $(BIN)/.development ## write the command reference and the picture of the result again
	python docs/build.py

bench: $(BIN)/.development ## measure every figure that the docs quote (half an hour)
	for script in tables validate noop latency delivery search; do python benchmarks/$$script.py || exit 1; done

lock: $(BIN)/.bootstrap ## resolve requirements/*.txt again from pyproject.toml
	$(LOCK) --group data -o requirements/runtime.txt
	$(RESOLVE) --group pyproject.toml:report -c requirements/runtime.txt -o requirements/report.txt
	$(RESOLVE) --group pyproject.toml:s3 -c requirements/runtime.txt -o requirements/s3.txt
	$(RESOLVE) --group pyproject.toml:tracking -c requirements/runtime.txt -o requirements/tracking.txt
	$(LOCK) --group data --group dev -c requirements/runtime.txt -o requirements/development.txt

$(BIN)/.bootstrap: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; set PYTHON=/path/to/it")'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/bootstrap.txt
	@touch $@

$(BIN)/.runtime: $(BIN)/.bootstrap requirements/runtime.txt pyproject.toml
	@$(UV_INSTALL) --compile-bytecode --require-hashes -r requirements/runtime.txt
	@$(UV_INSTALL) --editable .
	@touch $@

$(BIN)/.report: $(BIN)/.runtime requirements/report.txt
	@$(UV_INSTALL) --compile-bytecode --require-hashes -r requirements/report.txt
	@touch $@

$(BIN)/.s3: $(BIN)/.runtime requirements/s3.txt
	@$(UV_INSTALL) --compile-bytecode --require-hashes -r requirements/s3.txt
	@touch $@

$(BIN)/.tracking: $(BIN)/.runtime requirements/tracking.txt
	@$(UV_INSTALL) --compile-bytecode --require-hashes -r requirements/tracking.txt
	@touch $@

$(BIN)/.development: $(BIN)/.runtime requirements/development.txt
	@$(UV_INSTALL) --compile-bytecode --require-hashes -r requirements/development.txt
	@touch $@
