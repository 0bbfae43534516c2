"""aedes, a broker for Node.js that keeps everything in memory."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.server import Server, program

RELEASE = "0.51.3"
"""The last line that runs on the Node.js 18 of Debian 12."""

MODULES = Path(__file__).resolve().parents[2] / "build" / "brokers" / "node_modules"
SCRIPT = Path(__file__).with_suffix(".cjs")


class Aedes(Server):
    """A broker of its own with these options of aedes; without ``retain`` it keeps no retained message."""

    name = "aedes"

    def __init__(self, folder: Path, options: Mapping[str, Any] | None = None, *, retain: bool = True) -> None:
        super().__init__(folder)
        self._options = json.dumps(options or {})
        self._retain = retain

    @classmethod
    def missing(cls) -> str | None:
        """Whether Node.js and aedes are installed."""
        if program("node") is None:
            return "Node.js is not installed (apt-get install nodejs npm)"
        there = (MODULES / "aedes" / "package.json").exists()
        return None if there else f"aedes is not installed (npm install --prefix {MODULES.parent} aedes@{RELEASE})"

    @classmethod
    def version(cls) -> str:
        """As its package says."""
        return str(json.loads((MODULES / "aedes" / "package.json").read_text())["version"])

    def forget(self) -> None:
        """It keeps nothing anyway."""

    def _command(self) -> Sequence[str]:
        modules = str(MODULES.resolve())
        return [
            program("node") or "node",
            str(SCRIPT),
            modules,
            str(self.port),
            self._options,
            str(self._retain).lower(),
        ]
