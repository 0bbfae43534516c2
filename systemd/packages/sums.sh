#!/bin/sh
# Sums up the files of a folder in its SHA256SUMS, and signs that. systemd/verify.sh is the other half.
set -eu

usage() {
    cat <<'END'
Usage: sums.sh FOLDER [KEY]

  KEY  private Ed25519 key; without it nothing is signed. To make one, and what is given to those who verify:
         openssl genpkey -algorithm ed25519 -out evenkeel.key
         openssl pkey -in evenkeel.key -pubout -out evenkeel.pub
END
}

case $# in 1 | 2) ;; *) usage >&2 && exit 2 ;; esac
key=
if [ $# -eq 2 ]; then
    [ -f "$2" ] || { echo "sums.sh: $2: no such key; sums.sh without arguments tells how to make one" >&2 && exit 1; }
    key=$(readlink -f -- "$2")
fi
cd -- "$1"
rm -f SHA256SUMS SHA256SUMS.sig
sums=$(find . -type f -printf '%P\n' | LC_ALL=C sort | xargs -d '\n' sha256sum --)
printf '%s\n' "$sums" >SHA256SUMS
[ -z "$key" ] || openssl pkeyutl -sign -inkey "$key" -rawin -in SHA256SUMS -out SHA256SUMS.sig
