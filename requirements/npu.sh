#!/usr/bin/env bash
# Fills .venv-npu: torch_npu, and by a path file all that .venv has (torch is not downloaded twice). Called by `make setup-npu`; safe to repeat.
set -euo pipefail
cd "$(dirname "$0")/.."

[ -x .venv-npu/bin/python ] || .venv/bin/python -m venv --without-pip .venv-npu
shared=$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$(.venv-npu/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
echo "import site; site.addsitedir('$shared')" >"$own/shared.pth" # with its path files, as in .venv: autoinstr's among them
# --no-deps: pip looks at .venv-npu's own folder only, and would fetch torch again
.venv/bin/python -m pip --python .venv-npu/bin/python install --quiet --no-input --disable-pip-version-check --no-deps \
    -r requirements/npu.txt </dev/null
.venv-npu/bin/python - <<'CHECK'
import importlib.util
import sys

for name in ("torch", "torch_npu", "autoinstr"):
    if importlib.util.find_spec(name) is None:
        sys.exit(f"make setup-npu: .venv-npu has no {name}")
CHECK
