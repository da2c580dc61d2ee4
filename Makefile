# Two commands on a fresh machine do everything: make demo, make test.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
OLDEST := .venv-ipykernel629
# What measures time, or leaves an event loop in its process (Playwright), runs by itself.
ALONE  := tests/chaos tests/browser tests/redis/test_discovery.py

.DEFAULT_GOAL := help
.PHONY: help demo lab test chaos soak mutants coverage bench check examples build clean

help:  ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/examples.done  ## set up, then run the main job on the embedded server
	@$(BIN)/python examples/execute.py quickstart.ipynb --to out

lab: $(VENV)/examples.done  ## open the executed quickstart in JupyterLab
	@test -f out/quickstart.ipynb || $(BIN)/python examples/execute.py quickstart.ipynb --to out
	$(BIN)/jupyter lab out/quickstart.ipynb

test: $(VENV)/dev.done $(OLDEST)/made  ## run every test, on real servers and kernels
	@bash tests/install.sh
	@failed=; $(BIN)/python -m pytest $(ALONE) || failed=1; \
	$(BIN)/python -m pytest tests $(ALONE:%=--ignore=%) --numprocesses 2 --dist loadfile || failed=1; \
	test -z "$$failed"

chaos: $(VENV)/dev.done  ## the failure tests in full length (about 20 minutes), as one table
	@bash tests/install.sh
	RUNQY_CHAOS=full $(BIN)/python -m pytest tests/chaos tests/redis/test_state_machine.py $(PYTEST)

soak: $(VENV)/dev.done  ## the board for ten minutes at 600 events a second: does memory stay?
	RUNQY_SOAK=600 $(BIN)/python -m pytest tests/browser/test_board_busy.py -s $(PYTEST)

mutants: $(VENV)/dev.done  ## delete each line of Lua in turn and see which test notices (MUTANTS=--resume)
	$(BIN)/python -m tests.mutants $(MUTANTS)

coverage: $(VENV)/dev.done  ## branches that the tests run, in their processes too; no less than 95 %
	$(BIN)/coverage erase
	-$(BIN)/coverage run -m pytest tests/unit tests/redis tests/deliver tests/lesson tests/chaos tests/notebook $(PYTEST)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --include='*/broker/*,*/worker/*' --skip-covered --show-missing --fail-under=95

bench: $(VENV)/dev.done  ## speed beside raw redis-py and other queues (BENCH=--quick: some minutes)
	$(BIN)/python -m benchmarks $(BENCH)

check: $(VENV)/dev.done  ## style, types, and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --strict tests/typing
	$(BIN)/lint-imports

examples: $(VENV)/dev.done  ## execute the example notebooks and save their outputs in place
	$(BIN)/python examples/execute.py quickstart.ipynb --to examples
	$(BIN)/python examples/execute.py live-cells.ipynb --to examples
	$(BIN)/python examples/execute.py webhooks.ipynb --to examples
	$(BIN)/python examples/execute.py dataframe-map.ipynb --to examples
	$(BIN)/python examples/execute.py lesson.ipynb --to examples
	$(BIN)/python -m tests.services.test_example

build: $(VENV)/dev.done  ## make the wheel and the source archive in dist/
	$(BIN)/python -m build

clean:  ## remove what make made (the embedded server's data are the user's own)
	rm -rf $(VENV) $(OLDEST) out dist

$(VENV)/made:
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

# Kernels of the oldest ipykernel that is taken, for the tests of what is live.
$(OLDEST)/made: pyproject.toml | $(VENV)/made
	@echo "Installing ipykernel 6.29 into $(OLDEST) ..."
	$(BIN)/python -m venv $(OLDEST)
	$(OLDEST)/bin/python -m pip install --quiet --upgrade pip
	$(OLDEST)/bin/python -m pip install --quiet --editable . 'ipykernel==6.29.5' 'ipython==8.18.*' 'ipywidgets==8.1.0' 'matplotlib>=3.8' 'tqdm>=4.66'
	@touch $@

$(VENV)/examples.done: $(VENV)/made pyproject.toml
	@echo "Installing runqy_notebook, JupyterLab and scikit-learn into $(VENV) ..."
	$(BIN)/python -m pip install --quiet --editable '.[examples]'
	@touch $@

$(VENV)/dev.done: $(VENV)/examples.done pyproject.toml
	@echo "Installing the test tools into $(VENV) ..."
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev
	@touch $@
