# Each command does all the set-up it needs. `make` lists them.

VENV ?= .venv
PYTHON ?=
ARGS ?=
JOBS ?= auto
COVERAGE ?=

export VENV PYTHON

# These commands speak of the private server; an address that a shell has set for something else is not used.
unexport DATABASE_URL DB_SECRET_ARN RDS_SECRET_ARN DB_SSM_PREFIX AURORA_CLUSTER_ARN

BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help up down test test-infra test-deploy docs compile env-infra lint format wheel try-wheel lambda lock env ready clean

help: ## Show this list
	@echo "make [command] [PYTHON=/path/to/python3] [VENV=.venv] [ARGS=...]"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-11s %s\n", $$1, $$2 }' Makefile

up: ready ## Install what is missing; start, migrate, seed and verify the private database
	@"$(BIN)/dbschema" up
	@"$(BIN)/dbschema" verify

down: ## Stop the private server; its data stays
	@if [ -x "$(BIN)/dbschema" ]; then "$(BIN)/dbschema" down; else echo "Nothing to stop: $(VENV) does not exist."; fi

test: ready ## Install what is missing; run every test (ARGS="-k name", JOBS=2, COVERAGE=1)
	@"$(BIN)/python" -m pytest -n $(JOBS) --maxprocesses 8 --dist worksteal $(if $(COVERAGE),--cov --cov-report=term:skip-covered) $(ARGS)

test-infra: env-infra ## Install what the CDK app needs, in .venv-infra; check its types, run its tests
	@"$(VENV)-infra/bin/mypy" --strict infra/app.py infra/dbschema_infra
	@"$(VENV)-infra/bin/python" -m pytest -n $(JOBS) --maxprocesses 2 --confcutdir tests/infra tests/infra

test-deploy: ready env-infra ## Build the archive; run deployments end to end, from CDK's provider framework to PostgreSQL
	@"$(BIN)/python" -m pytest -n $(JOBS) --maxprocesses 2 tests/end_to_end $(ARGS)

docs: env ## Write docs/schema.md from the models, docs/errors.md from the errors, docs/environment.md from the variables
	@"$(BIN)/python" scripts/schema_docs.py
	@"$(BIN)/python" scripts/error_docs.py
	@"$(BIN)/python" scripts/environment_docs.py

compile: ready ## Write the SQL of the revisions and the snapshot of the models beside them, after one was changed
	@"$(BIN)/dbschema" compile $(ARGS)

lint: env ## Check format, rules, types and the imports between packages
	@"$(BIN)/ruff" format --check .
	@"$(BIN)/ruff" check .
	@"$(BIN)/mypy"
	@"$(BIN)/lint-imports" --no-cache --no-logo

format: env ## Format the code and mend what can be mended
	@"$(BIN)/ruff" format .
	@"$(BIN)/ruff" check --fix .

wheel: env ## Build wheel and sdist into dist/, byte for byte repeatable
	@rm -f dist/*.whl dist/*.tar.gz
	@"$(BIN)/python" -m hatchling build -d dist

try-wheel: ready wheel ## Install the wheel from the index into an empty environment elsewhere, and use it
	@sh scripts/try_wheel.sh

lambda: env ## Build dist/lambda-arm64.zip and dist/lambda-x86_64.zip for AWS Lambda, byte for byte repeatable (ARGS="--arch arm64")
	@"$(BIN)/python" scripts/build_lambda.py $(ARGS)

lock: env ## Pin all dependencies anew (ARGS=--upgrade)
	@sh scripts/lock.sh $(ARGS)

env: ## Make the Python environment only
	@sh scripts/bootstrap.sh python

env-infra:
	@sh scripts/bootstrap.sh infra

ready: ## Make the Python environment, find or install PostgreSQL with PostGIS
	@sh scripts/bootstrap.sh

clean: ## Remove what was built and cached; the environment and the database stay
	@rm -rf dist build cdk.out .coverage* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	@find src tests alembic -name __pycache__ -type d -prune -exec rm -rf {} +
