# Everything is installed into .venv from requirements.lock; nothing else of the machine is touched.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed
TWO := -n 2 --dist loadgroup  # processes: one for the broker's tests, one for all others
PEERS := ops/bench/peers
COMPILE := uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-header

.PHONY: setup fast demo test test-full lint lock clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "doa needs Python 3.11 or later; set PYTHON=")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $(STAMP)

fast: setup
	$(BIN)/doa compile

demo: setup
	$(BIN)/doa demo

test: setup
	$(BIN)/python -m pytest -m "not full" $(TWO)

test-full: setup
	$(BIN)/python -m pytest $(TWO)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

lock:
	$(COMPILE) pyproject.toml --extra dev -o requirements.lock
	$(COMPILE) $(PEERS)/quix.in -o $(PEERS)/quix.lock
	$(COMPILE) $(PEERS)/bytewax.in -o $(PEERS)/bytewax.lock

clean:
	rm -rf .venv .doa
