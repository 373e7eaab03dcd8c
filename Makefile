# make run    start a production centre, dashboard on http://localhost:5006
# make test   run every test, browser tests included
# make lint   ruff and mypy; biome and tsc for the JavaScript (needs Node 20 or newer with npm)
# make bench  the benchmarks
# make docs   the documentation as a site, in build/site
# make structure  the figures of the code's structure against their bars
# make lock   resolve constraints.txt anew (needs uv)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: run test lint bench docs structure lock clean system-packages

run: $(VENV)/.runtime
	$(BIN)/muscate up --open

test: $(VENV)/.test system-packages
	$(BIN)/python -m pytest -n 2 --dist loadgroup -m "not slow"
	$(BIN)/python -m pytest -m slow --durations=15

lint: $(VENV)/.test node_modules/.package-lock.json
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	npm run --silent lint

bench: $(VENV)/.test
	$(BIN)/python -m pytest benchmarks --benchmark-enable --benchmark-timer=time.thread_time
	$(BIN)/muscate bench tile

docs: $(VENV)/.test
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "Open build/site/index.html"

structure: $(VENV)/.test
	$(BIN)/python -m scripts.structure

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	    || { echo "Python 3.11 or newer is needed: set PYTHON=..., found $$($(PYTHON) --version)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing muscate into $(VENV) ..."
	$(PIP) --editable .
	@echo "Compiling the chain's kernels ..."
	$(BIN)/muscate warmup
	@touch $@

$(VENV)/.test: pyproject.toml constraints.txt | $(VENV)/bin/python
	@echo "Installing muscate and its tests' needs into $(VENV) ..."
	$(PIP) --editable ".[test]"
	@touch $@ $(VENV)/.runtime

# What checks the dashboard's JavaScript. Running a centre needs no Node.
node_modules/.package-lock.json: package.json package-lock.json
	@node -e 'process.exit(parseInt(process.versions.node) < 20 ? 1 : 0)' && command -v npm >/dev/null \
	    || { echo "make lint checks JavaScript with Node 20 or newer and npm, which are not here: https://nodejs.org, or on Debian 13 apt-get install nodejs npm"; exit 1; }
	npm ci --silent
	@touch $@

# A Chromium for the browser tests, and the Fortran library that the reference code 6S is linked to.
system-packages:
	@sh scripts/system_packages.sh

lock:
	uv pip compile --universal --python-version 3.11 --fork-strategy fewest --all-extras --strip-extras --no-header --no-annotate \
	    --no-emit-index-url --no-emit-find-links --upgrade pyproject.toml --output-file constraints.txt

clean:
	rm -rf $(VENV) node_modules dist build
