# `make demo` runs the main job on the data in data/, `make test` runs the tests.
# Both set up what they need in .venv first.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test docs sample benchmark clean

demo: $(VENV)/ready
	$(BIN)/cachestats build data/_cache --out out/dataset
	$(BIN)/cachestats info out/dataset
	$(BIN)/cachestats coverage out/dataset --rows package --columns target
	$(BIN)/cachestats plot coverage out/dataset --rows package --columns target --out out/coverage.png
	$(BIN)/cachestats report data/sample --out out/report

test: $(VENV)/ready
	$(BIN)/python -m pytest

# What is generated: the data dictionary, the reference of the command line, the notebooks' outputs and the charts.
docs: $(VENV)/ready
	$(BIN)/python docs/make.py

# The dataset in data/sample, from the indices of the corpus beside the repository.
sample: $(VENV)/ready
	rm -rf data/sample
	$(BIN)/cachestats build ../shared/corpus/mirrors --out data/sample

benchmark: $(VENV)/ready
	$(BIN)/python -m pip install -q -c constraints.txt --group benchmarks
	$(BIN)/python -m benchmarks.build

$(VENV)/ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "cachestats needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --upgrade "pip>=25.1"
	$(BIN)/python -m pip install -q -c constraints.txt --group dev -e ".[report,s3]"
	touch $@

clean:
	rm -rf $(VENV) out build
