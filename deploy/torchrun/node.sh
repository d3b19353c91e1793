#!/bin/sh
# One node of a torchrun job, with the agent: node.sh RUN NODES RANK HOST:PORT PROCESSES script.py …   on each node, with RANK 0, 1, …
# AGENT_BUNDLE is the bundle and AGENT_RUNS a folder; where every node sees the same one, the recordings of all nodes come together.
# (What begins with AUTOINSTR_ is an option of the agent, which warns of those that it does not know.)
set -eu
run=$1 nodes=$2 rank=$3 endpoint=$4 processes=$5
shift 5
bundle=${AGENT_BUNDLE:-/opt/autoinstr}
export PYTHONPATH="$bundle/sitecustomize${PYTHONPATH:+:$PYTHONPATH}"
export AUTOINSTR=1 AUTOINSTR_OUT="${AGENT_RUNS:-/shared/autoinstr-runs}/$run"
exec torchrun --nnodes "$nodes" --node-rank "$rank" --nproc-per-node "$processes" --rdzv-id "$run" --rdzv-backend c10d --rdzv-endpoint "$endpoint" "$@"
