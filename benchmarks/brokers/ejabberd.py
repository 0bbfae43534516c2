"""ejabberd with mod_mqtt, run by hand in a folder of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.brokers.erlang import private_environment
from benchmarks.server import Server, program

CONFIG = """hosts: [localhost]
loglevel: warning
auth_method: anonymous
anonymous_protocol: login_anon
allow_multiple_connections: true
acme: {{auto: false}}
listen:
  - port: {port}
    ip: "127.0.0.1"
    module: mod_mqtt
{listener}
modules:
  mod_mqtt:
    max_topic_depth: 8
{settings}
"""


class Ejabberd(Server):
    """A node without a name, so that it needs no port mapper. Settings are lines of YAML, not indented."""

    name = "ejabberd"
    start_deadline_s = 60.0
    user = ("anybody", "anything")  # it asks for a name, and takes every one

    def __init__(self, folder: Path, settings: str = "", listener: str = "") -> None:
        super().__init__(folder)
        text = CONFIG.format(port=self.port, listener=_indented(listener), settings=_indented(settings))
        (folder / "ejabberd.yml").write_text(text)

    @classmethod
    def missing(cls) -> str | None:
        """Whether it is installed."""
        there = _libraries() is not None and program("erl")
        return None if there else "ejabberd is not installed (apt-get install ejabberd)"

    @classmethod
    def version(cls) -> str:
        """From the name of its folder."""
        found = re.search(r"ejabberd-([\d.]+)", str(_libraries()))
        return found[1] if found else "of an unknown version"

    def forget(self) -> None:
        """Delete its database."""
        shutil.rmtree(self.folder / "data", ignore_errors=True)

    def _command(self) -> Sequence[str]:
        code, data = _libraries(), self.folder / "data"
        return [program("erl") or "erl", "-noinput", "-pa", str(code), "-mnesia", "dir", f'"{data}"', "-s", "ejabberd"]

    def _environment(self) -> Mapping[str, str]:
        return private_environment(
            self.folder / "home",
            {
                "ERL_LIBS": str(code.parent.parent) if (code := _libraries()) else "",
                "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
                "EJABBERD_LOG_PATH": str(self.folder / "logs" / "ejabberd.log"),
                "SPOOL_DIR": str(self.folder / "data"),
            },
        )


def _libraries() -> Path | None:
    """The folder of ejabberd's compiled modules."""
    return next(iter(sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin"), reverse=True)), None)


def _indented(lines: str) -> str:
    return "\n".join(f"    {line}" for line in lines.splitlines())
