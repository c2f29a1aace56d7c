# Two commands: `make night` sets up and runs the main job on the sample; `make test` sets up and passes the tests.
# PYTHON picks the interpreter (3.11 or newer), PIP_ARGS adds options to pip, RUN picks the run
# file, PORT that of the local Airflow. ALONE are the tests that measure time or need one process for an Airflow; the
# others run in two processes.

PYTHON ?= python3
PIP_ARGS ?=
RUN ?= infra/runs/sample.toml
PORT ?= 8080
BIN := .venv/bin
INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -c constraints.txt

.PHONY: help night ui test test-slow lint docs audit lock sbom release airflow clean

help:
	@echo "make night      set up .venv and run the main job on the sample (RUN=FILE for another run file)"
	@echo "make ui         a web page over the nights of the run file"
	@echo "make test       set up .venv and run the tests"
	@echo "make test-slow  the tests that take minutes"
	@echo "make lint       ruff, mypy and import-linter"
	@echo "make docs       the documentation as a site: docs/_build/html/index.html"
	@echo "make audit      known vulnerabilities of what the locks install"
	@echo "make lock       write infra/locks again; make sbom, make release: bills of materials, all of a release in dist/"
	@echo "make airflow    a local Airflow with the DAGs loaded"
	@echo "make clean      remove .venv, the lake and caches"

.venv/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Loregraph needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv .venv

.venv/.night: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "installing Loregraph into .venv (a few minutes the first time)"
	$(INSTALL) -e '.[night]'
	@touch $@

.venv/.dev: .venv/pyvenv.cfg pyproject.toml constraints.txt
	@echo "installing Loregraph with its development tools into .venv (a few minutes the first time)"
	$(INSTALL) -e '.[dev]'
	@touch .venv/.night .venv/.airflow $@

.venv/.airflow: .venv/pyvenv.cfg pyproject.toml constraints.txt
	$(INSTALL) -e '.[night,airflow]'
	@touch .venv/.night $@

night: .venv/.night
	$(BIN)/loregraph night --run $(RUN)

ui: .venv/.night
	$(BIN)/loregraph ui --run $(RUN)

ALONE = tests/benchmarks tests/dags tests/language_models

test: .venv/.dev
	$(BIN)/python -m pytest $(ALONE)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ALONE:%=--ignore=%)

test-slow: .venv/.dev
	$(BIN)/python -m pytest -m slow

lint: .venv/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: .venv/.dev
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going --nitpicky -b html docs docs/_build/html
	@echo "docs/_build/html/index.html"

audit: .venv/.dev
	$(BIN)/python -m infra.release.audit

lock: .venv/.dev
	$(BIN)/python -m infra.release.locks

sbom: .venv/.dev
	$(BIN)/python -m infra.release.sbom

release: .venv/.dev
	$(BIN)/python -m infra.release.build

airflow: .venv/.airflow
	$(BIN)/python infra/airflow/start.py --run $(RUN) --port $(PORT)

clean:
	rm -rf .venv .airflow lake .mypy_cache .ruff_cache .pytest_cache .import_linter_cache docs/_build
