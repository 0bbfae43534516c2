#!/bin/sh
# Removes what install.sh has made.
set -eu

. "$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)/common.sh"

KEEP_DATA=no

usage() {
    cat <<'END'
Usage: uninstall.sh [--keep-data] [--dry-run]

Removes the service, the program, its user, its configuration and the alerts that still wait.

  --keep-data   keep configuration, waiting alerts and the user that they belong to
  --dry-run     print what would be done, change nothing
END
}

main() {
    while [ $# -gt 0 ]; do
        case $1 in
            --keep-data) KEEP_DATA=yes ;;
            --dry-run) DRY_RUN=yes ;;
            --help) usage && exit 0 ;;
            *) usage_error "unknown option '$1'" ;;
        esac
        shift
    done
    require_root
    remove_service
    remove_program
    if [ "$KEEP_DATA" = no ]; then remove_data; fi
}

remove_service() {
    if [ -e "$UNIT" ]; then
        ! systemd_runs || run systemctl stop "$SERVICE"
        run systemctl --quiet disable "$SERVICE"
    fi
    run rm -rf "$UNIT" "$UNIT.d"
    if systemd_runs; then
        run systemctl daemon-reload
        run systemctl reset-failed "$SERVICE" 2>/dev/null || true
    fi
}

remove_program() {
    if is_our_command; then run rm "$COMMAND"; fi
    run rm -rf "$PREFIX"
}

remove_data() {
    run rm -rf "$CONFIG_DIR" "$STATE_DIR"
    if getent passwd "$SERVICE_USER" >/dev/null; then run userdel "$SERVICE_USER"; fi
}

main "$@"
