#!/bin/sh
# What a Debian needs to build tandem.exe, to try it and to wrap it up; installs only what is missing.
# tools.sh build | test | installer, and more than one of them
set -eu

wanted=
needs() { # program package
    command -v "$1" >/dev/null 2>&1 || wanted="$wanted $2"
}

for what in "$@"; do
    case $what in
    build) needs x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64 ;;
    test)
        needs x86_64-w64-mingw32-gcc gcc-mingw-w64-x86-64
        needs wine wine
        [ -x /usr/lib/wine/wine64 ] || wanted="$wanted wine64"
        ;;
    installer) needs makensis nsis ;;
    *)
        echo "usage: $0 build | test | installer" >&2
        exit 2
        ;;
    esac
done

if [ -n "$wanted" ]; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "missing:$wanted. On Debian, as root: apt-get install --no-install-recommends$wanted" >&2
        exit 1
    fi
    apt-get update -qq
    # shellcheck disable=SC2086 # a list of packages
    apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends $wanted >&2
fi
