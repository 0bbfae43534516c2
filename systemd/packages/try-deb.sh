#!/bin/sh
# Tries the packages in a fresh Debian: install, upgrade, downgrade, remove, purge, and that they and install.sh do not get
# in each other's way. 'make deb-try' calls it, as root; it needs mmdebstrap and a mirror. systemd does not run in there:
# units are enabled, not started.
set -eu

HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
[ $# -eq 4 ] || { echo "Usage: try-deb.sh CODENAME WORK SUITE DIST, such as: bookworm build/deb deb12 dist" >&2 && exit 2; }
CODENAME=$1
WORK=$(mkdir -p "$2/try-$1" && readlink -f "$2/try-$1")
PACKAGE=$(echo "$4"/evenkeel_*+"$3"_"$(dpkg --print-architecture)".deb)
PAGES=$(echo "$4"/evenkeel-dashboard_*+"$3"_all.deb)

OLDER=0.0.1
CONFIG=/etc/evenkeel/evenkeel.toml
STATE=/var/lib/evenkeel

ROOT=$WORK/root

main() {
    [ "$(id -u)" -eq 0 ] || fail "needs root; run it with sudo"
    command -v mmdebstrap >/dev/null || fail "mmdebstrap is missing: apt-get install mmdebstrap"
    [ -f "$PACKAGE" ] && [ -f "$PAGES" ] || fail "$PACKAGE is not there; 'make deb PLATFORM=$(uname -m)' makes it"
    make_root
    trap 'rm -rf "$ROOT"' EXIT
    version=$(dpkg-deb --field "$PACKAGE" Version)
    make_older
    cp "$PACKAGE" "$ROOT/new.deb"
    cp "$PAGES" "$ROOT/pages.deb"
    cp -R "$HERE/.." "$ROOT/systemd"

    step "install"
    inside dpkg --install /new.deb /pages.deb
    is "$version"
    inside evenkeel --version
    inside runuser -u evenkeel -- evenkeel models >"$WORK/models.log"
    inside runuser -u evenkeel -- sh -c 'evenkeel replay /usr/lib/evenkeel/lib/python3*/site-packages/edge/tools/demo/clip.mp4 \
        --events /var/lib/evenkeel/events.jsonl' >"$WORK/replay.log"
    [ "$(grep -c '"start"' "$ROOT$STATE/events.jsonl")" -ge 2 ] || fail "the demo's clip gave no alerts"
    modes "640 root:evenkeel" $CONFIG
    modes "700 evenkeel:evenkeel" $STATE
    inside systemctl is-enabled evenkeel.service evenkeel-dashboard.service
    inside id -nG evenkeel | grep -qw video || fail "the user evenkeel is not in the group video"
    inside sh -c '! id -nG evenkeel-dashboard | grep -qE "video|evenkeel( |$)"' || fail "the dashboard's user has a camera"

    step "install.sh says no beside the package"
    says "the package evenkeel is installed" inside sh /systemd/install.sh

    step "downgrade, upgrade: configuration and alerts stay"
    sed -i 's/^#id = .*/id = "van-7"/' "$ROOT$CONFIG"
    echo waiting >"$ROOT$STATE/outbox.test"
    inside dpkg --install /old-pages.deb /old.deb 2>&1 | grep -i downgrading
    is $OLDER
    inside dpkg --install --force-confdef --force-confold /new.deb /pages.deb
    is "$version"
    inside evenkeel check $CONFIG --show | grep -q '"van-7"' || fail "an upgrade has lost the configuration"
    grep -q waiting "$ROOT$STATE/outbox.test" || fail "an upgrade has lost what waits"
    modes "640 root:evenkeel" $CONFIG

    step "what the configuration uses is allowed, a wrong one is said"
    inside groupadd --force --system audio
    printf '[cab.sound]\nenabled = true\n' >>"$ROOT$CONFIG"
    inside evenkeel-allow | grep -x 'DeviceAllow=char-alsa rw'
    echo 'no_such_key = 1' >>"$ROOT$CONFIG"
    says "refuses $CONFIG" inside dpkg --install /new.deb
    is "$version"
    grep -qx 'DeviceAllow=char-alsa rw' "$ROOT/etc/systemd/system/evenkeel.service.d/uses.conf" ||
        fail "a configuration that is refused has changed the drop-in"

    step "remove: configuration and alerts stay, the program is gone"
    inside dpkg --remove evenkeel-dashboard evenkeel
    [ ! -e "$ROOT/usr/lib/evenkeel" ] || fail "removal leaves $(find "$ROOT/usr/lib/evenkeel" | head -3)"
    [ -e "$ROOT$CONFIG" ] && [ -e "$ROOT$STATE/outbox.test" ] || fail "removal has taken configuration or alerts"
    says "still owns $CONFIG" inside sh /systemd/install.sh --dry-run

    step "purge: nothing stays but the users"
    inside dpkg --purge evenkeel-dashboard evenkeel
    left=$(find "$ROOT" -xdev \( -path "$ROOT/proc" -o -path "$ROOT/run/lock" -o -path "$ROOT/systemd" \) -prune -o -iname '*evenkeel*' -print)
    [ -z "$left" ] || fail "purging leaves $left"

    step "the package says no beside install.sh"
    mkdir -p "$ROOT/opt/evenkeel/releases/1"
    ln -s releases/1 "$ROOT/opt/evenkeel/current"
    says "uninstall.sh --keep-data" inside dpkg --install /new.deb
    inside dpkg --purge --force-remove-reinstreq evenkeel >/dev/null 2>&1 || true
    [ ! -e "$ROOT/usr/lib/evenkeel" ] || fail "what was refused is there all the same"
    step "done: all of it holds for $version on $CODENAME"
}

make_root() {
    # made once
    [ -e "$WORK/root.tar" ] || mmdebstrap --quiet --variant=minbase --include=python3-numpy,python3-venv,systemd \
        "$CODENAME" "$WORK/root.tar" ${MIRROR:+"$MIRROR"}
    rm -rf "$ROOT"
    mkdir "$ROOT"
    tar --extract --file "$WORK/root.tar" --directory "$ROOT" --exclude='./dev/*'
    echo force-unsafe-io >"$ROOT/etc/dpkg/dpkg.cfg.d/try" # a folder that is thrown away may do without fsync
}

# The same packages with an older version: what differs between versions is not at stake here.
make_older() {
    older "$PACKAGE" "$ROOT/old.deb"
    older "$PAGES" "$ROOT/old-pages.deb"
}

older() {
    rm -rf "$WORK/older"
    dpkg-deb --raw-extract "$1" "$WORK/older"
    sed -i "s/^Version: .*/Version: $OLDER/; s/= $version/= $OLDER/" "$WORK/older/DEBIAN/control"
    dpkg-deb --root-owner-group -Zgzip -z1 --build "$WORK/older" "$2" >/dev/null
    rm -rf "$WORK/older"
}

# With mounts and processes of its own, which go with it, and no network.
inside() {
    # shellcheck disable=SC2016  # for the inner shell
    unshare --mount --pid --net --fork --kill-child sh -c '
        root=$1; shift
        mount -t proc proc "$root/proc"
        mount -t tmpfs tmpfs "$root/dev"
        for node in null zero urandom; do touch "$root/dev/$node"; mount --bind "/dev/$node" "$root/dev/$node"; done
        exec chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
            DEBIAN_FRONTEND=noninteractive "$@"' sh "$ROOT" "$@"
}

is() {
    # shellcheck disable=SC2016  # for dpkg-query
    installed=$(inside dpkg-query --show --showformat='${db:Status-Status} ${Version}' evenkeel)
    [ "$installed" = "installed $1" ] || fail "installed is '$installed', not $1"
}

modes() {
    found=$(inside stat --format='%a %U:%G' "$2")
    [ "$found" = "$1" ] || fail "$2 is $found, not $1"
}

# Whether a command says this, whatever it ends with.
says() {
    wanted=$1
    shift
    said=$("$@" 2>&1) || true
    case $said in
        *"$wanted"*) printf '%s\n' "$said" | grep -F -- "$wanted" ;;
        *) fail "'$wanted' was not said by: $*; but: $said" ;;
    esac
}

step() {
    printf '== %s\n' "$*"
}

fail() {
    printf 'try-deb.sh: %s\n' "$*" >&2
    exit 1
}

main
