#!/usr/bin/env bash
# Fills .venv-npu (torch_npu, and by a path file all that .venv has: torch is not downloaded twice) and .venv-msprof (msprof-analyze).
# Called by `make setup-npu`; safe to repeat. Where a wheel is missing for this machine, it says so, and the tests are skipped with that reason.
set -euo pipefail
cd "$(dirname "$0")/.."

unavailable() { # unavailable VENV WHY: what the tests give as their reason
    rm -rf "$1/bin"
    echo "make setup-npu: $2" | tee "$1/unavailable" >&2
}
into() { # into VENV PIP-ARGUMENT...: the .venv's pip, quiet; 1 where no wheel fits, else pip's words and the end
    local venv=$1 log
    shift
    log=$(mktemp)
    rm -f "$venv/unavailable"
    if .venv/bin/python -m pip --python "$venv/bin/python" install --quiet --no-input --disable-pip-version-check "$@" >"$log" 2>&1 </dev/null; then
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

machine=$(.venv/bin/python -c 'import platform, sysconfig; print("Python", platform.python_version(), "on", sysconfig.get_platform())')
[ -x .venv-msprof/bin/python ] || .venv/bin/python -m venv --without-pip .venv-msprof
into .venv-msprof -r requirements/msprof.txt || unavailable .venv-msprof "no msprof-analyze for $machine"

# torch_npu is built against torch's CPU build; in a process with the CUDA one both register the same options, and torch ends it.
build=$(.venv/bin/python -c 'import torch; print("" if torch.version.cuda is None else torch.__version__)')
if [ -n "$build" ]; then
    mkdir -p .venv-npu
    unavailable .venv-npu "torch_npu needs a CPU build of torch; .venv has $build (pip's index or PIP_FIND_LINKS decides which)"
    exit 0
fi
[ -x .venv-npu/bin/python ] || .venv/bin/python -m venv --without-pip .venv-npu
shared=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$(.venv-npu/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$shared')" >"$own/shared.pth" # with its path files, as in .venv: autoinstr's among them
# --no-deps: pip looks at .venv-npu's own folder only, and would fetch torch again
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
