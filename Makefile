# `make demo` and `make test` work on a machine that has only Python 3.11+ and make.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
JOBS ?= auto
# The versions that are tested; empty for the newest that pyproject.toml allows.
CONSTRAINTS ?= constraints.txt

.DEFAULT_GOAL := help
RESOLVED := --quiet --extra dev --universal --no-header --no-annotate
SEEDS ?= 1000..1999
POSTGRES_TESTS := tests/engines tests/laws/test_traps.py tests/kill $(wildcard tests/commands/test_postgres_*.py)

.PHONY: help setup constraints demo test quick test-newest test-oldest test-long test-postgres fuzz check format cases bench scale docs wheel clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-14s %s\n", $$1, $$2}'

$(VENV)/.installed: pyproject.toml sqlflow/__init__.py $(CONSTRAINTS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade $(if $(CONSTRAINTS),--constraint constraints.txt) pip
	$(BIN)/python -m pip install --quiet $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS) --build-constraint constraints.txt) --editable ".[dev]"
	@touch $@

setup: $(VENV)/.installed ## create the environment in .venv, with the tested versions

constraints: setup ## resolve the tested and the oldest versions again, into constraints.txt and constraints-oldest.txt
	$(BIN)/python -m pip install --quiet uv
	printf 'pip\nhatchling\neditables\n' | $(BIN)/uv pip compile $(RESOLVED) --upgrade -o constraints.txt pyproject.toml -
	$(BIN)/uv pip compile $(RESOLVED) --resolution lowest-direct -o constraints-oldest.txt pyproject.toml

demo: setup ## build the template on real data, let a week arrive, build what changed, prove it
	@sh benchmarks/demo.sh $(abspath $(BIN))

check: setup ## formatting, lint, types and import rules
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: setup ## everything that CI runs: the checks, and beside them the tests
	@$(MAKE) --no-print-directory -j2 check tests

.PHONY: tests
tests: setup
	$(BIN)/python -m pytest -n $(JOBS) -m "not long"

quick: setup ## the tests that a change can reach, within a minute: SINCE=COMMIT, or what is not committed
	$(BIN)/python tests/quick.py $(SINCE)

test-newest: ## the tests, with the newest versions that pyproject.toml allows
	$(MAKE) setup VENV=.venv-newest CONSTRAINTS=
	.venv-newest/bin/python -m pip install --quiet --upgrade --upgrade-strategy eager --editable ".[dev]"
	.venv-newest/bin/python -m pytest -n $(JOBS) -m "not long"

test-oldest: ## the tests, with the oldest versions that pyproject.toml allows
	$(MAKE) setup VENV=.venv-oldest CONSTRAINTS=constraints-oldest.txt
	.venv-oldest/bin/python -m pytest -n $(JOBS) -m "not long"

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
	rm -rf $(VENV) .venv-newest .venv-oldest dist demo fuzz .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
