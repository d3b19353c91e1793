# `make` alone lists the targets.
PYTHON ?= $(firstword $(foreach name,python3.11 python3 python3.12 python3.13 python3.10 python3.9,$(shell command -v $(name))))
RUN := .venv/bin/python
STAMP := .venv/.installed
NPU_STAMP := .venv-npu/.installed
ASCEND_STAMP := .venv-ascend/.installed
BENCH_STAMP := .venv-bench/.installed
PYTEST := $(RUN) -m pytest

.PHONY: help setup setup-npu setup-ascend setup-python314 test test-unit test-npu test-long demo lint types setup-bench bench bench-check bench-growth compat npu-acceptance clean
.DEFAULT_GOAL := help

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with the package and all that tests and demo need (minutes the first time, nothing afterwards)

$(STAMP): requirements/torch.txt requirements/vllm.txt requirements/peers.txt requirements/deploy.txt requirements/older_wrapt.txt requirements/install.sh requirements/chromium.sh requirements/node.sh requirements/node/package-lock.json pyproject.toml
	@requirements/install.sh "$(PYTHON)"
	@touch $@

setup-npu: $(NPU_STAMP) ## make .venv-npu (torch_npu beside all that .venv has) and .venv-msprof (msprof-analyze)

$(NPU_STAMP): requirements/npu.txt requirements/msprof.txt requirements/npu.sh $(STAMP)
	@requirements/npu.sh
	@touch $@

setup-ascend: $(ASCEND_STAMP) ## make .venv-ascend: vllm-ascend and its vLLM beside all that .venv-npu has

$(ASCEND_STAMP): requirements/ascend.txt requirements/ascend.sh requirements/unpack_vllm.py $(NPU_STAMP)
	@requirements/ascend.sh
	@touch $@

setup-python314: ## a CPython 3.14 for the tests where there is none (needs root; Debian unstable's packages in a folder of their own)
	@requirements/python314.sh

test: setup setup-ascend ## the whole suite but what is marked long (half an hour on two cores), two files at a time
	$(PYTEST) -m "not long" -n 2 --no-loadscope-reorder --durations=15

test-unit: setup ## the fast tests, without torch
	$(PYTEST) tests/unit

test-npu: setup-ascend ## the real torch_npu and vllm-ascend on simulated CANN libraries (needs gcc)
	$(PYTEST) tests/npu -m "not long" -n 2 --no-loadscope-reorder --durations=15

test-long: setup ## what takes longer: soak, scale, fuzz, every Python version
	$(PYTEST) -m long

demo: setup ## an unedited vLLM script under the agent: its module table, and where the page and the timeline lie
	@$(RUN) examples/demo.py

lint: setup ## ruff
	$(RUN) -m ruff check .

types: setup ## mypy --strict on the package
	$(RUN) -m mypy

setup-bench: $(BENCH_STAMP) ## make .venv-bench: the peers of make bench that come from PyPI, beside all that .venv has

$(BENCH_STAMP): requirements/bench.txt requirements/bench.sh $(STAMP)
	@requirements/bench.sh
	@touch $@

bench: setup-bench ## what a module call costs under every contender, one table (a quarter of an hour; ARGS=--quick: a minute or two)
	@$(RUN) -m benchmarks $(ARGS)

bench-check: setup ## instructions a call, counted by valgrind, against those that are committed
	@$(RUN) -m benchmarks.instructions $(ARGS)

bench-growth: setup ## cost and memory from 10 to 100,000 modules, 1 to 64 threads, 1 to 16 processes
	@$(RUN) -m benchmarks.growth $(ARGS)

compat: setup ## resolve every target row in the releases of vLLM, vllm-ascend and torch; writes docs/internals/compatibility.md
	$(RUN) tools/compat.py

npu-acceptance: ## on a machine with an NPU: prove what the simulation cannot (PYTHON=python3 ARGS="--model …"); writes npu-acceptance.md
	@$(PYTHON) tools/npu_acceptance.py $(ARGS)

clean: ## remove what was built, but not .venv
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .cache autoinstr-runs
	find autoinstr sitecustomize tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
