#!/usr/bin/env bash
# Fills .venv-node with what the tests need from npm (requirements/node). Called by `make setup`;
# safe to repeat. Where npm gives no packages, the script fails and .venv-node/unavailable has the
# reason, which the skipped tests show.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=.venv-node

unavailable() {
    echo "no packages from npm: $1" >$folder/unavailable
    exit 1
}

mkdir -p $folder
lock=requirements/node/package-lock.json
if [ -d $folder/node_modules ] && cmp -s $lock $folder/package-lock.json; then
    exit 0
fi
rm -rf $folder/unavailable $folder/node_modules
command -v npm >/dev/null || unavailable "npm is not installed"
cp requirements/node/package.json $folder/
# npm ci takes the versions and checksums of the lock file, which names no registry: yours is used.
cp requirements/node/package-lock.json $folder/
npm ci --prefix $folder --ignore-scripts --no-audit --no-fund >$folder/log 2>&1 ||
    {
        rm -rf $folder/node_modules $folder/package-lock.json
        unavailable "npm ci failed, see $folder/log"
    }
