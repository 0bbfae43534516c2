# shellcheck shell=sh
# Sourced by install.sh and uninstall.sh: where everything lies on the board, and how a step is said and done.
# shellcheck disable=SC2034  # used by those who source it

PREFIX=/opt/evenkeel
CONFIG_DIR=/etc/evenkeel
CONFIG=$CONFIG_DIR/evenkeel.toml
STATE_DIR=/var/lib/evenkeel
SERVICE=evenkeel.service
UNIT=/etc/systemd/system/$SERVICE
USES=$UNIT.d/uses.conf
COMMAND=/usr/local/bin/evenkeel
SERVICE_USER=evenkeel
DASHBOARD=evenkeel-dashboard.service
DASHBOARD_UNIT=/etc/systemd/system/$DASHBOARD
DASHBOARD_USER=evenkeel-dashboard
DASHBOARD_DIR=/var/lib/evenkeel-dashboard

DRY_RUN=no

say() {
    printf '%s\n' "$*"
}

warn() {
    printf '%s: warning: %s\n' "${0##*/}" "$*" >&2
}

fail() {
    printf '%s: %s\n' "${0##*/}" "$*" >&2
    exit 1
}

# Wrong usage has an exit code of its own, the same as the program's.
usage_error() {
    printf '%s: %s; %s --help lists the options\n' "${0##*/}" "$*" "${0##*/}" >&2
    exit 2
}

# Every step that changes something goes through here, so that --dry-run shows it instead.
run() {
    if [ "$DRY_RUN" = yes ]; then
        say "would run: $*"
    else
        "$@"
    fi
}

require_root() {
    [ "$(id -u)" -eq 0 ] || [ "$DRY_RUN" = yes ] || fail "needs root; run it with sudo"
}

systemd_runs() {
    [ -d /run/systemd/system ]
}

# A drop-in of our own beside the user's, written by PROGRAM: what nobody has configured is not allowed. One that cannot
# tell what is used leaves it as it is, and fails.
allow_what_is_used() {
    uses=$(cd / && runuser -u "$SERVICE_USER" -- "$1" doctor --drop-in --config "$CONFIG" 2>&1) || return 1
    if [ -n "$uses" ]; then
        install -d -m 755 "$(dirname "$USES")"
        printf '%s\n' "$uses" >"$USES.new"
        mv "$USES.new" "$USES"
    else
        rm -f "$USES"
    fi
}

is_our_command() {
    grep -qs "$PREFIX/current/bin/evenkeel" "$COMMAND"
}

stop_pages() {
    if [ -e "$DASHBOARD_UNIT" ]; then
        ! systemd_runs || run systemctl stop "$DASHBOARD"
        run systemctl --quiet disable "$DASHBOARD"
    fi
    run rm -rf "$DASHBOARD_UNIT" "$DASHBOARD_UNIT.d"
    ! systemd_runs || run systemctl daemon-reload
}
