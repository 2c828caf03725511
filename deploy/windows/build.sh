#!/bin/sh
# Builds tandem.exe on Debian; standard output has nothing but the path of what was built.
# build.sh [--debug | --check]; CARGO names another cargo.
set -eu
cd "$(dirname "$0")/../.."
target=x86_64-pc-windows-gnu
cargo=${CARGO:-cargo}

verb=build folder=release more=--release
case ${1:-} in
--debug) folder=debug more= ;;
--check) verb=check more=--all-targets ;;
'') ;;
*)
    echo "usage: $0 [--debug | --check]" >&2
    exit 2
    ;;
esac
[ "$verb" = check ] || more="$more --bin tandem"

sh deploy/windows/tools.sh build

# Rust's own library for Windows: from rustup; where that has none, Debian's compiler makes it from its sources.
if rustup target list --installed 2>/dev/null | grep -qx $target || rustup target add $target >/dev/null 2>&1; then
    # shellcheck disable=SC2086 # words on purpose
    $cargo $verb --locked --target $target $more >&2
else
    if ! [ -e /usr/bin/cargo ] || ! [ -d /usr/lib/rustlib/src/rust/library ]; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
            echo "rustup has no library for $target; on Debian, as root: apt-get install --no-install-recommends rustc-web cargo-web rust-web-src" >&2
            exit 1
        fi
        apt-get -o DPkg::Lock::Timeout=600 install -y -qq --no-install-recommends rustc-web cargo-web rust-web-src >&2
    fi
    # shellcheck disable=SC2086 # words on purpose
    RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc /usr/bin/cargo $verb --locked --target $target $more \
        -Z build-std=std,panic_abort,panic_unwind >&2
fi
[ "$verb" = check ] || echo "$PWD/target/$target/$folder/tandem.exe"
