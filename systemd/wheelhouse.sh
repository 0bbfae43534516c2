#!/bin/sh
# Collects in a folder all that install.sh needs on a board without a network. 'make wheelhouse' calls it.
set -eu

usage() {
    cat <<'END'
Usage: wheelhouse.sh PYTHON MACHINE "VERSION…" DIR [EXTRAS]

  PYTHON    an interpreter with pip, of this machine
  MACHINE   aarch64 or x86_64: the board's processor
  VERSION   Python versions of the boards, such as 3.11 and 3.13
  DIR       folder to make; copy it to a stick
  EXTRAS    what boards use beyond the monitor, such as dashboard or can,metrics
END
}

# The numpy of apt on Debian 12 (3.11), Ubuntu 24.04 (3.12) and Debian 13 (3.13): the wheels beside it must go with it,
# because install.sh lets nothing replace it. That of Ubuntu 22.04 (3.10) is too old; the newest that there is serves.
system_numpy() {
    case $1 in
        3.10) echo 2.2.6 ;;
        3.11) echo 1.24.2 ;;
        3.12) echo 1.26.4 ;;
        3.13) echo 2.2.4 ;;
        *) echo "wheelhouse.sh: Python $1: Evenkeel needs 3.10, 3.11, 3.12 or 3.13" >&2 && return 2 ;;
    esac
}

# What a version needs beside the others: pip asks the Python that runs it whether a requirement concerns it.
besides() {
    [ "$1" != 3.10 ] || echo 'tomli>=2 typing-extensions>=4.6'
}

# pip knows no "or older": every glibc up to Ubuntu 22.04's, the oldest, is named.
platforms() {
    for minor in $(seq 17 35); do printf ' --platform manylinux_2_%s_%s' "$minor" "$1"; done
    printf ' --platform manylinux2014_%s' "$1"
}

main() {
    [ $# -eq 4 ] || [ $# -eq 5 ] || { usage >&2 && exit 2; }
    for version in $3; do system_numpy "$version" >/dev/null; done
    source=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
    mkdir -p "$4/systemd"
    # what an earlier build left would be taken up
    rm -rf "$source/build/lib" "$source"/build/bdist.* "$4"/*.whl
    "$1" -m pip --quiet wheel --no-deps --wheel-dir "$4" "$source"
    for version in $3; do
        numpy=$(system_numpy "$version")
        # the same numpy also as a wheel, for boards whose apt has installed none
        # shellcheck disable=SC2046  # lists of options and packages
        "$1" -m pip --quiet download --dest "$4" --only-binary :all: --python-version "$version" $(platforms "$2") \
            "$(ls "$4"/evenkeel-*.whl)${5:+[$5]}" "numpy==$numpy" $(besides "$version")
    done
    cp "$source"/systemd/*.sh "$source"/systemd/evenkeel* "$source"/systemd/README.md "$4/systemd/"
}

main "$@"
