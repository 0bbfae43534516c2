"""Checks of what must be read and written: configuration, outbox, devices, and the user that does it."""

from __future__ import annotations

import grp
import os
import shutil
import stat
from pathlib import Path

from edge.config import Config
from edge.config.secrets import exposed
from edge.errors import EXIT_CONFIG, UnavailableError
from edge.mqtt.outbox import outbox_path, read_contents
from edge.tools.doctor.camera import camera_nodes, needs_device
from edge.tools.doctor.finding import Finding, failed, passed, skipped, warned
from edge.tools.doctor.target import ENTER, READ, SERVICE_USER, WRITE, Host

FILE_SUFFIXES = ("", "-wal", "-shm", ".lock", ".epoch")
"""The outbox's files; a run as root leaves them behind as root's."""

LITTLE_DISK_MB = 200.0
"""Beside a full outbox and its write-ahead log a system needs room of its own."""


def user(host: Host) -> Finding:
    """Whom the service runs as, and in which groups."""
    name = host.user.name
    names = sorted(filter(None, map(_group_name, host.user.groups)))
    text = f"{name} (uid {host.user.uid}), groups {', '.join(names)}"
    if name == SERVICE_USER:
        return passed(text)
    remedy = f"install the service with its own user; the checks below are for {name}"
    if host.user.uid == 0:
        return warned(f"{text}: no user '{SERVICE_USER}' here, and root may access everything", remedy)
    return passed(f"{text}; no user '{SERVICE_USER}' here, so the checks below are for {name}")


def config_readable(host: Host) -> Finding:
    """Whether the service's user can read the configuration, and nobody else change it."""
    path = host.config_file
    if path is None or not path.exists():
        return passed("there is none")
    mode = stat.S_IMODE(path.stat().st_mode)
    if not host.user.may(path, READ):
        remedy = f"`sudo chown root:{host.user.name} {path}` and `sudo chmod 640 {path}`"
        return failed(f"{path} cannot be read by {host.user.name}", remedy, EXIT_CONFIG)
    if mode & 0o002:
        return warned(f"{path} can be changed by anybody (mode {mode:o})", f"`sudo chmod o-w {path}`")
    if host.config is not None and (secret := exposed(path, host.config)) is not None:
        text, _, remedy = secret.partition("; ")
        return warned(text, remedy)
    return passed(f"{path}: {host.user.name} can read it")


def outbox(host: Host, config: Config) -> Finding:
    """Whether alerts can be kept on disk: room, a disk that is writable, a folder that the service may write to."""
    path = outbox_path(config.outbox, host.environ)
    folder = next(parent for parent in path.parents if parent.is_dir())
    free_mb = shutil.disk_usage(folder).free / 1e6
    need_mb = 2 * (config.outbox.max_bytes + config.outbox.history_max_bytes) / 1e6
    text, figures = f"{path}: {free_mb:.0f} MB free", {"free_mb": round(free_mb)}
    if (refusal := _refusal(host, path, folder)) is not None:
        what, remedy = refusal
        return failed(f"{text}, but {what}", remedy, **figures)
    if (fault := _fault_of(path)) is not None:
        what, _, remedy = fault.partition("; ")
        return warned(f"{text}; {what}", remedy, **figures)
    if free_mb < need_mb:
        return failed(f"{text}; a full outbox takes {need_mb:.0f} MB", "free some space (`df -h`)", **figures)
    if free_mb < need_mb + LITTLE_DISK_MB:
        return warned(text, "free some space (`df -h`)", **figures)
    return passed(text if folder == path.parent else f"{text}; the folder will be created", **figures)


def _refusal(host: Host, path: Path, folder: Path) -> tuple[str, str] | None:
    """Why the service could not write the outbox at ``path`` below the existing ``folder``, and the remedy."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        return "the disk is read-only", "mount it writable, or set outbox.path"
    name = host.user.name
    if not host.user.may(folder, WRITE | ENTER):
        return f"{name} may not write in {folder}", f"`sudo chown {name} {folder}`, or set outbox.path"
    files = [path.with_name(path.name + suffix) for suffix in FILE_SUFFIXES]
    if foreign := [str(file) for file in files if host.user.is_refused(file, READ | WRITE)]:
        remedy = f"stop whatever else uses it; `sudo chown {name} {' '.join(foreign)}`"
        return f"{name} may not write {', '.join(foreign)}", remedy
    return None


def _fault_of(path: Path) -> str | None:
    """What is wrong with the database that lies there, and the remedy."""
    try:
        read_contents(path)
    except UnavailableError as error:
        return str(error)
    return None


def device_permissions(host: Host, config: Config) -> Finding:
    """Whether the service's user may use the camera's device nodes."""
    if not needs_device(config.camera):
        return passed("no device is needed for this source")
    nodes = camera_nodes(host) + sorted((host.root / "dev/dma_heap").glob("*"))
    refused = [node for node in nodes if not host.user.may(node, READ | WRITE)]
    if not nodes:
        return skipped("no camera devices")
    if not refused:
        return passed(f"{host.user.name} may use all {len(nodes)} camera devices")
    groups = sorted({_group_name(node.stat().st_gid) or "?" for node in refused})
    return warned(
        f"{host.user.name} may not use {', '.join(map(str, refused[:3]))}{', …' if refused[3:] else ''}",
        f"`sudo usermod -aG {','.join(groups)} {host.user.name}` and start the service again",
    )


def _group_name(gid: int) -> str | None:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return None
