# Python 3.11 or newer, and nothing else: the first target that needs it makes the environment in .venv.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test bench setup format snapshots kill-test slow zoo mips clean

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@

demo: setup
	$(BIN)/iwb demo

test: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -P -m pytest -n 2

bench: setup
	$(BIN)/iwb bench

format: setup
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

kill-test: setup
	IWB_KILLS=200 $(BIN)/python -P -m pytest -s tests/engine/server/test_kills.py

slow: setup
	$(BIN)/python -P -m pytest -m slow

snapshots: setup
	$(BIN)/python -P -m pytest tests/tui/snapshots --snapshot-update

zoo: setup
	$(BIN)/python -P -m engine.models.zoo.train_transformers
	$(BIN)/python -P -m engine.models.zoo.train_base
	$(BIN)/python -P -m engine.synthesis.training.zoo

# The 62 networks of the MIPS benchmark trained anew, and a program from each. Begun again after an interruption it goes
# on where it was. SEED=2 gives other networks.
SEED ?= 1
mips: setup
	$(BIN)/iwb run mips.iwb synthesis.train_all folder=mips_networks_$(SEED) --seed $(SEED)
	$(BIN)/iwb run mips.iwb synthesis.benchmark folder=mips_networks_$(SEED)

clean:
	rm -rf .venv build *.egg-info
