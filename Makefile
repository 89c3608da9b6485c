# `make demo` trains the demonstration's GPT; `make test` runs the whole suite. Both work in a fresh clone.
#
#   make test PYTHON=python3.13 VENV=.venv313 JOBS=8    another interpreter, another folder, more workers
#   make test TESTS="tests/ops -k sort"                 some of the tests

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
    $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
JOBS ?= 2
TESTS ?=
PIP := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test info notebook clean
.DELETE_ON_ERROR:

demo: $(VENV)/installed
	$(VENV)/bin/python -m flambeau demo

info: $(VENV)/installed
	$(VENV)/bin/python -m flambeau info

test: $(VENV)/installed-test
	$(VENV)/bin/python -m pytest -n $(JOBS) $(TESTS)

# The stamps are younger than what they were made from, so that a second run installs nothing.
$(VENV)/installed: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable .
	@touch $@

$(VENV)/installed-test: pyproject.toml | $(VENV)/bin/python
	$(PIP) --editable ".[test]"
	@touch $@ $(VENV)/installed

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "flambeau needs Python 3.11 or newer; name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

clean:
	rm -rf $(VENV) build dist *.egg-info demo-out .pytest_cache .mypy_cache .ruff_cache
