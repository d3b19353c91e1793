#!/usr/bin/env bash
# Builds the sdist and the wheel into dist/, checks them with twine, installs the wheel into a clean
# environment and runs examples/hello.py there. Called by `make dist` and by the release workflow.
set -euo pipefail
cd "$(dirname "$0")/.."
. requirements/common.sh
tools=.cache/dist-tools
clean=.cache/dist-clean

step "build and twine, in $tools"
[ -x $tools/bin/python ] || .venv/bin/python -m venv $tools
install $tools build twine
step "sdist and wheel, in dist/"
rm -rf dist
$tools/bin/python -m build --quiet --outdir dist .
$tools/bin/python -m twine check --strict dist/*
step "the wheel in a clean environment, $clean"
rm -rf $clean
.venv/bin/python -m venv $clean
install $clean dist/*.whl
# torch comes from .venv, behind everything else: its download would be the longest step. A plain
# path in a .pth file: Python does not read the .pth files of that folder, so not its autoinstr.
site() { "$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; }
site .venv/bin/python >"$(site $clean/bin/python)/torch-of-venv.pth"
step "hello"
program=$PWD/$clean/bin/python
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp examples/hello.py "$work"
(
    cd "$work"
    "$program" -c 'import autoinstr, sys; sys.exit(not autoinstr.__file__.startswith(sys.prefix))'
    "$program" -m autoinstr run --out run -- "$program" hello.py
    "$program" -m autoinstr report run
)
ls -l dist
