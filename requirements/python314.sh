#!/usr/bin/env bash
# Makes .cache/pythons/bin/python3.14, a CPython 3.14 for the tests where none is installed. It
# comes from Debian unstable's packages in a root folder of its own. The program enters that
# folder by chroot in a mount namespace, with the folders of this machine in their places. Needs
# root, and mmdebstrap, which it installs from Debian. Called by `make setup-python314`; safe to
# repeat.
set -euo pipefail
cd "$(dirname "$0")/.."
home=$PWD/.cache/pythons
root=$home/python3.14

if [ "$(id -u)" != 0 ] || ! unshare --mount true; then
    echo "make setup-python314: needs root, and to be allowed a mount namespace" >&2
    exit 1
fi
command -v mmdebstrap >/dev/null || {
    apt-get update -q
    apt-get install -y -q --no-install-recommends mmdebstrap
} >/dev/null
mkdir -p "$home/bin"
if [ ! -x "$root/usr/bin/python3.14" ]; then
    rm -rf "$root"
    # A mirror may lag behind: the age of the archive's index is not checked.
    mmdebstrap --quiet --mode=root --variant=extract --aptopt='Acquire::Check-Valid-Until "false"' \
        --include=base-files,libc6,libstdc++6,python3.14,python3.14-minimal,libpython3.14-stdlib sid "$root"
fi
cat >"$home/bin/python3.14" <<SCRIPT
#!/bin/sh
# Written by requirements/python314.sh.
root='$root'
exec unshare --mount sh -c '
    root=\$0
    for folder in /*/; do
        case \$folder in /usr/|/bin/|/sbin/|/lib*/|/etc/|/var/|/lost+found/) continue ;; esac
        mkdir -p "\$root\$folder" && mount --rbind "\$folder" "\$root\$folder" || exit 126
    done
    exec unshare --root="\$root" --wd="\$PWD" /usr/bin/python3.14 "\$@"
' "\$root" "\$@"
SCRIPT
chmod 755 "$home/bin/python3.14"
"$home/bin/python3.14" -I -c 'import ctypes, json, ssl, sys
print("Python", sys.version.split()[0], "in .cache/pythons")'
