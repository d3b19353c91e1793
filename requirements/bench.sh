#!/usr/bin/env bash
# Fills .venv-bench: the peers of `make bench` that come from PyPI. A path file adds all of .venv,
# so that all run on the same torch. Called by `make setup-bench`; safe to repeat. The table names
# a peer that has no wheel for this machine.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x .venv-bench/bin/python ] || .venv/bin/python -m venv --without-pip .venv-bench
shared=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$(.venv-bench/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# A plain path: Python does not read the path files of .venv (autoinstr's among them) for the peers.
echo "$shared" >"$own/shared.pth"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
grep -v '^#' requirements/bench.txt | while read -r peer; do
    .venv/bin/python -m pip --python .venv-bench/bin/python install --quiet --no-input \
        --disable-pip-version-check --no-deps --only-binary=:all: "$peer" >"$log" 2>&1 </dev/null ||
        { echo "make setup-bench: $peer could not be installed:" && tail -n 3 "$log"; } >&2
done
