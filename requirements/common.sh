# Sourced by the other scripts of this folder, in the root of the repository.

step() { printf '%(%H:%M:%S)T  %s\n' -1 "$*"; }

# install VENV PIP-ARGUMENT...: quiet; prints pip's output where it fails.
# pip reads its own settings (index, certificates) from its files and PIP_* variables.
install() {
    local venv=$1 log
    shift
    log=$(mktemp)
    if ! "$venv/bin/python" -m pip install --quiet --no-input --disable-pip-version-check "$@" \
        >"$log" 2>&1 </dev/null; then
        cat "$log" >&2
        rm -f "$log"
        return 1
    fi
    rm -f "$log"
}
