# make run    start a production centre, dashboard on http://localhost:5006
# make test   run every test, browser tests included
# make lint   ruff, mypy, bandit, a look for secrets; biome and tsc for the JavaScript (needs Node 20 or newer with npm)
# make bench  the benchmarks
# make docs   the documentation as a site, in build/site
# make structure  the figures of the code's structure against their bars
# make lock   resolve constraints.txt and the locks with hashes anew (needs uv)

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip install --quiet --disable-pip-version-check
# What is installed is what was looked at: every file by its hash, from whatever index. Ourselves last, with nothing more.
LOCKED := $(PIP) --require-hashes --requirement
OURS   := $(PIP) --no-deps --no-build-isolation --editable .

.PHONY: run test lint bench docs structure lock clean system-packages

# Tests of a file in one process, in their order: what they have in common, servers and archives, is made once.
SHARED := -n 2 --dist loadfile --no-loadscope-reorder

run: $(VENV)/.runtime
	$(BIN)/muscate up --open

test: $(VENV)/.test system-packages
	$(BIN)/python -m pytest $(SHARED) -m "not slow"
	$(BIN)/python -m pytest $(SHARED) -m slow --durations=15

lint: $(VENV)/.test node_modules/.package-lock.json
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml processing dashboard scripts
	$(BIN)/python -m scripts.secrets
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

$(VENV)/.runtime: pyproject.toml locks/run.txt | $(VENV)/bin/python
	@echo "Installing muscate into $(VENV) ..."
	$(LOCKED) locks/run.txt
	$(OURS)
	@echo "Compiling the chain's kernels ..."
	$(BIN)/muscate warmup
	@touch $@

$(VENV)/.test: pyproject.toml locks/test.txt | $(VENV)/bin/python
	@echo "Installing muscate and its tests' needs into $(VENV) ..."
	$(LOCKED) locks/test.txt
	$(OURS)
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

# constraints.txt has the versions of everything, for who installs other extras; the locks have the hashes too.
RESOLVE := uv pip compile --universal --python-version 3.11 --fork-strategy fewest --strip-extras --no-header --no-annotate \
    --no-emit-index-url --no-emit-find-links

lock:
	$(RESOLVE) --upgrade --all-extras pyproject.toml --output-file constraints.txt
	cp constraints.txt locks/run.txt
	cp constraints.txt locks/test.txt
	$(RESOLVE) --generate-hashes pyproject.toml locks/build.in --output-file locks/run.txt
	$(RESOLVE) --generate-hashes --extra test pyproject.toml locks/build.in --output-file locks/test.txt

clean:
	rm -rf $(VENV) node_modules dist build
