#!/usr/bin/env bash
# Fills .venv-chromium with Debian's headless Chromium, unpacked and not installed, for the tests
# that open HTML pages. Called by `make setup`; safe to repeat. Where Chromium is not to be had,
# the script fails and .venv-chromium/unavailable has the reason, which the skipped tests show.
# Needs no rights beyond apt-get download; as root it fetches package lists that are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=.venv-chromium
program=$folder/chromium

unavailable() {
    mkdir -p $folder
    echo "no Chromium: $1" >$folder/unavailable
    exit 1
}

[ -x $program ] && $program --version >/dev/null 2>&1 && exit 0
rm -rf $folder
mkdir -p $folder/debs $folder/root
installed=$(command -v chromium || command -v chromium-headless-shell || true)
if [ -n "$installed" ]; then
    printf '#!/bin/sh\nexec %s "$@"\n' "$installed" >$program
else
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
        unavailable "no Chromium is installed, and this is not Debian"
    list_packages() {
        apt-get -s install --no-install-recommends chromium-headless-shell 2>/dev/null |
            awk '/^Inst/ { print $2 }'
    }
    download() {
        [ -n "$packages" ] && (cd $folder/debs && apt-get download -qq $packages) >$folder/log 2>&1
    }
    packages=$(list_packages || true)
    if ! download; then
        # Lists that are missing or old name versions that are no longer there.
        [ "$(id -u)" = 0 ] && apt-get update -qq >$folder/log 2>&1 ||
            unavailable "apt-get download failed, see $folder/log (apt-get update?)"
        packages=$(list_packages || true)
        download || unavailable "apt-get download failed, see $folder/log"
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
