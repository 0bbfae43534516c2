#!/bin/sh
# Removes what install.sh has made.
set -eu

. "$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/common.sh"

KEEP_DATA=no
RETIRE=ask

usage() {
    cat <<'END'
Usage: uninstall.sh [--retire | --no-retire] [--keep-data] [--dry-run]

Removes the services, the program, its users, its configuration and the alerts that still wait.

  --retire      have the broker forget this device: what it retains of it, and Home Assistant's entry
  --no-retire   leave that there; default: ask at a terminal, else leave it and say so
  --keep-data   keep configuration, waiting alerts and the user that they belong to; the broker is not asked about
  --dry-run     print what would be done, change nothing
END
}

main() {
    while [ $# -gt 0 ]; do
        case $1 in
            --keep-data) KEEP_DATA=yes ;;
            --retire) RETIRE=yes ;;
            --no-retire) RETIRE=no ;;
            --dry-run) DRY_RUN=yes ;;
            --help) usage && exit 0 ;;
            *) usage_error "unknown option '$1'" ;;
        esac
        shift
    done
    require_root
    [ "$KEEP_DATA" = no ] || [ "$RETIRE" = yes ] || RETIRE=no
    remove_service
    retire_device
    remove_program
    if [ "$KEEP_DATA" = no ]; then remove_data; fi
}

remove_service() {
    stop_pages
    if [ -e "$UNIT" ]; then
        ! systemd_runs || run systemctl stop "$SERVICE"
        run systemctl --quiet disable "$SERVICE"
    fi
    run rm -rf "$UNIT" "$UNIT.d"
    if systemd_runs; then
        run systemctl daemon-reload
        run systemctl reset-failed "$SERVICE" "$DASHBOARD" 2>/dev/null || true
    fi
}

# After the service has stopped, before the program that can do it is gone.
retire_device() {
    [ "$RETIRE" != no ] && [ -f "$CONFIG" ] && [ -x "$PREFIX/current/bin/evenkeel" ] || return 0
    if [ "$RETIRE" = ask ] && [ -t 0 ] && [ "$DRY_RUN" = no ]; then
        printf '%s' "Have the broker forget this device (retained state and alerts, Home Assistant's entry)? [Y/n] "
        read -r answer || answer=n
        case $answer in
            '' | [Yy]*) RETIRE=yes ;;
            *) return 0 ;;
        esac
    elif [ "$RETIRE" = ask ]; then
        warn "the broker still retains what this device said last; --retire has it forgotten"
        return 0
    fi
    run env STATE_DIRECTORY="$STATE_DIR" CREDENTIALS_DIRECTORY="$CONFIG_DIR" \
        "$PREFIX/current/bin/evenkeel" retire --config "$CONFIG" ||
        warn "the broker was not told; 'evenkeel retire' of another installation with the same [mqtt] and device.id does it"
}

remove_program() {
    if is_our_command; then run rm "$COMMAND"; fi
    run rm -rf "$PREFIX"
}

remove_data() {
    run rm -rf "$CONFIG_DIR" "$STATE_DIR" "$DASHBOARD_DIR"
    for user in "$SERVICE_USER" "$DASHBOARD_USER"; do
        if getent passwd "$user" >/dev/null; then run userdel "$user"; fi
    done
}

main "$@"
