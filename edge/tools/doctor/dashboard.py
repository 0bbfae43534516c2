"""Whether the dashboard can serve its pages, where the installer has made a service of it."""

from __future__ import annotations

import grp
import importlib.util
import socket

from edge.config import Config
from edge.errors import EXIT_CONFIG, ConfigError
from edge.tools.doctor.finding import Finding, failed, failed_by, passed, skipped, warned
from edge.tools.doctor.installed import add_dashboard, has_unit
from edge.tools.doctor.target import READ, Host, User

UNIT = "evenkeel-dashboard.service"
USER = "evenkeel-dashboard"
PACKAGES = ("argon2", "starlette", "uvicorn")
ANSWER_S = 2.0


def dashboard(host: Host, config: Config) -> Finding:
    """Its packages, who may look, what its user may read, and whether it answers."""
    if not has_unit(host.root, UNIT):
        return skipped("no service here", f"{add_dashboard()} makes it one")
    if missing := [name for name in _packages(config) if importlib.util.find_spec(name) is None]:
        return failed(f"it lacks {', '.join(missing)}", add_dashboard())
    from edge.dashboard.command import check_doors  # noqa: PLC0415 - needs those packages

    try:
        check_doors(config)
    except ConfigError as error:
        return failed_by(error, "correct [dashboard]")
    user = User.named(USER)
    if user is None:
        return failed(f"there is no user {USER}", add_dashboard())
    if (found := _user(user, config)) is not None:
        return found
    return _answers(config)


def _packages(config: Config) -> list[str]:
    """What it needs as it is configured."""
    wanted, history = list(PACKAGES), config.dashboard.history
    if config.dashboard.metrics is not None:
        wanted.append("prometheus_client")
    if history.collect or history.database is not None:
        wanted += ["alembic", "prometheus_client", "sqlalchemy"]
    if (history.database or "").startswith("postgresql"):
        wanted.append("psycopg")
    return list(dict.fromkeys(wanted))


def _user(user: User, config: Config) -> Finding | None:
    """What is wrong with whom it runs as: it needs its certificate, and nothing that the monitor has."""
    if others := sorted(name for name in map(_name, user.groups) if name not in (None, USER)):
        text = f"{USER} is in the groups {', '.join(map(str, others))}, whose devices and files it has no need of"
        return warned(text, f"`sudo gpasswd -d {USER} {others[0]}`")
    for file in (config.dashboard.cert_file, config.dashboard.key_file):
        if file is not None and user.is_refused(file, READ):
            remedy = f"`sudo chgrp {USER} {file}` and `sudo chmod 640 {file}`"
            return failed(f"{file} cannot be read by {USER}", remedy, EXIT_CONFIG)
    return None


def _answers(config: Config) -> Finding:
    name, port = config.dashboard.address
    here = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(name, name)  # noqa: S104 - where it listens, not where we do
    try:
        socket.create_connection((here, port), ANSWER_S).close()
    except OSError as error:
        text = f"nothing answers at {config.dashboard.listen}: {error.strerror or error}"
        return failed(text, "`sudo systemctl restart evenkeel-dashboard`; `journalctl -u evenkeel-dashboard` tells why")
    who = "with a password" if config.dashboard.has_password else "for whoever is at this machine"
    return passed(f"serves its pages at {config.dashboard.listen}, {who}")


def _name(gid: int) -> str | None:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None
