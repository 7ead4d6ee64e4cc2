# Needs only make and a Python with venv; everything else lands in .venv.

PYTHON ?= python3
# More workers than this fight for cores with the servers that tests start.
TEST_WORKERS ?= 4
# By default a worker gets hundreds of tests at a time, and one would get all that start servers.
TEST_CHUNK = 8
# Passed on: make test ARGS="-k mailbox", make lock ARGS="--upgrade-package trio"
ARGS ?=

BIN := .venv/bin
CODE = actors web tests benchmarks examples

# The functions that say when they have started: in an open_…() they belong in nursery.start.
STARTABLE := run,_run,supervise,serve,_reload_at_signal,hold_back,write_log,_crash_at_signals
# Quart takes a handler that is not async to a thread, so those that never wait are async as well.
HANDLERS := *.get,*.post,*.errorhandler
# It takes files only. ASYNC9 (a checkpoint on every path) is for libraries, and ASYNC128 does not
# see that a status may be handed on to the one who starts. It is slow, so it gets no file that
# knows nothing of its matter.
FLAKE8_ASYNC = $(BIN)/flake8-async --disable=ASYNC9,ASYNC128 --startable-in-context-manager=$(STARTABLE) \
	--no-checkpoint-warning-decorators='$(HANDLERS)'

.DEFAULT_GOAL := help
# `check` runs its steps in order, so that the tests have the last word.
.NOTPARALLEL:
.PHONY: help serve test check format-check lint types imports bench soak chaos gallery docs format \
	fuzz audit sbom lock clean

help:  ## Say what there is to make
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' Makefile

serve: .venv/.runtime  ## Start the service
	@exec $(BIN)/calotype serve $(ARGS)

test: .venv/.test  ## Run the tests (ARGS goes to pytest)
	@$(BIN)/python -m pytest -n auto --maxprocesses=$(TEST_WORKERS) \
		--maxschedchunk=$(TEST_CHUNK) $(ARGS)

check: format-check lint types imports test  ## Run everything that CI runs

format-check: .venv/.test  ## Is the code formatted?
	@$(BIN)/ruff format --check --quiet --diff $(CODE)

lint: .venv/.test  ## Lint, and look for mistakes in async code
	@$(BIN)/ruff check --quiet $(CODE)
	@grep -rlE --include='*.py' 'async|trio' $(CODE) | xargs -n 8 -P 2 $(FLAKE8_ASYNC)

types: .venv/.test  ## Check the types
	@$(BIN)/mypy --no-error-summary $(CODE)

imports: .venv/.test  ## Check who imports whom
	@$(BIN)/lint-imports --no-logo

bench: .venv/.test  ## Measure (ARGS goes to the benchmark)
	@$(BIN)/python -m benchmarks $(ARGS)

soak: .venv/.test  ## Half an hour of load, and whether anything leaks (ARGS: --minutes 5 --plot soak.png)
	@$(BIN)/python -m benchmarks.soak $(ARGS)

chaos: .venv/.test  ## Crash the service under load, and check what it promised (ARGS="--seed 7 --seconds 60")
	@$(BIN)/python -m tests.chaos $(ARGS)

gallery: .venv/.test  ## Write a page with every operation, before and after: gallery/index.html
	@$(BIN)/python -m tests.gallery gallery

docs: .venv/.test  ## Write anew what docs/recipes.md says of the code
	@$(BIN)/python -m tests.docs.reference

format: .venv/.test  ## Format, and mend what can be mended without thought
	@$(BIN)/ruff check --fix-only --quiet $(CODE)
	@$(BIN)/ruff format $(CODE)

fuzz: .venv/.test  ## Give our parsers what chance makes of good input (ARGS="--minutes 5 --seed 1")
	@$(BIN)/python -m tests.fuzz $(ARGS)

# It asks a service on the internet, so `check` does without it. What could not be looked up fails it.
audit: .venv/.test  ## Is a fault known of what is locked? Needs the internet
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner=off $(ARGS) \
		-r requirements/build.txt -r requirements/runtime.txt -r requirements/test.txt

sbom: .venv/.test  ## Write the bill of materials, in CycloneDX: calotype.cdx.json
	@$(BIN)/python -m tests.supply.bill calotype.cdx.json

# Resolved for every supported Python and platform at once; what is locked stays
# as it is unless ARGS says otherwise, as in ARGS=--upgrade.
COMPILE = $(BIN)/uv pip compile --quiet --no-config --universal --python-version 3.11 \
	--fork-strategy fewest --generate-hashes --custom-compile-command "make lock" $(ARGS)

lock: .venv/.test  ## Write the requirements anew from pyproject.toml
	$(COMPILE) -o requirements/build.txt --group pyproject.toml:build
	$(COMPILE) -o requirements/runtime.txt -c requirements/build.txt pyproject.toml
	$(COMPILE) -o requirements/test.txt -c requirements/build.txt -c requirements/runtime.txt \
		--extra plot --group test --group lint --group supply --group lock pyproject.toml

clean:  ## Remove what make has made (the service's data stays)
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist gallery \
		calotype.cdx.json
	find . -name __pycache__ -type d -prune -exec rm -rf {} +


PIP = $(BIN)/python -m pip --disable-pip-version-check --quiet

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and \
	    "Calotype needs Python 3.11 or newer, and $(PYTHON) is %d.%d. Try: make PYTHON=python3.12" \
	    % sys.version_info[:2])'
	$(PYTHON) -m venv .venv

.venv/.runtime: requirements/build.txt requirements/runtime.txt pyproject.toml | .venv/bin/python
	$(PIP) install --require-hashes -r requirements/build.txt -r requirements/runtime.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.test: requirements/test.txt .venv/.runtime
	$(PIP) install --require-hashes -r requirements/test.txt
	@touch $@
