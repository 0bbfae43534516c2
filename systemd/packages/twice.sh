#!/bin/sh
# Makes a release and its packages twice, from the same wheels and with all else different, and compares the bytes.
set -eu

[ $# -eq 5 ] || { echo "Usage: twice.sh PYTHON MACHINE 'VERSION…' EXTRAS WORK" >&2 && exit 2; }
PYTHON=$1
MACHINE=$2
VERSIONS=$3
EXTRAS=$4
WORK=$5
HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH

main() {
    rm -rf "$WORK"
    mkdir -p "$WORK"
    "$HERE/../wheelhouse.sh" "$PYTHON" "$MACHINE" "$VERSIONS" "$WORK/wheels" "$EXTRAS"
    (umask 022 && TZ=UTC && LANG=C.UTF-8 && export TZ LANG && make_all "$WORK/first/work" "$WORK/first/out")
    (umask 077 && TZ=Pacific/Auckland && LANG=C && export TZ LANG && make_all "$WORK/again/at/work" "$WORK/again/out")
    diff "$WORK/first/out/SHA256SUMS" "$WORK/again/out/SHA256SUMS" || { echo "twice.sh: not the same" >&2 && exit 1; }
    cat "$WORK/first/out/SHA256SUMS"
    echo "twice the same"
}

make_all() {
    # shellcheck disable=SC2086  # a list
    "$PYTHON" -m systemd.packages.deb --wheels "$WORK/wheels" --machine "$MACHINE" --python $VERSIONS --extras "$EXTRAS" \
        --work "$1" --out "$2" --maintainer "$(git log -1 --format='%an <%ae>')"
    "$PYTHON" -m systemd.packages.release --out "$2" --work "$1/release" --trees "$1"/*-a??64
    "$HERE/sums.sh" "$2"
}

main
