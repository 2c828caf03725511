#!/bin/sh
# static.sh [amd64] [arm64] : tandem as one file that needs nothing of the system (musl), for both machines, in target/static.
#
# zig links for both (pip install ziglang cargo-zigbuild). The standard library for them comes from rustup; where rustup can't bring
# it, it is built from Debian's sources (apt-get install rustc-web cargo-web rust-web-src).
set -eu
cd "$(dirname "$0")/.."
profile=${PROFILE:-release}
folder=$profile
[ "$profile" = dev ] && folder=debug
# Not beside the ordinary build: other flags would make that start from the beginning.
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/musl"
out=target/static

if ! command -v cargo-zigbuild >/dev/null || ! { command -v zig || python3 -m ziglang version; } >/dev/null 2>&1; then
    echo "zig isn't here: pip install ziglang cargo-zigbuild (in a virtual environment whose bin is in PATH)" >&2
    exit 1
fi

# The standard library's sources, beside the compiler that they belong to.
from_sources() {
    [ -x /usr/bin/rustc ] && [ -x /usr/bin/cargo ] && [ -d "$(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library" ]
}

for machine in ${*:-amd64 arm64}; do
    case $machine in
    amd64) target=x86_64-unknown-linux-musl ;;
    arm64) target=aarch64-unknown-linux-musl ;;
    *)
        echo "$machine: amd64 or arm64" >&2
        exit 2
        ;;
    esac
    set -- zigbuild --locked --bin tandem --profile "$profile" --target "$target"
    if rustup target add "$target" >/dev/null 2>&1; then
        cargo "$@"
    elif from_sources; then
        RUSTC_BOOTSTRAP=1 RUSTC=/usr/bin/rustc CARGO=/usr/bin/cargo /usr/bin/cargo "$@" -Z build-std=std,panic_abort,panic_unwind
    else
        echo "no standard library for $target: rustup can't bring it, and rust-web-src isn't installed" >&2
        exit 1
    fi
    mkdir -p "$out/$machine"
    cp "$CARGO_TARGET_DIR/$target/$folder/tandem" "$out/$machine/tandem"
    echo "$out/$machine/tandem"
done
