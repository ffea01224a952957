# `make` alone prints this project's few commands.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help install dev demo up test acceptance check format bench docs pins clean

BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# Most tests wait for real processes and real time limits, so more of them than there are cores.
TEST_PROCESSES ?= 5
ARGS ?=

help: ## print this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-11s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install: .venv/.run-installed ## make .venv with the pinned requirements (done at once when up to date)

dev: .venv/.dev-installed ## the same, with what tests and checks need

demo: .venv/.run-installed ## index a real genome: submitted, watched, paused, resumed, finished
	@$(BIN)/longshore demo $(ARGS)

up: .venv/.run-installed ## run broker, API and worker on this machine until Ctrl-C
	@$(BIN)/longshore up $(ARGS)

test: .venv/.dev-installed ## run the tests over real servers (ARGS="-k word" narrows them down)
	@$(BIN)/python -m pytest -n $(TEST_PROCESSES) --dist worksteal -m "not bench and not rabbitmq and not bowtie2" $(ARGS)

acceptance: .venv/.dev-installed ## ARGS="--broker rabbitmq --database postgresql --workers 2"
	@$(BIN)/python -m pytest -m acceptance tests/acceptance $(ARGS)

check: .venv/.dev-installed ## lint, formatting, types, import directions
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

format: .venv/.dev-installed ## rewrite the code as the formatter wants it
	@$(BIN)/ruff check --fix --select I .
	@$(BIN)/ruff format .

bench: .venv/.dev-installed ## measure the promised times and rates
	@$(BIN)/python -m pytest -m bench -s tests/bench $(ARGS)

docs: .venv/.run-installed ## write the reference pages anew from the code
	@$(BIN)/python docs/generate.py

pins: .venv/.dev-installed ## resolve requirements/*.txt anew
	@requirements/compile.sh

clean: ## remove .venv and the caches; data directories stay
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/bin/python:
	@echo "Making a virtual environment in .venv"
	@requirements/environment.sh

# Hashes are checked for everything that is downloaded; the project itself is then installed in place, with the
# build tool that came with the pins.
define install_pins
	@echo "Installing $(1) (a minute or less)"
	@$(PIP) install --require-hashes --only-binary :all: -r $(1)
	@$(PIP) install --no-deps --no-build-isolation -e .
endef

.venv/.run-installed: requirements/run.txt pyproject.toml | .venv/bin/python
	$(call install_pins,requirements/run.txt)
	@touch $@

.venv/.dev-installed: requirements/dev.txt pyproject.toml | .venv/bin/python
	$(call install_pins,requirements/dev.txt)
	@touch .venv/.run-installed $@
