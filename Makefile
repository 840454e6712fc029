# Every target does its own set-up when something is missing, and none when all is there.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
FOLDERS := pipeline encoders decoders datasets configs
# Keep the working directory off sys.path: our folders have names that others use.
export PYTHONSAFEPATH := 1

.PHONY: help setup demo test test-all lint format bench fuzz-encode ready-heads wheel types clean
help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(READY)  ## make .venv and install the project into it, editable

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(0 if (3, 11) <= sys.version_info < (3, 14) else "reelscribe needs Python 3.11 to 3.13, this is %d.%d; name another: make PYTHON=python3.11 setup" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: setup  ## the whole mission on made clips: minutes, offline, no GPU
	$(BIN)/reelscribe demo --out build/demo

test: setup  ## the tests, without the slow ones
	$(BIN)/pytest -m 'not slow and not gpu'

test-all: test  ## the slow tests too, and those for a GPU where there is one
	$(BIN)/pytest -m 'slow or gpu'

lint: setup types  ## formatting, lint, strict types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

format: setup  ## put the formatting right
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## every benchmark; prints tables, writes build/bench/NAME.json
	@for file in tests/benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

bench-%: setup
	$(BIN)/python tests/benchmarks/bench_$*.py

fuzz-encode: setup  ## 1,000 damaged videos through the encode stage
	$(BIN)/python tests/fuzz_encode.py

ready-heads: setup  ## train the heads that ship again, from real clips
	$(BIN)/python tests/ready_heads.py

wheel: setup  ## build the wheel and the sdist into dist/
	$(BIN)/python -m build --no-isolation --outdir dist .

types:
	@mkdir -p build/types/reelscribe
	@for f in $(FOLDERS); do ln -sfn ../../../$$f build/types/reelscribe/$$f; done

clean:  ## remove what was built, not the feature store
	rm -rf $(VENV) build dist *.egg-info
