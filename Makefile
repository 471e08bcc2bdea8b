# `make demo` and `make test` are all a newcomer needs; `make help` lists the rest.
.DEFAULT_GOAL := help
.PHONY: help demo ui test test-ui test-servers truth proof lint format types sql-lint load-check bench docs check clean
SHELL := /bin/bash

# The first that runs and is of a version that the hub supports.
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { command -v $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime
DEV := $(VENV)/.dev
# Many tests wait for other processes, so that there is one more at work than there are processors.
WORKERS ?= 3

help: ## List what make can do
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1\t\2/' | expand -t 16

$(VENV)/bin/python:
	@[ -n "$(PYTHON)" ] || { echo "Python 3.11 to 3.13 is needed; name it: make PYTHON=/path/to/python3.12"; exit 2; }
	@"$(PYTHON)" -m venv $(VENV) \
		|| { rm -rf $(VENV); echo "This Python cannot make virtual environments (on Debian: apt-get install python3-venv)"; exit 2; }

$(RUNTIME): requirements.txt pyproject.toml | $(VENV)/bin/python
	@echo "🔄 Installing what the hub needs"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

$(DEV): requirements-dev.txt $(RUNTIME)
	@echo "🔄 Installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@touch $@

demo: $(RUNTIME) ## The whole hub over a simulated campus: first run, one day later, summary
	@$(BIN)/lsats demo

ui: $(RUNTIME) ## Dagster's UI on loopback over the demo data
	@$(BIN)/lsats demo --days 0 --ui

test: $(DEV) ## All tests that need no browser and no server of others
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal --ignore=lsats_dagster_tests/ui --ignore=lsats_dagster_tests/servers

test-ui: $(DEV) ## Dagster's UI over the demo data, in Chromium; UPDATE_SCREENSHOT=1 renews the README's picture
	@$(BIN)/python -m pytest lsats_dagster_tests/ui

test-servers: $(DEV) ## The client of directories against OpenLDAP's slapd, which must be installed (on Debian: apt-get install slapd)
	@$(BIN)/python -m pytest lsats_dagster_tests/servers

truth: $(DEV) ## The hub against the true identities of simulated campuses, day by day, beside the peer's rules; some minutes
	@LSATS_PROOF=1 $(BIN)/python -m pytest -n $(WORKERS) lsats_dagster_tests/truth

proof: $(DEV) ## Everything in depth, wrong lines that tests must see, Dagster's UI; up to an hour: nightly, before a release
	@$(BIN)/python -m lsats_dagster_tests.proof --workers $(WORKERS)

lint: $(DEV) ## Style of the Python code
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .

format: $(DEV) ## Bring Python and SQL into style
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format . && $(BIN)/sqlfluff fix --quiet sql

types: $(DEV) ## Types of the package
	@$(BIN)/mypy

sql-lint: $(DEV) ## Style of the SQL
	@$(BIN)/sqlfluff lint --processes $(WORKERS) sql

load-check: $(DEV) ## Whether Dagster can load the hub, by both of its ways
	@# The hub's dagster.yaml wants a storage; loading code needs none.
	@home=$$(mktemp -d) && touch $$home/dagster.yaml && trap "rm -rf $$home" EXIT \
		&& DAGSTER_HOME=$$home $(BIN)/dg check defs \
		&& DAGSTER_HOME=$$home $(BIN)/dagster definitions validate -w workspace.yaml

bench: $(DEV) ## How fast the engines are, beside plain COPY, INSERT and ldap3; some minutes, never part of the tests
	@$(BIN)/python -m benchmarks

docs: $(RUNTIME) ## Write the data dictionary and .env.example from the code
	@$(BIN)/lsats db docs

check: lint types sql-lint load-check test test-ui test-servers ## Everything that CI checks

clean: ## Remove the environment and all demo data
	@# The command knows where the server keeps its files, which may be outside of this folder.
	@if [ -d "$${LSATS_HOME:-.lsats}" ]; then [ -x $(BIN)/lsats ] || $(MAKE) --no-print-directory $(RUNTIME); $(BIN)/lsats clean --yes; fi
	@rm -rf $(VENV) .lsats .pytest_cache .mypy_cache .ruff_cache .hypothesis .dg
