#!/usr/bin/env bash
# Fills .venv-chromium with Debian's headless Chromium, unpacked and not installed, for the tests that open our pages. Called by
# `make setup`; safe to repeat. Where it cannot be had it says so in .venv-chromium/unavailable, and the tests are skipped with that reason.
# Needs no rights beyond apt-get download; where package lists are missing and we are root, they are fetched.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=.venv-chromium
program=$folder/chromium

unavailable() {
    mkdir -p $folder
    echo "make setup: no Chromium: $1" | tee $folder/unavailable >&2
    exit 0
}

[ -x $program ] && $program --version >/dev/null 2>&1 && exit 0
rm -rf $folder
mkdir -p $folder/debs $folder/root
installed=$(command -v chromium || command -v chromium-headless-shell || true)
if [ -n "$installed" ]; then
    printf '#!/bin/sh\nexec %s "$@"\n' "$installed" >$program
else
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || unavailable "this is no Debian, and none is installed"
    wanted() { apt-get -s install --no-install-recommends chromium-headless-shell 2>/dev/null | awk '/^Inst/ { print $2 }'; }
    packages=$(wanted || true)
    if ! { [ -n "$packages" ] && (cd $folder/debs && apt-get download -qq $packages) >$folder/log 2>&1; }; then
        # Lists that are missing or old name versions that are no longer there.
        [ "$(id -u)" = 0 ] && apt-get update -qq >$folder/log 2>&1 || unavailable "apt-get download failed, see $folder/log (apt-get update?)"
        packages=$(wanted || true)
        [ -n "$packages" ] && (cd $folder/debs && apt-get download -qq $packages) >$folder/log 2>&1 ||
            unavailable "apt-get download failed, see $folder/log"
    fi
    for deb in $folder/debs/*.deb; do dpkg-deb -x "$deb" $folder/root; done
    rm -rf $folder/debs
    cat >$program <<'EOF'
#!/bin/sh
# Unpacked by requirements/chromium.sh; its libraries lie beside it.
here=$(dirname "$(readlink -f "$0")")/root
libraries=$(echo "$here"/usr/lib/*-linux-*)
LD_LIBRARY_PATH=$libraries:$libraries/pulseaudio${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
exec "$(echo "$here"/usr/lib/chromium*/*headless-shell | cut -d ' ' -f 1)" "$@"
EOF
fi
chmod +x $program
$program --version >$folder/log 2>&1 || unavailable "it does not start: $(tail -n 1 $folder/log)"
