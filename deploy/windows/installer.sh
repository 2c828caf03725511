#!/bin/sh
# Wraps a tandem.exe into its installer; standard output has nothing but the path.
# installer.sh TANDEM.EXE
set -eu
cd "$(dirname "$0")/../.."
exe=$(realpath "$1")
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
out=$PWD/target/tandem-$version-setup.exe
makensis -V2 -INPUTCHARSET UTF8 "-DEXE=$exe" "-DVERSION=$version" "-DOUT=$out" deploy/windows/tandem.nsi >&2
echo "$out"
