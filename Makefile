# Everything runs in .venv, which tools/bootstrap.py makes once and checks on every run.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
OUT ?= out/demo
BOOTSTRAP = @$(PYTHON) tools/bootstrap.py --venv $(VENV) --extras

# .venv has a ROS 2 of its own; one that this shell has sourced would be mixed into it.
ifdef AMENT_PREFIX_PATH
unexport AMENT_PREFIX_PATH PYTHONPATH LD_LIBRARY_PATH RMW_IMPLEMENTATION
endif

.PHONY: demo test lint setup ros clean

demo: ## A drive on ROS 2 topics: town, perception node, recorder; then a report
	$(BOOTSTRAP) sim,train,ros,openvino
	@$(BIN)/bev demo --out $(OUT) --overwrite

# By default xdist sorts files by their number of tests; long files of few tests then end the run on
# one core alone.
test: ## Install what the tests need and run them
	$(BOOTSTRAP) sim,train,ros,carla,onnx,openvino,dev
	@$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

lint: ## Format check, lint and types
	$(BOOTSTRAP) sim,train,ros,carla,onnx,openvino,dev
	@$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy

setup: ## Only make the virtual environment
	$(BOOTSTRAP) sim,train

ros: ## Only make the virtual environment, with ROS 2 in it
	$(BOOTSTRAP) sim,train,ros

clean: ## Remove the virtual environment and outputs
	rm -rf $(VENV) out build install log
