# Everything a checkout needs, from Python 3.11 or newer alone: each target sets itself up. `make help` lists them.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --quiet --quiet --disable-pip-version-check --no-input

# Folders with Python code; those that are not there yet are left out.
CODE := $(wildcard guardrails migrations tests bench)

# The interpreter that makes the virtual environment: PYTHON where it is new enough, else the newest that is found.
IS_NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
CANDIDATES = $(PYTHON) python3.14 python3.13 python3.12 python3.11

.PHONY: help demo test bench lint types layers check format schema wheel clean
.DEFAULT_GOAL := help

help:
	@echo 'make demo    the whole story in a fresh folder (demo/), offline: budgets, decisions, the audit report'
	@echo 'make test    the whole suite, on SQLite and PostgreSQL'
	@echo 'make bench   every benchmark: ratios against floors and peers, minutes'
	@echo 'make check   lint, types and layers'
	@echo 'make format  what lint can mend by itself'
	@echo 'make schema  policies/schema.json, generated from the code'
	@echo 'make wheel   the package as it is published, in dist/'
	@echo 'make clean   removes what make has made'

demo: $(VENV)/.installed
	@rm -rf demo && mkdir demo
	@cd demo && ../$(BIN)/guardrails demo

test: $(VENV)/.installed-dev
	@$(BIN)/python -m pytest $(ARGS)

bench: $(VENV)/.installed-dev
	@for name in pure load_rules single durable import_rows replay; do $(BIN)/python -m bench.$$name || exit 1; done

lint: $(VENV)/.installed-dev
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev
	@$(BIN)/python -m mypy $(CODE)

layers: $(VENV)/.installed-dev
	@$(BIN)/lint-imports --no-logo

check: lint types layers

format: $(VENV)/.installed-dev
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

schema: $(VENV)/.installed-dev
	@$(BIN)/guardrails policy schema > policies/schema.json

wheel: $(VENV)/.installed
	@$(PIP) wheel --no-deps --wheel-dir dist .

clean:
	@rm -rf $(VENV) demo dist build .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# A stamp is as old as what was installed: a second run installs nothing unless pyproject.toml has changed since.
$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo 'installing guardrails into $(VENV)'
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo 'installing guardrails and what its tests need into $(VENV)'
	@$(PIP) install --upgrade 'pip>=25.1'  # the first that knows --group
	@$(PIP) install --editable . --group dev
	@touch $(VENV)/.installed $@

$(BIN)/python:
	@for python in $(CANDIDATES); do \
	  if $$python -c '$(IS_NEW_ENOUGH)' 2>/dev/null; then \
	    echo "making $(VENV) with $$($$python --version)"; \
	    exec $$python -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo "guardrails needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>/dev/null || echo missing). Name another: make PYTHON=/path/to/python3.12" >&2; \
	exit 1
