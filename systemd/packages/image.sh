#!/bin/sh
# Makes an OCI image of a package in a fresh Debian, without a daemon and without a registry: mmdebstrap and buildah. As
# root; for another processor than this machine's also with qemu-user-static.
set -eu

[ $# -ge 3 ] && [ $# -le 4 ] || { echo "Usage: image.sh CODENAME evenkeel_….deb OUT.oci.tar [MIRROR]" >&2 && exit 2; }
CODENAME=$1
PACKAGE=$(readlink -f -- "$2")
OUT=$3
MIRROR=${4-}

fail() {
    printf 'image.sh: %s\n' "$*" >&2
    exit 1
}

[ "$(id -u)" -eq 0 ] || fail "needs root; run it with sudo"
for program in mmdebstrap buildah; do command -v $program >/dev/null || fail "$program is missing: apt-get install $program"; done
[ -f "$PACKAGE" ] || fail "$2 is not there; 'make deb' makes it"
[ -n "${SOURCE_DATE_EPOCH-}" ] || fail "SOURCE_DATE_EPOCH is not set: say when the sources were last changed"

version=$(dpkg-deb --field "$PACKAGE" Version)
architecture=$(dpkg-deb --field "$PACKAGE" Architecture)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# A container has no init: of systemd there are only the programs that make its user and folders.
# shellcheck disable=SC2016  # $1 is for mmdebstrap: the folder
mmdebstrap --quiet --variant=minbase --architectures="$architecture" \
    --include=python3-numpy,systemd-standalone-sysusers,systemd-standalone-tmpfiles \
    --customize-hook="cp '$PACKAGE' \"\$1/evenkeel.deb\"" \
    --customize-hook='chroot "$1" apt-get install -qy --no-install-recommends /evenkeel.deb' \
    --customize-hook='rm "$1/evenkeel.deb" "$1/etc/resolv.conf" "$1/etc/hostname"' \
    --customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/*' \
    "$CODENAME" "$work/root.tar" ${MIRROR:+"$MIRROR"} >&2

container=$(buildah from --arch "$architecture" scratch)
trap 'buildah rm "$container" >/dev/null; rm -rf "$work"' EXIT
buildah add --quiet "$container" "$work/root.tar" / >/dev/null
buildah config --arch "$architecture" --os linux --user evenkeel --workingdir / --stop-signal SIGTERM \
    --env PATH=/usr/sbin:/usr/bin:/sbin:/bin --env LANG=C.UTF-8 --env STATE_DIRECTORY=/var/lib/evenkeel \
    --env CREDENTIALS_DIRECTORY=/run/secrets --env ALIVE_FILE=/run/alive \
    --volume /var/lib/evenkeel --entrypoint '["/usr/bin/evenkeel"]' --cmd 'run --config /etc/evenkeel/evenkeel.toml' \
    --label org.opencontainers.image.title=evenkeel --label "org.opencontainers.image.version=$version" \
    --label org.opencontainers.image.licenses=Apache-2.0 "$container"
rm -f "$OUT"
buildah commit --quiet --disable-compression=false --format oci --timestamp "$SOURCE_DATE_EPOCH" "$container" \
    "oci-archive:$OUT:evenkeel:$(printf %s "$version" | tr + -)" >/dev/null # a tag knows no plus sign
printf '%s\n' "$OUT"
