"""Checks of the way to the broker: who we say we are, and whether it lets us in."""

from __future__ import annotations

import stat
from pathlib import Path

from edge.config import Config
from edge.doctor.finding import Finding, failed_by, passed, warned
from edge.doctor.host import Host
from edge.errors import ConfigError, UnavailableError
from edge.mqtt.connect import client_id
from edge.mqtt.errand import knock
from edge.mqtt.security import is_loopback, password_file


def broker(host: Host, config: Config) -> Finding:
    """Whether the broker accepts a connection, made under a name of its own beside a running service's."""
    where = f"{config.mqtt.host}:{config.mqtt.port}"
    try:
        knock(config, host.environ, f"{client_id(config)}-doctor")
    except ConfigError as error:
        return failed_by(error, "correct [mqtt]")
    except UnavailableError as error:
        here = is_loopback(config.mqtt.host)
        remedy = "`systemctl status mosquitto` tells more" if here else "the broker's log tells more"
        return failed_by(error, f"correct [mqtt], or the broker: {remedy}; alerts wait in the outbox meanwhile")
    secured = "with TLS" if config.mqtt.tls.enabled else "without TLS"
    return passed(f"{where} accepts {config.mqtt.username or 'a client without a name'}, {secured}")


def credentials(host: Host, config: Config) -> Finding:
    """Whether others can read the password or the key."""
    files = [path for path in (password_file(config.mqtt, host.environ), config.mqtt.tls.key_file) if path is not None]
    if not files:
        return passed("none are configured")
    open_ones = [f"{path} (mode {mode:o})" for path in files if (mode := _mode(path)) & 0o077]
    if open_ones:
        return warned(f"others can read {', '.join(open_ones)}", "`sudo chmod 600` it, owned by root or by the service")
    return passed(f"{', '.join(map(str, files))}: only the owner can read")


def _mode(path: Path) -> int:
    """Permission bits; none for a file that is missing, which is the broker line's affair."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return 0
