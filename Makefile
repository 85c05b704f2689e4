# make demo: everything, on a real Kafka, in the foreground.   make check: the daily command.   make test: all but the long ones.
PYTHON ?= python3
BIN := .venv/bin
RUN := $(BIN)/python
ARGS ?=
# Where an environment forbids bytecode files, each start would compile all modules again: 8 s.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help install demo up check lint test test-brokers test-long bench bench-history bench-truth screenshots clean

help:
	@echo "make demo         a real three-node Kafka, traffic, collectors and the web app in one process"
	@echo "make check        lint, types, unit tests: no Kafka, no browser, under 60 s"
	@echo "make test         all but long tests, real Kafka and real browser included; what has a database on PostgreSQL too"
	@echo "make test-brokers collects from older Kafkas, 3.7 and 4.0: fetches 90 MB once"
	@echo "make test-long    what does not fit into make test (hours), then what that runs on SQLite alone, on PostgreSQL"
	@echo "make up           docker/compose.yaml: web, worker, beat, PostgreSQL, Valkey, a demo Kafka, Prometheus, Grafana"
	@echo "make bench        measures, prints tables, writes var/bench/*.json"
	@echo "make bench-history  of these, what history costs and how fast it is read"
	@echo "make bench-truth    lag, times and verdicts against consumers that know them, on a real Kafka: 17 minutes"
	@echo "make screenshots  makes the pictures of the README from a running demo"

install:
	@$(PYTHON) bootstrap.py

demo: install
	@exec $(RUN) manage.py demo $(ARGS)

up: docker/.env
	docker compose -f docker/compose.yaml up --build --detach --wait web
	docker compose -f docker/compose.yaml --profile demo up --detach
	docker compose -f docker/compose.yaml exec web python manage.py signinlink

docker/.env:
	@umask 077; printf 'POSTGRES_PASSWORD=%s\nSTREAMGAUGE_SECRET_KEY=%s\nGRAFANA_PASSWORD=%s\n' \
		"$$(openssl rand -hex 24)" "$$(openssl rand -hex 32)" "$$(openssl rand -hex 12)" > $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(RUN) manage.py makemigrations --check --dry-run

# What needs no other program beside: in parallel. The rest mostly waits: in three groups (tests/conftest.py), each one
# after the other.
# `make check` leaves out those that take seconds.
UNIT := not kafka and not brokers and not browser and not served and not promtool and not long
PARALLEL := -n 2 --dist worksteal
# What needs neither Kafka nor a browser runs on PostgreSQL too, served instances included: a file stays on one process,
# since its tests share one.
BOTH := not kafka and not brokers and not browser and not long
ON_POSTGRES := $(RUN) -m tests.servers

check: lint
	$(BIN)/pytest -q $(PARALLEL) -m "$(UNIT) and not slow" $(ARGS)

# Each of the three runs, whatever became of the one before; all have to be green.
test: lint
	@bad=0; \
	echo "== 1/3: unit tests on SQLite"; $(BIN)/pytest -q $(PARALLEL) -m "$(UNIT)" $(ARGS) || bad=1; \
	echo "== 2/3: without Kafka and browser, on PostgreSQL"; \
	$(ON_POSTGRES) $(BIN)/pytest -q -n 3 --dist loadfile -m "$(BOTH)" $(ARGS) || bad=1; \
	echo "== 3/3: with Kafka, browser and other programs"; \
	$(BIN)/pytest -q -n 3 --dist loadgroup -m "not long and not brokers and not ($(UNIT))" --durations=10 $(ARGS) || bad=1; \
	if [ $$bad = 0 ]; then echo "== all three runs are green"; else echo "== NOT GREEN: see above"; fi; exit $$bad

test-brokers: install
	$(BIN)/pytest -q -m brokers --durations=10 $(ARGS)

test-long: install
	@bad=0; \
	echo "== 1/2: long tests on SQLite"; $(BIN)/pytest -q -n 3 --dist loadgroup -m long --durations=0 $(ARGS) || bad=1; \
	echo "== 2/2: what make test runs on SQLite alone, on PostgreSQL"; \
	$(ON_POSTGRES) $(BIN)/pytest -q -n 3 --dist loadgroup -m "not ($(BOTH)) and not brokers and not (long and kafka)" \
		--durations=10 $(ARGS) || bad=1; \
	if [ $$bad = 0 ]; then echo "== both runs are green"; else echo "== NOT GREEN: see above"; fi; exit $$bad

bench: install
	$(RUN) -m tests.bench

bench-history: install
	$(RUN) -m tests.bench history

bench-truth: install
	$(RUN) -m tests.bench truth truth-slow

screenshots: install
	$(RUN) -m tests.screenshots

clean:
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis
