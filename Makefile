# make chat   sets up everything and opens the chat         make ask Q="…"  one answer, without the screen
# make test   sets up everything and runs the tests         make check      format, lint, types, layers, tests
#
# make finetune   adds what `ragchat finetune` needs, for the CPU; TORCH=auto for the GPU that is there
#
# Needs python3 (3.11 or newer), make, a C and C++ compiler. Everything else goes into .venv and models/.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := ragchat tests benchmarks

# llama.cpp is compiled for this processor. Its AMX code faults when GCC 12 builds it (docs/decisions/0003-amx.md).
NO_AMX := -mno-amx-tile -mno-amx-int8 -mno-amx-bf16
AMX_FLAGS := $(shell echo 'int x;' | $(CC) $(NO_AMX) -x c -c -o /dev/null - 2>/dev/null && echo '$(NO_AMX)')
export CMAKE_ARGS ?= -DLLAVA_BUILD=OFF $(if $(AMX_FLAGS),"-DCMAKE_C_FLAGS=$(AMX_FLAGS)" "-DCMAKE_CXX_FLAGS=$(AMX_FLAGS)")
export PIP_DISABLE_PIP_VERSION_CHECK = 1

# Which build of torch: cpu, or auto for the GPU of this machine. A build for the CPU among $PIP_FIND_LINKS is taken from there.
TORCH ?= cpu
TORCH_AT_HAND := $(if $(filter cpu,$(TORCH)),$(wildcard $(addsuffix /torch-2.13.0+cpu-*.whl,$(PIP_FIND_LINKS))))
TORCH_FLAGS := $(if $(TORCH_AT_HAND),--find-links $(PIP_FIND_LINKS),--torch-backend $(TORCH)) $(if $(filter cpu,$(TORCH)),torch==2.13.0)

.PHONY: setup chat ask test check format bench finetune tessdata clean help
.DEFAULT_GOAL := help

help:
	@sed -n '1,6s/^# \{0,1\}//p' Makefile

chat: setup
	@$(BIN)/ragchat

ask: setup
	@$(BIN)/ragchat ask "$(Q)"

setup: $(VENV)/.ready
	@$(BIN)/ragchat setup

test: setup $(VENV)/.dev $(VENV)/.finetune tessdata
	$(BIN)/python -m pytest -q

check: setup $(VENV)/.dev $(VENV)/.finetune tessdata
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q

finetune: setup $(VENV)/.finetune
	@echo "Ready to train: $(BIN)/ragchat finetune --help; n in the jobs panel of the chat (F9) begins one, too."

format: $(VENV)/.dev
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

bench: setup $(VENV)/.dev
	$(BIN)/python benchmarks/generation.py
	$(BIN)/python benchmarks/startup.py

clean:
	rm -rf $(VENV) .cache build dist

# --- what the targets stand on -------------------------------------------------------------------------

$(VENV)/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "ragchat needs Python 3.11 or newer; name one: make PYTHON=python3.12 …"; exit 1; }
	@command -v $(CXX) >/dev/null || { echo "A C++ compiler is needed to build llama.cpp (Debian: apt install g++)."; exit 1; }
	@sh .ci/venv.sh $(PYTHON) $(VENV)
	@touch $@

$(VENV)/.ready: $(VENV)/.python pyproject.toml
	@echo "Installing ragchat into $(VENV); the first time llama.cpp is compiled for this processor, which takes 5 to 15 minutes…"
	@$(BIN)/python -m pip install --quiet --editable .
	@touch $@

# What OCR needs in the tests, 6 MB; without it those are skipped.
tessdata:
	@sh .ci/tessdata.sh .cache/tessdata

$(VENV)/.dev: $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

# uv, since only it can leave out what unsloth asks for and a CPU does not need (pyproject.toml, [tool.uv]).
$(VENV)/.finetune: $(VENV)/.ready
	@echo "Installing what training needs into $(VENV), 2.4 GB…"
	@$(BIN)/python -m pip install --quiet uv
	@$(BIN)/uv pip install --quiet --python $(BIN)/python $(TORCH_FLAGS) --editable '.[finetune]'
	@touch $@
