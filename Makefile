# Set-up and CI; everything else is a command of `champion`. `make help` lists all targets.
.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
export PATH := $(CURDIR)/$(BIN):$(PATH)

UV_INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps
# A server may not be allowed to write bytecode. For pull and metrics, Python writes that of the few modules it imports.
COMPILE := --compile-bytecode
RESOLVE := $(BIN)/uv pip compile --quiet --no-header --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes
LOCK := $(RESOLVE) pyproject.toml --extra pipeline
ONLY_LOCK := $(RESOLVE) pyproject.toml -c requirements/runtime.txt

# Airflow has an environment of its own, so that its packages and the pipeline's do not limit each other.
AIRFLOW := .airflow/.installed

# The package groups that setup can add to the pipeline's environment: none, one or more of these.
GROUPS := tracking serving report s3
GROUP :=
ifneq ($(filter-out $(GROUPS),$(GROUP)),)
$(error GROUP is one or more of $(GROUPS))
endif

# A smaller environment, without the pipeline's packages: one of these.
ONLIES := serve pull metrics
ONLY :=
ifneq ($(filter-out $(ONLIES),$(ONLY))$(word 2,$(ONLY)),)
$(error ONLY is one of $(ONLIES))
endif
ifneq ($(if $(ONLY),$(GROUP)),)
$(error GROUP adds to the whole environment, so give either GROUP or ONLY)
endif
SETUP := $(if $(ONLY),$(BIN)/.only-$(ONLY),$(BIN)/.runtime $(GROUP:%=$(BIN)/.%))
# What .venv has already.
WHOLE := $(wildcard $(BIN)/.runtime)
SMALL := $(patsubst $(BIN)/.only-%,%,$(wildcard $(BIN)/.only-*))

.PHONY: help repro demo setup test test-fast test-all lint bench docs lock s3 ui airflow

help: ## list these targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

repro: $(BIN)/.runtime ## set everything up and run the pipeline: dvc repro
	@champion check
	dvc repro

demo: $(BIN)/.serving ## run the pipeline, deliver its model to this machine, serve it with traffic and show a page, until Ctrl-C
	@champion demo

setup: $(SETUP) ## set .venv up; GROUP=tracking, serving, report or s3 adds packages, ONLY=serve, pull or metrics is less
	@echo '.venv is set up. `. .venv/bin/activate` puts champion and dvc on the path.'

test: $(BIN)/.development lint ## set everything up, check style and types, and run all tests but the slow sweeps
	python -m pytest

test-fast: $(BIN)/.development ## run the unit and data tests that need no run on the whole loan file
	python -m pytest tests/unit tests/data -m "not real and not sweep"

test-all: $(BIN)/.development lint ## run all tests and the slow sweeps: more faults, tables and inputs of each kind
	python -m pytest -m "" --hypothesis-profile=thorough

lint: $(BIN)/.development ## check style, types, the import rules and the workflows
	ruff check .
	ruff format --check .
	mypy
	lint-imports
	check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	check-jsonschema --builtin-schema vendor.github-issue-forms .github/ISSUE_TEMPLATE/bug.yml .github/ISSUE_TEMPLATE/idea.yml
	check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	check-jsonschema --builtin-schema vendor.citation-file-format CITATION.cff
	actionlint
	zizmor --offline --no-progress --quiet --pedantic .github/workflows

s3: $(BIN)/.s3 ## run an S3 server on this machine, with the bucket of the default remote, until Ctrl-C
	@champion s3

ui: $(BIN)/.tracking ## serve MLflow's page with the runs of this machine, until Ctrl-C
	@champion ui

airflow: $(BIN)/.runtime $(AIRFLOW) ## run Airflow with the DAG in dags/ on this machine, until Ctrl-C
	@champion airflow

docs: $(BIN)/.development ## write the command reference and the picture of the result again
	python docs/build.py

bench: $(BIN)/.development ## measure every figure in docs/measurements.md (an hour)
	for script in tables validate noop latency batch serving predictions delivery drift search rehearsals realised replay environment; do python benchmarks/$$script.py || exit 1; done

lock: $(BIN)/.bootstrap ## resolve requirements/*.txt again from pyproject.toml
	$(LOCK) --group data -o requirements/runtime.txt
	$(RESOLVE) --group pyproject.toml:report -c requirements/runtime.txt -o requirements/report.txt
	$(RESOLVE) --group pyproject.toml:s3 -c requirements/runtime.txt -o requirements/s3.txt
	$(RESOLVE) --group pyproject.toml:tracking -c requirements/runtime.txt -o requirements/tracking.txt
	$(RESOLVE) --group pyproject.toml:airflow -o requirements/airflow.txt
	$(RESOLVE) --group pyproject.toml:serving -c requirements/runtime.txt -o requirements/serving.txt
	$(LOCK) --group data --group dev -c requirements/runtime.txt -o requirements/development.txt
	$(ONLY_LOCK) --extra serve --group serving -c requirements/serving.txt -o requirements/only-serve.txt
	$(ONLY_LOCK) --extra pull -o requirements/only-pull.txt
	$(ONLY_LOCK) --extra metrics -o requirements/only-metrics.txt

$(BIN)/.bootstrap: requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "error: Python 3.11 or newer is needed; set PYTHON=/path/to/it")'
	@echo 'making .venv and installing requirements/bootstrap.txt ...'
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv || { rm -rf .venv; exit 1; }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/bootstrap.txt
	@touch $@

$(BIN)/.runtime: $(BIN)/.bootstrap requirements/runtime.txt pyproject.toml
	@echo 'installing requirements/runtime.txt ...'
	@$(UV_INSTALL) $(COMPILE) --require-hashes -r requirements/runtime.txt
	@$(UV_INSTALL) --editable .
	@rm -f $(BIN)/.only-*
	@touch $@

# The whole environment can be added to a smaller one, whose versions are the same, but not the other way round.
$(ONLIES:%=$(BIN)/.only-%): $(BIN)/.only-%: $(BIN)/.bootstrap requirements/only-%.txt pyproject.toml
	$(if $(WHOLE),$(error .venv has the whole environment, which does all that ONLY=$* does. Remove .venv first))
	$(if $(filter-out $*,$(SMALL)),$(error .venv has the environment of ONLY=$(SMALL). Remove .venv first))
	@echo 'installing requirements/only-$*.txt ...'
	@$(UV_INSTALL) $(if $(filter serve,$*),$(COMPILE)) --require-hashes -r requirements/only-$*.txt
	@$(UV_INSTALL) --editable .
	@touch $@

$(BIN)/.report $(BIN)/.s3 $(BIN)/.serving $(BIN)/.tracking $(BIN)/.development: $(BIN)/.%: $(BIN)/.runtime requirements/%.txt
	@echo 'installing requirements/$*.txt ...'
	@$(UV_INSTALL) $(COMPILE) --require-hashes -r requirements/$*.txt
	@touch $@

$(AIRFLOW): $(BIN)/.bootstrap requirements/airflow.txt
	@echo 'making .airflow and installing requirements/airflow.txt ...'
	@$(BIN)/uv venv --quiet --allow-existing --python $(BIN)/python .airflow
	@$(BIN)/uv pip install --quiet --python .airflow/bin/python --no-deps --require-hashes -r requirements/airflow.txt
	@touch $@
