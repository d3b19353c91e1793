#!/usr/bin/env bash
# Fills .venv-bench: the peers of `make bench` that come from PyPI, and by a path file all that .venv has, so that torch is the same for all.
# Called by `make setup-bench`; safe to repeat. A peer that no wheel fits is missing from the table, which says so.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x .venv-bench/bin/python ] || .venv/bin/python -m venv --without-pip .venv-bench
shared=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$(.venv-bench/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "$shared" >"$own/shared.pth" # a path alone: the path files of .venv, autoinstr's among them, are not for the peers
log=$(mktemp)
trap 'rm -f "$log"' EXIT
grep -v '^#' requirements/bench.txt | while read -r peer; do
    .venv/bin/python -m pip --python .venv-bench/bin/python install --quiet --no-input --disable-pip-version-check --no-deps \
        --only-binary=:all: "$peer" >"$log" 2>&1 </dev/null || { echo "make setup-bench: $peer could not be installed:" && tail -n 3 "$log"; } >&2
done
