# Ruam. `make demo` shows it, `make test` proves it; both set up what they need and are safe to repeat.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export RUAM_HOME ?= $(CURDIR)/data
FACILITIES ?= 300
MONTHS ?= 12
SEED ?= 1
SCALE ?= 1
SERVE ?= 1
SECONDS ?= 3600
FHIR_SETS ?=
COUNTRY := $(RUAM_HOME)/synthetic/$(FACILITIES)-$(MONTHS)-$(SEED)-$(SCALE)

.PHONY: help setup demo test test-slow lint proof fuzz bench bench-all bench-pages bench-spark bench-tools spark spark-tools java profile browser screenshots services provider lock clean

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(STAMP) ## Install the pinned packages into .venv.

$(STAMP): requirements.lock pyproject.toml
	@echo "▸ setting up $(VENV) (about a minute)"
	@python="$$(command -v $(PYTHON) || command -v python3)"; \
	"$$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' \
	  || { echo "Python 3.11 is needed; set PYTHON=/path/to/python3.11." >&2; exit 1; }; \
	"$$python" -m venv --clear $(VENV) >/dev/null 2>&1 || { \
	  echo "▸ python3-venv is missing; installing it"; \
	  { apt-get update -q && apt-get install -y -q python3-venv; } >/dev/null 2>&1 \
	    || { echo "Install Debian's python3-venv (as root: apt-get install python3-venv), then try again." >&2; exit 1; }; \
	  "$$python" -m venv --clear $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Generate a country, ingest, build, publish, and serve it (SERVE=0 stops before serving).
	@$(BIN)/ruam init
	@test -e "$(COUNTRY)/truth/truth.json" || $(BIN)/ruam synth "$(COUNTRY)" \
	  --facilities $(FACILITIES) --months $(MONTHS) --seed $(SEED) --scale $(SCALE)
	@$(BIN)/ruam reference load registry "$(COUNTRY)/registry.csv"
	@$(BIN)/ruam reference load drugs "$(COUNTRY)/drugs.csv"
	@$(BIN)/ruam run "$(COUNTRY)/deliveries"
	@$(BIN)/ruam status
	@if [ "$(SERVE)" = 0 ]; then echo "▸ done; '$(BIN)/ruam serve --demo' shows the pages"; else \
	  echo "▸ choose a demo user (the analyst sees most), then look at: ภาพรวม (13 regions on one page), การใช้บริการ (who uses what, where), ความก้าวหน้า (plan against fact)"; \
	  $(BIN)/ruam serve --demo; fi

test: setup browser services provider lint ## Lint, types, and the tests but for the slow ones: twelve minutes.
	@echo "▸ tests"
	@$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder -m "not slow"

test-slow: setup browser services provider ## The slow tests: pages in a browser, orders of arrival, days of builds, faults, places; a quarter of an hour.
	@echo "▸ slow tests"
	@$(BIN)/python -m pytest --numprocesses 2 --no-loadscope-reorder -m slow

lint: setup ## ruff, mypy, sqlfluff.
	@echo "▸ ruff"; $(BIN)/ruff check . && $(BIN)/ruff format --check --quiet .
	@echo "▸ mypy"; $(BIN)/mypy
	@echo "▸ sqlfluff"; $(BIN)/sqlfluff lint --disable-progress-bar --processes 2 models tests/dbt

proof: setup ## Slow proofs: 210 kills over three seeds, kills of a key change, canaries, thirty days, the demo country, large deliveries, and published FHIR sets if FHIR_SETS is their folder.
	@RUAM_TEST_KILLS=210 $(BIN)/python -m pytest tests/ingestion/test_exactly_once.py tests/ingestion/test_rotation.py
	@RUAM_TEST_CANARIES=1 $(BIN)/python -m pytest tests/security/test_canaries.py
	@RUAM_TEST_DAYS=30 $(BIN)/python -m pytest tests/warehouse/test_incremental.py
	@RUAM_TEST_COUNTRY=demo $(BIN)/python -m pytest tests/test_end_to_end.py tests/test_fhir_memory.py
	@RUAM_TEST_FHIR_SETS="$(FHIR_SETS)" $(BIN)/python -m pytest tests/ingestion/test_fhir_sets.py

fuzz: setup ## Fuzz the readers of zips, lines and dBase, SECONDS in all (3600); what is found is kept for the tests.
	@for target in zip_reader line_reader dbf_reader; do \
	  echo "▸ fuzzing $$target"; \
	  $(BIN)/python -m tests.fuzz $$target --seconds $$(( $(SECONDS) / 3 )); \
	  $(BIN)/python -m tests.fuzz $$target --keep; \
	done

bench: setup ## The short benchmarks in one table, each line a ratio with a peer of the same run, kept in benchmarks/history (a quarter of an hour); with Spark and ClickHouse after `make bench-tools`.
	@$(BIN)/python -m benchmarks

bench-all: bench ## The slow ones too: small zips, memory, thirty days, pseudonyms, linkage, the warehouse, measures, a day's build, regions side by side (hours).
	@$(BIN)/python -m benchmarks.small_zips
	@$(BIN)/python -m benchmarks.memory
	@$(BIN)/python -m benchmarks.scan
	@$(BIN)/python -m benchmarks.pseudonyms
	@$(BIN)/python -m benchmarks.linkage
	@$(BIN)/python -m benchmarks.overlaps
	@$(BIN)/python -m benchmarks.formulations
	@$(BIN)/python -m benchmarks.build
	@$(BIN)/python -m benchmarks.incremental
	@$(BIN)/python -m benchmarks.checkpoint
	@$(BIN)/python -m benchmarks.regions

bench-pages: setup ## What `make demo` published, under 20 people who change filters and 200 open sessions.
	@$(BIN)/python -m benchmarks.pages

bench-spark: bench-tools java ## Ingestion against Spark too (480 MB to install; needs Java 17 or later).
	@$(BIN)/python -m benchmarks.ingest --spark

spark: spark-tools java ## Build and publish one landing on DuckDB and on a Spark cluster of this machine, and compare every table (500 MB to install); MODELS="+fct_visits" for some, SYNTHETIC=1 for a generated country, KILL=1 to lose a worker, UNIT=1 for the models' unit tests there, THROUGH=connect or thrift for a server that drives it.
	@$(BIN)/python -m tests.spark $(if $(SYNTHETIC),--synthetic) $(if $(MODELS),--select $(MODELS)) $(if $(KILL),--kill) $(if $(UNIT),--unit) $(if $(THROUGH),--through $(THROUGH))

java: ## Install Java for Spark, where this user may.
	@command -v java >/dev/null || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null \
	  && { apt-get update -q && apt-get install -y -q --no-install-recommends default-jre-headless; } >/dev/null 2>&1; } \
	  || { echo "Spark needs Java 17 or later: install Debian's default-jre-headless (as root), then try again." >&2; exit 1; }

# The extra `spark` is not in the lock either. Without asking for needs: dbt-core names one that it does not use and PyPI cannot give.
spark-tools: setup
	@$(BIN)/python -c 'import pyspark, dbt.adapters.spark, grpc_status, pyhive' 2>/dev/null || { echo "▸ installing pyspark and dbt-spark"; \
	  $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["spark"], sep="\n")' \
	  | $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --requirement /dev/stdin; }

profile: bench-tools ## Draw the flame graph of landing into docs/decisions/hot-path.svg.
	@$(BIN)/python -m benchmarks.profile_ingest

# The extra `bench` is not in the lock: what these packages need beyond it is py4j, and nothing else is changed for them.
bench-tools: setup ## Install the peers of the benchmarks, Spark, ClickHouse (chdb) and DuckLake, and py-spy (1 GB).
	@$(BIN)/python -c 'import chdb, duckdb_extension_ducklake, duckdb_extension_postgres_scanner, pyspark' 2>/dev/null && test -x $(BIN)/py-spy || { echo "▸ installing chdb, pyspark, DuckLake and py-spy"; \
	  $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["bench"], sep="\n")' \
	  | $(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement /dev/stdin; }

browser: setup ## Install Chromium for the browser tests, where this user may.
	@if command -v chromium >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "▸ installing chromium for the browser tests"; \
	  { apt-get update -q && apt-get install -y -q --no-install-recommends chromium; } >/dev/null 2>&1 \
	    || echo "▸ chromium could not be installed: browser tests are skipped (they fail in CI)"; \
	else echo "▸ browser tests will be skipped: install Debian's chromium (as root: apt-get install chromium) to run them"; fi

screenshots: setup browser ## Keep what pages look like now, for the test that compares; look at them before they are committed.
	@RUAM_KEEP_SCREENSHOTS=1 $(BIN)/python -m pytest --quiet tests/dashboards/test_screenshots.py

services: setup ## Install OpenSSH's and PostgreSQL's servers for the tests of fetching and of follow-up, where this user may.
	@if { command -v sshd || test -x /usr/sbin/sshd; } >/dev/null && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then :; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "▸ installing openssh-server and postgresql for the tests of fetching and of follow-up"; \
	  { mkdir -p /etc/postgresql-common && { test -e /etc/postgresql-common/createcluster.conf \
	      || echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf; } && apt-get update -q \
	    && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends openssh-server postgresql; } \
	    >/dev/null 2>&1 || echo "▸ they could not be installed: tests of SFTP and PostgreSQL are skipped (they fail in CI)"; \
	else echo "▸ tests of SFTP and PostgreSQL will be skipped: install Debian's openssh-server and postgresql (as root: apt-get install openssh-server postgresql) to run them"; fi

# The provider's packages are pinned in its package-lock.json; npm is asked for no other, and runs no script of theirs.
provider: setup ## Install the identity provider that the tests of signing in speak with.
	@test -e tests/provider/node_modules/.package-lock.json || { \
	  echo "▸ installing oidc-provider for the tests of signing in"; \
	  { command -v npm >/dev/null || test -x $(BIN)/npm \
	    || $(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["provider"], sep="\n")' \
	    | $(BIN)/python -m pip install --quiet --disable-pip-version-check --requirement /dev/stdin; } \
	  && PATH="$$PATH:$(CURDIR)/$(BIN)" npm ci --prefix tests/provider --ignore-scripts --no-audit --no-fund --silent \
	    || echo "▸ oidc-provider could not be installed: tests of signing in with it are skipped (they fail in CI)"; }

lock: setup ## Pin the packages again after a change in pyproject.toml (needs uv).
	@uv pip compile --quiet --python-version 3.11 --generate-hashes --no-emit-index-url --no-header \
	  --excludes requirements.excludes --extra dev pyproject.toml -o requirements.lock

clean: ## Remove the virtual environment and caches; the data home stays.
	@rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
