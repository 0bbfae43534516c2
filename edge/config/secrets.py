"""Secrets that a configuration may hold or name: where a camera's address comes from, and what is never printed."""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path

from edge.config.schema import Config
from edge.errors import ConfigError

CAMERA_CREDENTIAL = "camera_source"
"""Name of systemd's credential (``LoadCredential=camera_source:…``)."""

HIDDEN = "…"

_QUOTES = r"\s'\"<>"
_ADDRESS = rf"[A-Za-z][\w+.-]*:/+[^{_QUOTES}]*"
_USER = re.compile(rf"([A-Za-z][\w+.-]*:/+)[^{_QUOTES}]*@|(?<![^{_QUOTES}=([])[^{_QUOTES}:@]+:[^{_QUOTES}@]+@(?=\w)")
_QUERY = re.compile(rf"([A-Za-z][\w+.-]*:/+[^{_QUOTES}?]*\?)[^{_QUOTES}]*[^{_QUOTES}:;,.]")
_ASSIGNED = re.compile(rf"\b((?:user-)?(?:pw|pwd|pass|passwd|password|secret|token)=)[^{_QUOTES}]+", re.IGNORECASE)
_PASSWORD = re.compile(
    rf":/+[^{_QUOTES}]*:[^{_QUOTES}]*@|\b(?:user-)?(?:pw|pwd|pass|passwd|password|secret|token|key)=", re.IGNORECASE
)


def redact(text: str) -> str:
    """``text`` as it may be shown: addresses without user, password and query, assigned passwords without value."""
    text = _USER.sub(lambda found: f"{found[1] or ''}{HIDDEN}@", text)
    return _ASSIGNED.sub(rf"\1{HIDDEN}", _QUERY.sub(rf"\1{HIDDEN}", text))


def shown(path: Path) -> str:
    """The name of a file with a secret, as it may be shown: a name without a folder may be the secret itself."""
    return HIDDEN if path.parent == Path() else redact(str(path))


def has_password(source: str) -> bool:
    """Whether a camera's address or pipeline holds a password."""
    return _PASSWORD.search(source) is not None


def with_camera_source(config: Config, environ: Mapping[str, str]) -> Config:
    """``config`` with the source that ``camera.source_file`` or systemd's credential holds, where one of them is there.

    A source that the configuration itself names goes before the credential. Where the board has none, the unit's
    credential is an empty line.

    Raises:
        ConfigError: the file is missing, unreadable, empty or not one line of text.
    """
    path = source_file(config, environ)
    if path is None:
        return config
    named = config.camera.source_file is not None
    text = _read(path)
    if not text and not named:
        return config
    if not text or "\n" in text:
        raise ConfigError(f"camera.source_file = {path}: expected one line, the camera's source")
    return config.model_copy(update={"camera": config.camera.model_copy(update={"source": text})})


def source_file(config: Config, environ: Mapping[str, str]) -> Path | None:
    """The file that the camera's source is read from, or None where the configuration names the source itself."""
    if config.camera.source_file is not None:
        return config.camera.source_file
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if not folder or "source" in config.camera.model_fields_set:
        return None
    credential = Path(folder) / CAMERA_CREDENTIAL
    return credential if credential.exists() else None


def exposed(file: Path | None, config: Config) -> str | None:
    """That a configuration file holds a password which everybody on this machine can read, with the remedy; or None."""
    if file is None or "source" not in config.camera.model_fields_set or not has_password(config.camera.source):
        return None
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
    except OSError:
        return None
    if not mode & stat.S_IROTH:
        return None
    return (
        f"{file}: camera.source holds a password, and everybody on this machine can read it (mode {mode:o}); "
        f"`sudo chmod 640 {file}`, or put the source into /etc/evenkeel/{CAMERA_CREDENTIAL} (mode 600)"
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        raise ConfigError(f"camera.source_file = {path}: not UTF-8 text") from None
    except OSError as error:
        raise ConfigError(
            f"camera.source_file = {shown(path)}: cannot be read: {error.strerror}; it takes the path of "
            "a file that holds the source"
        ) from None
