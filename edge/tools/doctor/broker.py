"""Checks of the way to the broker: who we say we are, and whether it lets us in."""

from __future__ import annotations

import stat
from datetime import datetime
from pathlib import Path

from edge.board.clock import uptime_s
from edge.board.sensors import clock_synced
from edge.compat import UTC
from edge.config import Config
from edge.config.secrets import shown, source_file
from edge.domain import Stamp
from edge.errors import EXIT_CONFIG, ConfigError, UnavailableError
from edge.mqtt.rehearsal import Rehearsal
from edge.mqtt.security import is_loopback, password_file
from edge.tools.doctor.finding import Finding, failed, failed_by, passed, warned
from edge.tools.doctor.target import READ, Host, User


def broker(host: Host, config: Config) -> Finding:
    """Whether the broker takes all that the service asks of it, tried under a name of its own beside a running one."""
    where = f"{config.mqtt.host}:{config.mqtt.port}"
    here = is_loopback(config.mqtt.host)
    log = "see `systemctl status mosquitto`" if here else "see the broker's log"
    try:
        verdict = Rehearsal(config, host.environ, _now()).run()
    except ConfigError as error:
        return failed_by(error, "correct [mqtt]")
    except UnavailableError as error:
        return failed_by(error, f"correct [mqtt], or the broker: {log}; alerts wait in the outbox meanwhile")
    secured = "with TLS" if config.mqtt.tls.enabled else "without TLS"
    who = config.mqtt.username or "a client without a name"
    text = f"{where} accepts {who} in {verdict.protocol}, {secured}"
    if verdict.shortcomings:
        texts = "; ".join(one.text for one in verdict.shortcomings)
        return failed(f"{text}, but {texts}", "; ".join(one.remedy for one in verdict.shortcomings))
    return passed(f"{text}, and accepts a last will, QoS 1, retained messages and {verdict.largest} bytes")


def _now() -> Stamp:
    return Stamp(datetime.now(UTC), uptime_s(), clock_synced=bool(clock_synced()))


def credentials(host: Host, config: Config) -> Finding:
    """Whether the service can read the files that it makes itself known by, and nobody else the secret ones."""
    tls, handed_over = config.mqtt.tls, password_file(config.mqtt, host.environ)
    camera = source_file(config, host.environ)
    secrets = [path for path in (handed_over, tls.key_file, camera) if path is not None]
    # what systemd hands over is read by root, the rest by the service
    tls_files = (tls.ca_file, tls.cert_file, tls.key_file) if tls.enabled else ()
    own = (config.mqtt.password_file, config.camera.source_file, *tls_files)
    name = host.user.name
    if refused := [path for path in own if path is not None and host.user.is_refused(path, READ)]:
        remedy = f"`sudo chown root:{name}` and `sudo chmod 640` it"
        return failed(f"{', '.join(map(shown, refused))} cannot be read by {name}", remedy, EXIT_CONFIG)
    if exposed := [path for path in secrets if _is_exposed(path, host.user)]:
        texts = [f"{shown(path)} (mode {stat.S_IMODE(path.stat().st_mode):o})" for path in exposed]
        return warned(f"others can read {', '.join(texts)}", f"`sudo chown root:{name}` and `sudo chmod 640` it")
    if open_doors := _open_doors(config):
        remedy = "set mqtt.tls.enabled = true, and mqtt.username with its password or a client certificate"
        return warned(f"the broker is on another machine ({config.mqtt.host}): {'; '.join(open_doors)}", remedy)
    if not secrets:
        return passed("none configured")
    return passed(f"{', '.join(map(shown, secrets))}: nobody else can read")


def _open_doors(config: Config) -> list[str]:
    """What a broker across a network makes possible to others there."""
    mqtt = config.mqtt
    if is_loopback(mqtt.host):
        return []
    doors = [] if mqtt.tls.enabled else ["without TLS anybody on the network path can read and change messages"]
    if mqtt.username is None and not (mqtt.tls.enabled and mqtt.tls.cert_file):
        doors.append("without a user name or certificate anybody can publish as this device")
    return doors


def _is_exposed(path: Path, user: User) -> bool:
    """Whether others than root and the service get at a file; one that is missing is the broker line's affair."""
    try:
        status = path.stat()
    except OSError:
        return False
    return bool(status.st_mode & (stat.S_IRWXO if status.st_gid == user.gid else stat.S_IRWXO | stat.S_IRWXG))
