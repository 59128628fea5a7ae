# Everything goes into .venv; the machine needs Python >= 3.11 and make.
#   make demo PYTHON=python3.12     another Python
#   make data TEXT8_URL=http://...  a mirror; the checksum stays

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= build-demo
TEXT8_URL ?= http://mattmahoney.net/dc/text8.zip
PYTEST ?= -q -n auto --dist worksteal
TORTURE ?=
BENCH ?=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo docs test consumers lint torture bench data clean

help: ## show this
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 14

demo: $(VENV)/installed $(DEMO)/stdlib.safetensors ## train on the standard library's own prose, look around in it
	@echo; echo '$$ embed neighbors list thread socket -k 5'
	@$(BIN)/embed neighbors list thread socket -k 5 -m $(DEMO)/stdlib.safetensors
	@echo; echo '$$ embed evaluate data/python-analogies.txt data/python-similarity.tsv'
	@$(BIN)/embed evaluate data/python-analogies.txt data/python-similarity.tsv \
		-m $(DEMO)/stdlib.safetensors

docs: $(VENV)/installed ## write the options of the commands in docs/cli.md from their help
	$(BIN)/python -m docs.reference

test: $(VENV)/installed-dev ## run the tests on all cores (PYTEST="-k config": some of them)
	$(BIN)/python -m pytest $(PYTEST)

consumers: $(VENV)/installed-consumers ## load our files in PyTorch, Keras, sentence-transformers and fastText too (2 GB)
	$(BIN)/python -m pytest -q tests/formats/test_interchange.py tests/subwords/test_subwords.py

lint: $(VENV)/installed-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

torture: $(VENV)/installed-dev ## kill, starve and misfeed runs, thousands of times (TORTURE=--short: a minute)
	$(BIN)/python -m torture $(TORTURE)

bench: $(VENV)/installed-bench ## speed and quality beside gensim (BENCH="..." is passed on)
	$(BIN)/python -m benchmarks $(BENCH)

data: data/text8.txt ## fetch text8 (31 MB, checked) to data/text8.txt

clean: ## remove everything made here but fetched data
	rm -rf $(DEMO) $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

data/text8.txt: | $(VENV)/python
	$(VENV)/bin/python examples/fetch_text8.py $@ --url $(TEXT8_URL)

$(DEMO)/stdlib.txt: examples/stdlib_corpus.py $(VENV)/python
	@mkdir -p $(DEMO)
	$(BIN)/python examples/stdlib_corpus.py $@

$(DEMO)/stdlib.safetensors: $(DEMO)/stdlib.txt configs/stdlib.yaml | $(VENV)/installed
	$(BIN)/embed train $< --config configs/stdlib.yaml -o $@

# Each stamp is a state of the environment: made, embed installed (editable), with extras.
$(VENV)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "$(PYTHON) is missing or older than 3.11: make PYTHON=python3.12" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/installed: pyproject.toml $(VENV)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

$(VENV)/installed-consumers: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev,consumers]'
	@touch $@

$(VENV)/installed-bench: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[io,bench]'
	@touch $@
