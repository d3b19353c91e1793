#!/usr/bin/env bash
# Fills .venv-node with what the tests need from npm (requirements/node). Called by `make setup`; safe to repeat. Where it cannot be had it
# says so in .venv-node/unavailable, and the tests are skipped with that reason.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=.venv-node

unavailable() {
    echo "make setup: no packages from npm: $1" | tee $folder/unavailable >&2
    exit 0
}

mkdir -p $folder
if [ -d $folder/node_modules ] && cmp -s requirements/node/package-lock.json $folder/package-lock.json; then
    exit 0
fi
rm -rf $folder/unavailable $folder/node_modules
command -v npm >/dev/null || unavailable "npm is not installed"
cp requirements/node/package.json $folder/
# npm ci takes the versions and checksums of the lock file, which names no registry: yours is used.
cp requirements/node/package-lock.json $folder/
npm ci --prefix $folder --ignore-scripts --no-audit --no-fund >$folder/log 2>&1 ||
    { rm -rf $folder/node_modules $folder/package-lock.json; unavailable "npm ci failed, see $folder/log"; }
