# make demo: everything, on a real Kafka, in the foreground.   make check: the daily command.   make test: every test.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
ARGS ?=
# Where an environment forbids bytecode files, each start would compile all modules again: 8 s.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install demo check lint test test-brokers test-long bench screenshots clean

help:
	@echo "make demo         a real three-node Kafka, traffic, collectors and the web app in one process"
	@echo "make check        lint, types, unit tests: no Kafka, no browser, under 60 s"
	@echo "make test         every test, those on a real Kafka and in a real browser included"
	@echo "make test-brokers collects from older Kafkas, 3.7 and 4.0: fetches 90 MB once"
	@echo "make test-long    what does not fit into make test"
	@echo "make bench        measures, prints tables, writes var/bench/*.json"
	@echo "make screenshots  makes the pictures of the README from a running demo"

install:
	@$(PYTHON) bootstrap.py

demo: install
	@exec $(RUN) manage.py demo $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(RUN) manage.py makemigrations --check --dry-run

check: lint
	$(BIN)/pytest -q -n 2 --dist worksteal -m "not kafka and not browser and not served and not promtool and not long" $(ARGS)

test: lint
	$(BIN)/pytest -q -m "not long and not brokers" --durations=10 $(ARGS)

test-brokers: install
	$(BIN)/pytest -q -m brokers --durations=10 $(ARGS)

test-long: install
	$(BIN)/pytest -q -m long --durations=10 $(ARGS)

bench: install
	$(RUN) -m tests.bench

screenshots: install
	$(RUN) -m tests.screenshots

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
