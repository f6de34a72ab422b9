# make demo    a fresh environment, the package, and the demo's report
# make test    the whole suite
# make check   lint, format, types and the import contract
#
# PYTHON=python3.12         the interpreter that the environment is made with
# PIP_ARGS="-c limits.txt"  passed to pip as it stands, for instance an index or a constraint
# INSTALL=wheel             install the built wheel, not the tree itself
# FROM=folder               run the tests and the demo from there
# THREADS=4                 threads of numpy, numba, torch and ITK

PYTHON ?= python3
VENV ?= .venv
PIP_ARGS ?=
PYTEST_ARGS ?=
INSTALL ?= editable
FROM ?= .
THREADS ?= 1

export OMP_NUM_THREADS ?= $(THREADS)
export OPENBLAS_NUM_THREADS ?= $(THREADS)
export MKL_NUM_THREADS ?= $(THREADS)
export NUMBA_NUM_THREADS ?= $(THREADS)
export ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS ?= $(THREADS)

PACKAGES := volumes registration fusion tracking3d phantom experiments configs
STAMP := $(VENV)/.installed-$(INSTALL)
bin := "$(VENV)/bin"
pip := $(bin)/python -m pip

ifeq ($(INSTALL),wheel)
SOURCES := $(shell find $(PACKAGES) -type f -not -path '*/__pycache__/*')
define install
rm -rf "$(VENV)/wheels"
$(pip) wheel $(PIP_ARGS) --no-deps --wheel-dir "$(VENV)/wheels" .
$(pip) uninstall --yes fusetrack
$(pip) install $(PIP_ARGS) "$$(ls "$(VENV)"/wheels/*.whl)$(1)"
endef
else
define install
$(pip) install $(PIP_ARGS) --editable ".$(1)"
endef
endif

.PHONY: demo test check clean

demo: $(STAMP)
	bin="$$(cd $(bin) && pwd)" && cd "$(FROM)" && "$$bin/fusetrack" demo

test: $(STAMP)-dev
	tests="$$PWD/tests" && bin="$$(cd $(bin) && pwd)" && cd "$(FROM)" && \
		"$$bin/python" -P -m pytest --import-mode=importlib $(PYTEST_ARGS) "$$tests"

check: $(STAMP)-dev
	$(bin)/ruff check .
	$(bin)/ruff format --check .
	$(bin)/mypy
	$(bin)/lint-imports

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find $(PACKAGES) tests -type d -name __pycache__ -exec rm -rf {} +

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "fusetrack needs Python 3.11 or newer; choose one with make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv "$(VENV)"

$(STAMP): pyproject.toml $(SOURCES) | $(VENV)/bin/python
	$(call install,)
	touch "$@"

$(STAMP)-dev: pyproject.toml $(SOURCES) | $(VENV)/bin/python
	$(call install,[dev])
	touch "$(STAMP)" "$@"
