# `make demo` runs the main job on the data in data/, `make check` lints, checks types and runs the fast tests, and
# `make test` runs all tests. Each sets up what it needs in .venv first, and adds only what is missing there.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(BIN)/python -m pip install -q -c constraints.txt

# A worker for each core. xdist's groups would keep all tests of Spark in one worker, but xdist 3.8 ignores them with
# pytest 9.2, so that each worker starts a Spark of its own.
# The tests of a file stay together as long as no worker is idle, so that few workers make the same fixtures.
PYTEST_ARGS := -n logical --maxprocesses 8 --dist worksteal
FAST := $(PYTEST_ARGS) --hypothesis-profile quick -m "not slow and not spark and not browser and not consumers"

.PHONY: demo check fast test lowest dist pages answers docs docs-site sample example benchmark fuzz clean

demo: $(VENV)/ready-for-demo
	@echo "Builds a dataset from the three pages in data/_cache, counts and draws its coverage, and writes a report"
	@echo "about the larger dataset in data/sample. Everything is written to out/."
	$(BIN)/cachestats build data/_cache --out out/dataset
	$(BIN)/cachestats info out/dataset
	$(BIN)/cachestats coverage out/dataset --rows package --columns target
	$(BIN)/cachestats plot coverage out/dataset --rows package --columns target --out out/coverage.png
	$(BIN)/cachestats report data/sample --out out/report

check: $(VENV)/ready-for-check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest $(FAST)

# The fast tests of some files or folders, such as `make fast TESTS=tests/analysis`.
TESTS ?= tests cachestats
fast: $(VENV)/ready-for-check
	$(BIN)/python -m pytest $(FAST) $(TESTS)

test: $(VENV)/ready-for-test
	$(BIN)/python -m pytest $(PYTEST_ARGS)

# The fast tests with the lowest versions that pyproject.toml allows, in an environment of its own. Old versions warn of
# what newer ones of their own dependencies deprecate, so that warnings are no errors here.
LOWEST := build/lowest
lowest:
	$(PYTHON) -m venv --clear $(LOWEST)
	$(LOWEST)/bin/python -m pip install -q uv
	$(LOWEST)/bin/uv pip install -q --python $(LOWEST) --resolution lowest-direct --group test -e ".[interactive,report,s3]"
	$(LOWEST)/bin/python -m pytest $(FAST) -W default

# The sdist and the wheel in dist/, as a release has them.
dist: $(VENV)/ready-for-check
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*

# What is made from the code: data/DICTIONARY.md, rules.md and checks.md in docs/reference, and
# docs/contributing/layout.md. It takes seconds.
pages: $(VENV)/ready-for-check
	$(BIN)/python docs/make.py pages

# The answers to the commands in README.md and in the pages of docs, and the pictures that they draw.
answers: $(VENV)/ready-for-check
	$(BIN)/python docs/make.py answers

# The pages, the answers, and the outputs of the notebooks, which takes minutes.
docs: $(VENV)/ready-for-check
	$(BIN)/python docs/make.py

# The documentation as a site in build/site. A warning is an error.
docs-site: $(VENV)/ready-for-docs
	$(BIN)/sphinx-build --fail-on-warning --keep-going -q -b html docs build/site
	@echo "Open build/site/index.html"

# The dataset in data/sample, from the indices of the corpus beside the repository.
sample: $(VENV)/ready-for-demo
	rm -rf data/sample
	$(BIN)/cachestats build ../shared/corpus/mirrors --out data/sample

# The dataset that the package brings along for examples, and a lockfile, cut out of the same corpus.
EXAMPLE := cachestats/dataset/example_data
example: $(VENV)/ready-for-demo
	rm -rf $(EXAMPLE)
	$(BIN)/python data/make_example.py ../shared/corpus $(EXAMPLE)

# Damaged input for every parser, for as long as one wants; what fails is saved in build/fuzz. SEED=1 makes other inputs.
SECONDS ?= 60
SEED ?= 0
fuzz: $(VENV)/ready-for-check
	$(BIN)/python -m tests.fuzz --seconds $(SECONDS) --seed $(SEED)

benchmark: $(VENV)/ready-for-demo
	$(INSTALL) --group benchmarks
	$(BIN)/python -m benchmarks.build

$(VENV)/created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cachestats needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	@touch $@

$(VENV)/ready-for-demo: $(VENV)/created pyproject.toml constraints.txt
	@echo "Installing cachestats, into $(VENV)"
	$(INSTALL) -e ".[report]"
	@touch $@

$(VENV)/ready-for-check: $(VENV)/created pyproject.toml constraints.txt
	@echo "Installing cachestats and what \`make check\` needs, into $(VENV)"
	$(INSTALL) --group check -e ".[interactive,report,s3]"
	@touch $@

$(VENV)/ready-for-docs: $(VENV)/created pyproject.toml constraints.txt
	@echo "Installing cachestats and what the documentation needs, into $(VENV)"
	$(INSTALL) --group docs -e ".[interactive,report,s3]"
	@touch $@

$(VENV)/ready-for-test: $(VENV)/created pyproject.toml constraints.txt
	@echo "Installing cachestats and what all tests need, well over a gigabyte, into $(VENV)"
	$(INSTALL) --group dev -e ".[interactive,report,s3]"
	@touch $@

clean:
	rm -rf $(VENV) out build dist
