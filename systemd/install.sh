#!/bin/sh
# Installs Evenkeel as a service on Debian 12 and 13, Raspberry Pi OS and their like; upgrades it; goes back.
# Checks come first and change nothing. systemd/README.md says what lies where afterwards.
set -eu

HERE=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
. "$HERE/common.sh"

SOURCE=$(dirname -- "$HERE")
RELEASES=$PREFIX/releases
NEEDED_MB=1000

PYTHON=python3
WHEELS=
WITH_MOSQUITTO=no
START=yes
ROLLBACK=no
ALLOW=no

OLD=           # release that runs now, as the link 'current' names it; empty: none
RELEASE=       # release that is being made
SYSTEM_SITE=no # whether the environment sees apt's Python packages
PACKAGES=      # apt packages to install first
PAGES=         # whether the dashboard is a service too: yes, no; empty: as it is
FAULTS=0

usage() {
    cat <<'END'
Usage: install.sh [--wheels DIR] [--python P] [--with-mosquitto] [--dashboard] [--no-start] [--dry-run]
       install.sh --rollback [--no-start] [--dry-run]
       install.sh --allow [--wheels DIR] [--dashboard | --no-dashboard] [--no-start] [--dry-run]

Installs Evenkeel as a service, or upgrades it. Configuration and waiting alerts stay.

  --wheels DIR       take every Python package from DIR (see 'make wheelhouse'); uses no network
  --python P         Python 3.10 to 3.13 to run on; default: python3
  --with-mosquitto   install Debian's mosquitto too, as the broker on this board
  --dashboard        serve the pages of 'evenkeel dashboard' too, as a service of its own; upgrades keep it
  --no-dashboard     do so no more
  --no-start         do not start or restart the service
  --rollback         go back to the version that ran before the last upgrade
  --allow            only add what the configuration uses now: packages, and what the unit allows (sound, pins)
  --dry-run          check, print what would be done, change nothing
END
}

main() {
    # What this makes is for the service's user to read, whatever root's habit is.
    umask 022
    # Packages that root once installed for itself are not the service's.
    export PYTHONNOUSERSITE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
    unset PYTHONPATH PYTHONHOME

    parse_arguments "$@"
    require_root
    lock
    OLD=$(readlink "$PREFIX/current" || true)
    if [ "$ALLOW" = yes ]; then
        allow_only
    elif [ "$ROLLBACK" = yes ]; then
        roll_back
    else
        check_everything
        install_release
    fi
}

parse_arguments() {
    while [ $# -gt 0 ]; do
        case $1 in
            --wheels) WHEELS=$(argument "$@"); shift ;;
            --python) PYTHON=$(argument "$@"); shift ;;
            --with-mosquitto) WITH_MOSQUITTO=yes ;;
            --dashboard) PAGES=yes ;;
            --no-dashboard) PAGES=no ;;
            --no-start) START=no ;;
            --rollback) ROLLBACK=yes ;;
            --allow) ALLOW=yes ;;
            --dry-run) DRY_RUN=yes ;;
            --help) usage && exit 0 ;;
            *) usage_error "unknown option '$1'" ;;
        esac
        shift
    done
    if [ "$ROLLBACK" = yes ] && [ -n "$WHEELS" ]; then
        usage_error "--rollback goes back to what is installed; it takes no --wheels"
    fi
    if [ "$ROLLBACK" = yes ] && [ "$PAGES" = yes ]; then
        usage_error "--rollback goes back to what is installed; --allow --dashboard adds the dashboard"
    fi
    if [ -z "$PAGES" ] && [ -e "$DASHBOARD_UNIT" ]; then PAGES=yes; fi
}

argument() {
    case ${2-} in
        '' | --*) usage_error "$1 needs a value" ;;
    esac
    printf '%s\n' "$2"
}

lock() {
    [ "$DRY_RUN" = no ] || return 0
    exec 9>/run/lock/evenkeel-install
    flock -n 9 || fail "another install.sh is at work; wait for its end"
}

# --- checks: each says what is wrong with its remedy, and changes nothing ---

check_everything() {
    check_wheels
    check_init
    check_package
    check_disk
    check_python
    check_packages
    [ "$FAULTS" -eq 0 ] || fail "nothing was changed"
    check_config
}

fault() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    FAULTS=$((FAULTS + 1))
}

check_wheels() {
    if [ -z "$WHEELS" ]; then
        [ -f "$SOURCE/pyproject.toml" ] || fault "no source beside $HERE; name a folder of wheels with --wheels"
    elif ! WHEELS=$(CDPATH='' cd -- "$WHEELS" 2>/dev/null && pwd); then
        fault "--wheels: no such folder"
    elif ! ls "$WHEELS"/evenkeel-*.whl >/dev/null 2>&1; then
        fault "--wheels $WHEELS: holds no evenkeel-*.whl; make such a folder with 'make wheelhouse'"
    elif [ "$PAGES" = yes ] && ! ls "$WHEELS"/starlette-*.whl >/dev/null 2>&1; then
        fault "--wheels $WHEELS: holds nothing for the dashboard; make such a folder with 'make wheelhouse EXTRAS=dashboard'"
    fi
}

check_init() {
    command -v systemctl >/dev/null || fault "systemctl is missing; the service needs systemd"
}

# The Debian package has the unit, the command and the user too: one of the two ways at a time.
check_package() {
    case $(dpkg-query --show --showformat='${db:Status-Status}' evenkeel 2>/dev/null) in
        '' | not-installed) ;;
        config-files) warn "the removed package evenkeel still owns $CONFIG: apt-get purge evenkeel would delete it; \
\`dpkg --purge\` it before this, or keep a copy" ;;
        *) fault "the package evenkeel is installed; upgrade it with apt-get, or remove it first (apt-get remove evenkeel: \
configuration, alerts and user stay)" ;;
    esac
}

check_disk() {
    folder=$PREFIX
    until [ -d "$folder" ]; do folder=$(dirname "$folder"); done
    free_mb=$(($(df -Pk "$folder" | awk 'NR == 2 { print $4 }') / 1024))
    [ "$free_mb" -ge "$NEEDED_MB" ] || fault "$folder has $free_mb MB free; $NEEDED_MB MB are needed"
}

check_python() {
    if ! found=$(command -v "$PYTHON"); then
        fault "--python $PYTHON: no such program"
        return
    fi
    PYTHON=$found
    case $(readlink -f "$PYTHON") in
        /home/* | /root/*) fault "$PYTHON lies in a home folder, which the service cannot see; name another" ;;
    esac
    version=$(python_version)
    case $version in
        3.10 | 3.11 | 3.12 | 3.13) ;;
        *) fault "$PYTHON is Python $version; Evenkeel needs 3.10 to 3.13. Use Debian 12 or 13, or name another interpreter with --python" && return ;;
    esac
    case $("$PYTHON" -I -c 'import platform, struct; print(struct.calcsize("P") * 8, platform.machine())') in
        '64 aarch64' | '64 x86_64') ;;
        '32 '*) fault "$PYTHON is a 32-bit program; install the 64-bit Raspberry Pi OS (or Debian arm64)" ;;
        *) fault "$(uname -m): there is no TFLite runtime for this processor; aarch64 or x86_64 is needed" ;;
    esac
}

python_version() {
    "$PYTHON" -I -c 'import sys; print("%d.%d" % sys.version_info[:2])'
}

# apt's picamera2 is the only build that matches the system's libcamera, so a Pi's environment sees apt's packages.
check_packages() {
    [ "$FAULTS" -eq 0 ] || return 0
    "$PYTHON" -I -c 'import ensurepip, venv' 2>/dev/null || PACKAGES="$PACKAGES python$(python_version)-venv"
    if ! is_system_python; then
        ! is_pi || warn "$PYTHON is not the system's Python: picamera2 cannot be used, only a USB camera or a stream"
    elif has_picamera2; then
        SYSTEM_SITE=yes
    elif is_pi; then
        SYSTEM_SITE=yes
        PACKAGES="$PACKAGES python3-picamera2"
    fi
    packages_for_the_cab
    [ "$WITH_MOSQUITTO" = no ] || command -v mosquitto >/dev/null || PACKAGES="$PACKAGES mosquitto"
    if [ -n "$PACKAGES" ] && [ -n "$WHEELS" ]; then
        fault "missing, and not to be had without a network: apt-get install$PACKAGES"
    fi
}

# What the configuration names, where there is one already. Without a network it only warns: monitoring needs none of it.
packages_for_the_cab() {
    wanted=
    if configures 'cab\.sound' && ! command -v espeak-ng >/dev/null; then wanted="$wanted espeak-ng"; fi
    if configures '(cab\.gpio|cab\.button|vehicle\.gpio)' && [ "$SYSTEM_SITE" = yes ] &&
        ! "$PYTHON" -I -c 'import gpiozero, lgpio' 2>/dev/null; then
        wanted="$wanted python3-gpiozero python3-lgpio"
    fi
    if [ -n "$wanted" ] && [ -n "$WHEELS" ]; then
        warn "missing for what $CONFIG uses, and not to be had without a network: apt-get install$wanted"
    else
        PACKAGES="$PACKAGES$wanted"
    fi
}

# As a table of its own, or by dotted keys.
configures() {
    grep -Eqs "^[[:space:]]*(\[[[:space:]]*$1[[:space:]]*\]|$1\.)" "$CONFIG"
}

# Whether a key of this name, whatever its table, has a value that begins so.
sets() {
    grep -Eqs "^[[:space:]]*([a-z_]+\.)*$1[[:space:]]*=[[:space:]]*$2" "$CONFIG"
}

is_pi() {
    grep -qs 'Raspberry Pi' /proc/device-tree/model
}

is_system_python() {
    [ -x /usr/bin/python3 ] && [ "$(readlink -f "$PYTHON")" = "$(readlink -f /usr/bin/python3)" ]
}

has_picamera2() {
    "$PYTHON" -I -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("picamera2") is None)'
}

# Only a warning: the upgrade may be what mends it, and the new version is asked before it takes over.
check_config() {
    [ -f "$CONFIG" ] && [ -x "$PREFIX/current/bin/evenkeel" ] || return 0
    "$PREFIX/current/bin/evenkeel" check "$CONFIG" >/dev/null || warn "the installed version refuses $CONFIG"
}

# --- changes ---

install_release() {
    install_packages
    make_release
    make_user
    make_config
    verify "$RELEASE" || fail "the new version is not used; what was installed is unchanged"
    take_over "$RELEASE"
    keep_previous
    make_command
    serve_pages "$RELEASE"
    [ "$DRY_RUN" = yes ] || say "evenkeel $(version_of "$RELEASE") is installed; configuration: $CONFIG"
}

install_packages() {
    [ -n "$PACKAGES" ] || return 0
    run apt-get update -q
    # shellcheck disable=SC2086  # a list of names
    run env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $PACKAGES
    if [ "$SYSTEM_SITE" = no ] && is_system_python && has_picamera2; then SYSTEM_SITE=yes; fi
}

# A virtual environment of its own for each release: what runs is not touched while the next one is made.
make_release() {
    number=1
    while [ -e "$RELEASES/$number" ]; do number=$((number + 1)); done
    RELEASE=releases/$number
    run mkdir -p "$PREFIX/$RELEASE"
    [ "$DRY_RUN" = yes ] || trap 'rm -rf "${PREFIX:?}/$RELEASE"' EXIT
    if [ "$SYSTEM_SITE" = yes ]; then
        run "$PYTHON" -m venv --system-site-packages "$PREFIX/$RELEASE"
    else
        run "$PYTHON" -m venv "$PREFIX/$RELEASE"
    fi
    write_constraints
    install_python_packages
    copy_installer "$PREFIX/$RELEASE/systemd"
}

# A release goes back and is removed without the checkout or stick that it came from.
copy_installer() {
    run mkdir "$1"
    run install -m 755 -t "$1" "$HERE/install.sh" "$HERE/uninstall.sh" "$HERE/evenkeel"
    run install -m 644 -t "$1" "$HERE/common.sh" "$HERE/evenkeel.service" "$HERE/$DASHBOARD" "$HERE/evenkeel.toml" \
        "$HERE/README.md"
}

# apt's picamera2 and libcamera were built against apt's numpy: another one beside it breaks them.
write_constraints() {
    if [ "$DRY_RUN" = yes ]; then
        say "would write: $PREFIX/$RELEASE/constraints.txt: $(system_versions | tr '\n' ' ')"
    else
        system_versions >"$PREFIX/$RELEASE/constraints.txt"
    fi
}

system_versions() {
    [ "$SYSTEM_SITE" = yes ] || return 0
    "$PYTHON" -I - <<'END'
from importlib import metadata

for name in ("numpy", "opencv-python", "opencv-python-headless", "opencv-contrib-python"):
    try:
        print(f"{name}=={metadata.version(name)}")
    except metadata.PackageNotFoundError:
        pass
END
}

# --only-binary: a wheel that is missing is said at once; building one would take a board hours.
install_python_packages() {
    set -- "$PREFIX/$RELEASE/bin/pip" install --quiet --no-cache-dir --only-binary :all: \
        --constraint "$PREFIX/$RELEASE/constraints.txt"
    if [ -n "$WHEELS" ]; then
        run "$@" --no-index --find-links "$WHEELS" evenkeel || fail "$WHEELS does not hold what is needed for \
Python $(python_version) on $(uname -m); see 'make wheelhouse'"
    else
        copy_source
        run "$@" "$PREFIX/$RELEASE/source" || fail "pip could not install the packages; its reason stands above"
        run rm -rf "$PREFIX/$RELEASE/source"
    fi
    install_extras "$RELEASE"
}

# Packages for what the configuration names: a CAN bus, a databroker, Prometheus, pins where apt's are out of sight.
install_extras() {
    extras=
    if configures 'vehicle\.can'; then extras="$extras,can"; fi
    if configures 'vss'; then extras="$extras,vss"; fi
    if configures 'metrics' || sets 'metrics' '"'; then extras="$extras,metrics"; fi
    if [ "$PAGES" = yes ] || configures 'dashboard'; then extras="$extras,dashboard"; fi
    if configures '(dashboard\.)?history' || sets 'history' '[{]'; then extras="$extras,history"; fi
    if sets 'database' "[\"']postgresql"; then extras="$extras,postgresql"; fi
    if configures '(cab\.gpio|cab\.button|vehicle\.gpio)' && [ "$SYSTEM_SITE" = no ]; then extras="$extras,gpio"; fi
    [ -n "$extras" ] || return 0
    set -- "$PREFIX/$1/bin/pip" install --quiet --no-cache-dir --only-binary :all: \
        --constraint "$PREFIX/$1/constraints.txt"
    [ -z "$WHEELS" ] || set -- "$@" --no-index --find-links "$WHEELS"
    run "$@" "evenkeel[${extras#,}]" || fail "pip could not install what $CONFIG uses (${extras#,}); its reason stands \
above${WHEELS:+; add the missing wheels to $WHEELS}"
}

# A copy, because a build leaves files behind, and takes up what an earlier build left.
copy_source() {
    run mkdir "$PREFIX/$RELEASE/source"
    run cp -R "$SOURCE/pyproject.toml" "$SOURCE/README.md" "$SOURCE/LICENSE" "$SOURCE/edge" "$SOURCE/models" \
        "$PREFIX/$RELEASE/source"
}

make_user() {
    if ! getent passwd "$SERVICE_USER" >/dev/null; then
        run useradd --system --user-group --no-create-home --home-dir "$STATE_DIR" --shell /usr/sbin/nologin \
            "$SERVICE_USER"
    fi
    for group in video render; do
        if getent group "$group" >/dev/null; then run usermod --append --groups "$group" "$SERVICE_USER"; fi
    done
    run install -d -m 700 -o "$SERVICE_USER" -g "$SERVICE_USER" "$STATE_DIR"
}

# Nobody who serves pages has a camera or the monitor's files: a user of its own, in no other group.
make_dashboard_user() {
    getent passwd "$DASHBOARD_USER" >/dev/null || run useradd --system --user-group --no-create-home \
        --home-dir "$DASHBOARD_DIR" --shell /usr/sbin/nologin "$DASHBOARD_USER"
}

make_config() {
    run install -d -m 755 "$CONFIG_DIR"
    if [ -f "$CONFIG" ]; then
        # An older version left it readable for everybody, and a camera's address may hold a password.
        run chgrp "$SERVICE_USER" "$CONFIG"
        run chmod u+rw,g+r,o= "$CONFIG"
    else
        run install -m 640 -o root -g "$SERVICE_USER" "$HERE/evenkeel.toml" "$CONFIG"
    fi
}

make_command() {
    if [ -e "$COMMAND" ] && ! is_our_command; then
        warn "$COMMAND is another program and stays; ours is $PREFIX/current/bin/evenkeel"
        return
    fi
    run install -D -m 755 "$HERE/evenkeel" "$COMMAND"
}

# Whether a release can run here, asked as the user that will run it.
verify() {
    if [ "$DRY_RUN" = yes ]; then
        say "would verify: models and $CONFIG with $PREFIX/$1/bin/evenkeel, as $SERVICE_USER"
        return
    fi
    cd /
    runuser -u "$SERVICE_USER" -- "$PREFIX/$1/bin/evenkeel" models --config "$CONFIG" >/dev/null &&
        runuser -u "$SERVICE_USER" -- "$PREFIX/$1/bin/evenkeel" check "$CONFIG" >/dev/null
}

# Make a release the one that runs; where it does not become ready, go back to the one that ran before.
take_over() {
    activate "$1"
    trap - EXIT
    if start_service; then return; fi
    ! systemd_runs || journalctl --unit "$SERVICE" --lines 15 --no-pager >&2
    [ -n "$OLD" ] || fail "installed, but the service did not become ready; the journal's last lines stand above"
    activate "$OLD"
    start_service || warn "nor did the version before become ready"
    [ "$ROLLBACK" = yes ] || rm -rf "${PREFIX:?}/$1"
    fail "the service did not become ready; went back to evenkeel $(version_of "$OLD")"
}

# The link is replaced in one step, so that a power cut leaves the old release or the new one, and whole.
activate() {
    run sync
    run install -m 644 "$PREFIX/$1/systemd/evenkeel.service" "$UNIT.new"
    run mv "$UNIT.new" "$UNIT"
    allow_uses "$1"
    run ln -sfn "$1" "$PREFIX/current.new"
    run mv -T "$PREFIX/current.new" "$PREFIX/current"
}

allow_uses() {
    if [ "$DRY_RUN" = yes ]; then
        say "would write: $USES: what $CONFIG uses beyond a camera; nothing where it uses nothing"
        return
    fi
    # A release that cannot tell what is used leaves the drop-in as it is.
    allow_what_is_used "$PREFIX/$1/bin/evenkeel" || true
}

# The pages come behind the monitor: where they fail, it goes on, and this says so.
serve_pages() {
    case $PAGES in
        yes) ;;
        no) stop_pages && return ;;
        *) return 0 ;;
    esac
    if [ "$DRY_RUN" = no ] && ! has_pages "$1"; then
        warn "this version has no dashboard as a service: it is stopped until an upgrade with --dashboard"
        stop_pages && return
    fi
    make_dashboard_user
    run install -m 644 "$PREFIX/$1/systemd/$DASHBOARD" "$DASHBOARD_UNIT.new"
    run mv "$DASHBOARD_UNIT.new" "$DASHBOARD_UNIT"
    run systemctl --quiet enable "$DASHBOARD"
    systemd_runs || return 0
    run systemctl daemon-reload
    [ "$START" = yes ] || return 0
    run systemctl reset-failed "$DASHBOARD" 2>/dev/null || true
    if ! run systemctl restart "$DASHBOARD"; then
        journalctl --unit "$DASHBOARD" --lines 15 --no-pager >&2
        fail "the monitor runs, the dashboard does not; its journal's last lines stand above"
    fi
}

has_pages() {
    [ -f "$PREFIX/$1/systemd/$DASHBOARD" ] && "$PREFIX/$1/bin/python" -I -c 'import argon2, starlette, uvicorn' 2>/dev/null
}

allow_only() {
    [ -n "$OLD" ] || fail "there is no installation whose unit could allow anything"
    [ -z "$WHEELS" ] || check_wheels
    [ "$FAULTS" -eq 0 ] || fail "nothing was changed"
    [ "$DRY_RUN" = yes ] || verify "$OLD" || fail "nothing was changed"
    PYTHON=$PREFIX/$OLD/bin/python
    ! grep -qs 'include-system-site-packages = true' "$PREFIX/$OLD/pyvenv.cfg" || SYSTEM_SITE=yes
    packages_for_the_cab
    install_packages
    install_extras "$OLD"
    allow_uses "$OLD"
    start_service || fail "the service did not become ready; \`journalctl -u evenkeel\` tells why"
    serve_pages "$OLD"
    [ "$DRY_RUN" = no ] || return 0
    if [ ! -f "$USES" ]; then say "the unit allows a camera and nothing else"; else cat "$USES"; fi
}

# Type=notify: 'restart' returns when the first frame was read or the camera was declared absent.
start_service() {
    run systemctl --quiet enable "$SERVICE"
    if ! systemd_runs; then
        say "systemd does not run here: the service was not started; it starts at the next boot"
        return
    fi
    run systemctl daemon-reload
    [ "$START" = yes ] || return 0
    run systemctl reset-failed "$SERVICE" 2>/dev/null || true
    run systemctl restart "$SERVICE" && run sleep 5 && run systemctl --quiet is-active "$SERVICE"
}

# The version before stays for --rollback; installing the same version again does not push it out. Without a restart
# the service still runs from the release before, which then stays until the next installation.
keep_previous() {
    [ "$DRY_RUN" = no ] || return 0
    if [ -n "$OLD" ] && [ "$(version_of "$OLD")" != "$(version_of "$RELEASE")" ]; then
        ln -sfn "$OLD" "$PREFIX/previous"
    fi
    for folder in "$RELEASES"/*; do
        case releases/${folder##*/} in
            "$RELEASE" | "$(readlink "$PREFIX/previous" || true)") ;;
            "$OLD") [ "$START" = no ] || rm -rf "$folder" ;;
            *) rm -rf "$folder" ;;
        esac
    done
}

version_of() {
    "$PREFIX/$1/bin/python" -I -c 'from importlib.metadata import version; print(version("evenkeel"))'
}

roll_back() {
    RELEASE=$(readlink "$PREFIX/previous") || fail "there is no earlier version to go back to"
    verify "$RELEASE" || fail "the earlier version cannot run with $CONFIG; nothing was changed"
    take_over "$RELEASE"
    run ln -sfn "$OLD" "$PREFIX/previous"
    serve_pages "$RELEASE"
    [ "$DRY_RUN" = yes ] || say "went back to evenkeel $(version_of "$RELEASE"); --rollback again undoes it"
}

main "$@"
