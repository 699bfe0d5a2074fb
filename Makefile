# Everything runs in .venv, which tools/bootstrap.py makes once and checks on every run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/demo

.PHONY: demo test lint setup clean

demo: ## Simulate a drive, record a bag, run Segnet on it, write a report
	@$(PYTHON) tools/bootstrap.py --venv $(VENV) --extras sim,train
	@$(BIN)/bev demo --out $(OUT) --overwrite

test: ## Install what the tests need and run them
	@$(PYTHON) tools/bootstrap.py --venv $(VENV) --extras sim,train,dev
	@$(BIN)/python -m pytest

lint: ## Format check, lint and types
	@$(PYTHON) tools/bootstrap.py --venv $(VENV) --extras sim,train,dev
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

setup: ## Only make the virtual environment
	@$(PYTHON) tools/bootstrap.py --venv $(VENV) --extras sim,train

clean: ## Remove the virtual environment and outputs
	rm -rf $(VENV) out build install log
