#!/bin/sh
# Whether a folder is what its maker has signed: SHA256SUMS by a key (Ed25519), all files by SHA256SUMS. Needs openssl.
set -eu

usage() {
    cat <<'END'
Usage: verify.sh PUBLIC_KEY FOLDER

Says whether FOLDER holds what the owner of PUBLIC_KEY has signed, and nothing besides; ends with 1 where it does not.
END
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

main() {
    case ${1-} in --help) usage && exit 0 ;; esac
    [ $# -eq 2 ] || { usage >&2 && exit 2; }
    command -v openssl >/dev/null || fail "openssl is missing: apt-get install openssl"
    [ -f "$1" ] || fail "$1: no such file"
    key=$(readlink -f -- "$1")
    cd -- "$2" 2>/dev/null || fail "$2: no such folder"
    for file in SHA256SUMS SHA256SUMS.sig; do [ -f $file ] || fail "$2 holds no $file: it is not signed"; done
    openssl pkeyutl -verify -pubin -inkey "$key" -rawin -in SHA256SUMS -sigfile SHA256SUMS.sig >/dev/null 2>&1 ||
        fail "$2: the signature is not by the owner of $1; do not use it"
    sha256sum --check --strict --quiet SHA256SUMS || fail "$2: a file is not the one that was signed; do not use it"
    find . ! -type d ! -path ./SHA256SUMS ! -path ./SHA256SUMS.sig | sed 's|^\./||' | while read -r file; do
        grep -qxE "[0-9a-f]{64}  (\./)?$(printf '%s' "$file" | sed 's|[][\.*^$+?(){}|]|\\&|g')" SHA256SUMS ||
            fail "$2: nobody has signed $file; take it away"
    done
    printf '%s\n' "$2 is what the owner of $1 has signed"
}

main "$@"
