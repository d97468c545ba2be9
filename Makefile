# `make demo` and `make test` work on a machine that has only Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= auto

.DEFAULT_GOAL := help
SEEDS ?= 1000..1999
POSTGRES_TESTS := tests/engines tests/laws/test_traps.py tests/kill $(wildcard tests/commands/test_postgres_*.py)

.PHONY: help setup demo test test-long test-postgres fuzz check format cases bench scale docs wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml sqlflow/__init__.py
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	@touch $@

setup: $(VENV)/.installed ## create the environment in .venv

demo: setup ## build the template on real data, let a week arrive, build what changed, prove it
	@sh benchmarks/demo.sh $(abspath $(BIN))

check: setup ## formatting, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check ## everything that CI runs
	$(BIN)/python -m pytest -n $(JOBS) -m "not long"

$(VENV)/formatters/.installed: tests/formatters.txt
	$(PYTHON) -m venv $(VENV)/formatters
	$(VENV)/formatters/bin/python -m pip install --quiet -r tests/formatters.txt
	@touch $@

test-long: setup $(VENV)/formatters/.installed ## longer runs of the laws and the kill tests, and real formatters
	$(BIN)/python -m pytest -n $(JOBS) -m long

# SQLFLOW_TEST_POSTGRES_URL and SQLFLOW_TEST_POSTGRES_BIN choose the server: see CONTRIBUTING.md.
test-postgres: setup ## the tests that run on PostgreSQL
	$(BIN)/python -m pytest -n $(JOBS) -m "not long" $(POSTGRES_TESTS)
	$(BIN)/python -m pytest -n $(JOBS) -m "not long" tests/test_docs.py -k postgres

fuzz: setup ## random queries and changes: SEEDS=1000..1999, failing cases are printed and kept in fuzz/
	PYTHONPATH=tests $(BIN)/python -m fuzz --seeds $(SEEDS) --out fuzz

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

cases: setup ## rewrite the expected output of the Markdown cases
	$(BIN)/python -m pytest tests/test_cases.py --update-cases

bench: setup ## measure against a plain script
	$(BIN)/python benchmarks/measure.py

scale: setup ## measure compiling 100 to 10,000 models, and draw docs/scaling.svg
	$(BIN)/python benchmarks/scale.py --svg docs/scaling.svg

docs: setup ## write the generated reference pages
	$(BIN)/python docs/generate.py

wheel: setup ## build the wheel into dist/
	$(BIN)/python -m build --wheel --outdir dist

clean: ## remove what these targets made
	rm -rf $(VENV) dist demo fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
