# `make` alone lists the targets.
PYTHONS := python3.11 python3 python3.12 python3.13 python3.10 python3.9
PYTHON ?= $(firstword $(foreach name,$(PYTHONS),$(shell command -v $(name))))
RUN := .venv/bin/python
# The variable would make each process compile all tests anew, which takes 10 s.
PYTEST := PYTHONDONTWRITEBYTECODE= $(RUN) -m pytest
SUITE := -m "not long" -n 2 --no-loadscope-reorder --durations=15
REQUIREMENTS := requirements
# What each environment is made of; a change of a file makes `make setup*` go over it again.
DEMO := .venv/.demo-installed
DEMO_FILES := pyproject.toml \
	$(addprefix $(REQUIREMENTS)/,torch.txt vllm.txt demo.txt demo.sh common.sh)
STAMP := .venv/.installed
STAMP_FILES := $(addprefix $(REQUIREMENTS)/,vllm.txt peers.txt deploy.txt older_wrapt.txt diffusers.txt \
	install.sh chromium.sh node.sh node/package-lock.json)
NPU_STAMP := .venv-npu/.installed
ASCEND_STAMP := .venv-ascend/.installed
BENCH_STAMP := .venv-bench/.installed

.PHONY: help demo test test-unit test-npu test-long check format lint types dist \
	setup setup-demo setup-npu setup-ascend setup-python314 setup-bench \
	bench bench-check bench-analyse bench-growth compat gpu-acceptance npu-acceptance clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -- a newcomer's two commands

demo: setup-demo ## see it work: a torch script, then vLLM, both unedited (minutes the first time)
	@$(RUN) examples/demo.py

test: setup setup-ascend ## the test suite without the long tests, two files at a time
	$(PYTEST) $(SUITE)

# -- for every commit

check: lint types test-unit ## lint, types and unit tests: run it before every commit

format: setup ## rewrite the files in the project's format
	$(RUN) -m ruff check --fix --quiet .
	$(RUN) -m ruff format .

lint: setup ## ruff: rules and format
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .

types: setup ## mypy --strict on the package
	$(RUN) -m mypy

# -- other parts of the suite

test-unit: setup ## the fast tests, without torch, with few examples of each property
	HYPOTHESIS_PROFILE=quick $(PYTEST) tests/unit -n 2 -q

test-npu: setup-ascend ## the real torch_npu and vllm-ascend on simulated CANN libraries (needs gcc)
	$(PYTEST) tests/npu $(SUITE)

test-long: setup setup-ascend ## soak, scale, fuzz, foreign suites, version matrix (hours)
	$(PYTEST) -m long

# -- environments

setup: $(STAMP) ## .venv with all that tests and demo need (minutes the first time)

setup-demo: $(DEMO) ## .venv with torch, vLLM and autoinstr only

$(DEMO): $(DEMO_FILES)
	@$(REQUIREMENTS)/demo.sh "$(PYTHON)"
	@touch $@

$(STAMP): $(DEMO) $(STAMP_FILES)
	@$(REQUIREMENTS)/install.sh "$(PYTHON)"
	@touch $@

setup-npu: $(NPU_STAMP) ## .venv-npu (torch_npu, over .venv) and .venv-msprof (msprof-analyze)

$(NPU_STAMP): $(addprefix $(REQUIREMENTS)/,npu.txt msprof.txt npu.sh) $(STAMP)
	@$(REQUIREMENTS)/npu.sh
	@touch $@

setup-ascend: $(ASCEND_STAMP) ## .venv-ascend: vllm-ascend and its vLLM, over .venv-npu

$(ASCEND_STAMP): $(addprefix $(REQUIREMENTS)/,ascend.txt ascend.sh unpack_vllm.py) $(NPU_STAMP)
	@$(REQUIREMENTS)/ascend.sh
	@touch $@

setup-python314: ## a CPython 3.14 for the tests (needs root; Debian unstable's packages in .cache)
	@$(REQUIREMENTS)/python314.sh

setup-bench: $(BENCH_STAMP) ## .venv-bench: the peers of `make bench`, over .venv

$(BENCH_STAMP): $(addprefix $(REQUIREMENTS)/,bench.txt bench.sh) $(STAMP)
	@$(REQUIREMENTS)/bench.sh
	@touch $@

# -- measurements

bench: setup-bench ## the cost of a module call beside its peers, one table (15 min; ARGS=--quick)
	@$(RUN) -m benchmarks $(ARGS)
	@$(RUN) -m benchmarks.compiled_call
	@$(RUN) -m benchmarks.compiled_step

bench-check: setup ## instructions of a call, counted by valgrind, against the committed counts
	@$(RUN) -m benchmarks.instructions $(ARGS)

bench-analyse: setup-npu ## analyse beside msprof-analyze on 111,000 kernels (10 min)
	@$(RUN) -m benchmarks.analyse $(ARGS)

bench-growth: setup ## cost and memory by modules, threads and processes
	@$(RUN) -m benchmarks.growth $(ARGS)

compat: setup ## resolve every target in the releases of its package (ARGS=--newest)
	$(RUN) tools/compat.py $(ARGS)

gpu-acceptance: ## on a GPU: prove what a CPU cannot; writes gpu-acceptance.md
	@$(PYTHON) tools/gpu_acceptance.py $(ARGS)

npu-acceptance: ## on an NPU: prove what the simulation cannot; writes npu-acceptance.md
	@$(PYTHON) tools/npu_acceptance.py $(ARGS)

# -- releases

dist: setup ## wheel and sdist, checked, installed in a clean environment, and a hello from it
	@$(REQUIREMENTS)/dist.sh

clean: ## remove what was built, but no environment
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache autoinstr-runs
	find autoinstr sitecustomize tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
