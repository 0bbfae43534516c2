"""The machine that is looked at."""

from __future__ import annotations

import os
import pwd
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from edge.camera import Camera, open_camera
from edge.config import CameraConfig, Config, load_config
from edge.config.secrets import CAMERA_CREDENTIAL, with_camera_source
from edge.errors import ConfigError
from edge.mqtt.security import CREDENTIAL

SERVICE_USER = "evenkeel"
"""Name of the user that the unit runs as, of its folders in /etc and /var/lib, and of the program."""


READ, WRITE, ENTER = 4, 2, 1
"""What may be done with a file or folder, as permission bits."""


@dataclass(frozen=True, slots=True)
class User:
    """A user of this machine, and what the permission bits of a file let that user do.

    ``groups`` are all the user's groups, ``gid`` is the own one.
    """

    name: str
    uid: int
    groups: frozenset[int]
    gid: int | None = None

    @classmethod
    def current(cls) -> User:
        """Whoever runs this."""
        uid = os.getuid()
        try:
            name = pwd.getpwuid(uid).pw_name
        except KeyError:  # a container's user need not be in its passwd
            name = str(uid)
        return cls(name, uid, frozenset({os.getgid(), *os.getgroups()}), os.getgid())

    @classmethod
    def named(cls, name: str) -> User | None:
        """The user called ``name``, or None."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            return None
        return cls(name, entry.pw_uid, frozenset(os.getgrouplist(name, entry.pw_gid)), entry.pw_gid)

    def may(self, path: Path, wanted: int) -> bool:
        """Whether ``path``'s own bits allow all of ``wanted`` (READ, WRITE, ENTER).

        Raises:
            OSError: the path cannot be looked at.
        """
        status = path.stat()
        if self.uid == 0:
            return True
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid in self.groups else 0
        return status.st_mode >> shift & wanted == wanted

    def is_refused(self, path: Path, wanted: int) -> bool:
        """Whether it is known that this user may not; nothing is known of what is missing or cannot be looked at."""
        try:
            return not self.may(path, wanted)
        except OSError:
            return False


@dataclass(frozen=True, slots=True)
class Host:
    """Everything that the checks look at. ``root`` is the folder that /proc, /sys, /dev, /etc and /run are found in.

    ``config`` is None where the configuration is wrong, and ``fault`` then says why. ``user`` is the one that the
    service runs as: 'evenkeel' where that exists, else whoever runs this.
    """

    config: Config | None
    fault: ConfigError | None
    config_file: Path | None
    environ: Mapping[str, str]
    user: User
    root: Path = Path("/")
    open_camera: Callable[[CameraConfig], Camera] = open_camera

    @classmethod
    def here(cls, config_file: Path | None, environ: Mapping[str, str]) -> Host:
        """This machine, with what the configuration says."""
        config, fault = None, None
        try:
            config = load_config(config_file, environ)
            config = with_camera_source(config, service_environ(environ))
        except ConfigError as error:
            fault = error
        user = User.named(SERVICE_USER) or User.current()
        return cls(config, fault, config_file, service_environ(environ), user)

    @property
    def proc(self) -> Path:
        """Where processes are told of."""
        return self.root / "proc"

    @property
    def sys(self) -> Path:
        """Where devices are told of."""
        return self.root / "sys"


def service_environ(environ: Mapping[str, str], root: Path = Path("/")) -> dict[str, str]:
    """``environ`` with what systemd adds for the installed unit, so that the same outbox and password are looked at."""
    known = {}
    state = root / "var/lib" / SERVICE_USER
    if state.is_dir():
        known["STATE_DIRECTORY"] = str(state)
    if any(os.access(root / "etc" / SERVICE_USER / name, os.R_OK) for name in (CREDENTIAL, CAMERA_CREDENTIAL)):
        known["CREDENTIALS_DIRECTORY"] = str(root / "etc" / SERVICE_USER)
    return known | dict(environ)


def read_text(path: Path) -> str | None:
    """The file's text without surrounding blanks and NULs; None where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n\t")
    except OSError:
        return None
