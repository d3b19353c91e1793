#!/usr/bin/env bash
# Fills .venv-npu (torch_npu; a path file adds all of .venv, so that torch is not downloaded
# twice) and .venv-msprof (msprof-analyze). Called by `make setup-npu`; safe to repeat. Where this
# machine has no wheel, the file `unavailable` of the environment has the reason, which the
# skipped tests show.
set -euo pipefail
cd "$(dirname "$0")/.."

unavailable() { # unavailable VENV REASON
    rm -rf "$1/bin"
    echo "make setup-npu: $2" | tee "$1/unavailable" >&2
}
into() { # into VENV PIP-ARGUMENT...: quiet; returns 1 where no wheel fits, exits for other errors
    local venv=$1 log
    shift
    log=$(mktemp)
    rm -f "$venv/unavailable"
    if .venv/bin/python -m pip --python "$venv/bin/python" install --quiet --no-input \
        --disable-pip-version-check "$@" >"$log" 2>&1 </dev/null; then
        rm -f "$log"
    elif grep -q 'No matching distribution' "$log"; then
        rm -f "$log"
        return 1
    else
        cat "$log" >&2
        rm -f "$log"
        exit 1
    fi
}

machine=$(.venv/bin/python -c 'import platform, sysconfig
print("Python", platform.python_version(), "on", sysconfig.get_platform())')
[ -x .venv-msprof/bin/python ] || .venv/bin/python -m venv --without-pip .venv-msprof
into .venv-msprof -r requirements/msprof.txt ||
    unavailable .venv-msprof "no msprof-analyze for $machine"

# torch_npu is built against torch's CPU build. With the CUDA build both register the same options,
# and torch ends the process.
build=$(.venv/bin/python -c 'import torch
print("" if torch.version.cuda is None else torch.__version__)')
if [ -n "$build" ]; then
    mkdir -p .venv-npu
    unavailable .venv-npu "torch_npu needs a CPU build of torch; .venv has $build, which pip's \
index or PIP_FIND_LINKS gave"
    exit 0
fi
[ -x .venv-npu/bin/python ] || .venv/bin/python -m venv --without-pip .venv-npu
shared=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$(.venv-npu/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# addsitedir also reads the path files of .venv, autoinstr's among them.
echo "import site; site.addsitedir('$shared')" >"$own/shared.pth"
# --no-deps: pip sees the folder of .venv-npu only, and would download torch again.
if ! into .venv-npu --no-deps --only-binary=:all: -r requirements/npu.txt; then
    unavailable .venv-npu "no torch_npu wheel for $machine"
    exit 0
fi
.venv-npu/bin/python - <<'CHECK'
import importlib.util
import sys

for name in ("torch", "torch_npu", "autoinstr"):
    if importlib.util.find_spec(name) is None:
        sys.exit(f"make setup-npu: .venv-npu has no {name}")
CHECK
