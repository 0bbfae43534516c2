"""The clients as processes: servers that listen, and recorders that write down what they get."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.server import BrokerError, Server, program

ROOT = Path(__file__).resolve().parents[2]
BUILT = ROOT / "build" / "clients"
MODULES = BUILT / "node_modules"
PYTHON = BUILT / "venv" / "bin" / "python"

Number = tuple[str, int, int]
"""What names an alert: device, epoch, sequence."""


def missing() -> list[str]:
    """What is not installed, each with the command that installs it."""
    wanted = {"node": "nodejs", "mosquitto_sub": "mosquitto-clients", "jq": "jq", "prometheus": "prometheus"}
    wanted["mosquitto"] = "mosquitto"
    lacking = [
        f"{name} is not installed (apt-get install {package})" for name, package in wanted.items() if not program(name)
    ]
    if not (PYTHON.exists() and MODULES.exists()):
        lacking.append("the clients' packages are not installed (make clients does it)")
    return lacking


def node_version(package: str) -> str:
    """A package's version, as it says."""
    return str(json.loads((MODULES / package / "package.json").read_text())["version"])


def python_version(package: str) -> str:
    """The same for a package of the clients' environment."""
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return run([PYTHON, "-c", code]).strip()


def run(command: Sequence[str | Path], *, told: bytes = b"", folder: Path | None = None) -> str:
    """Run a command to its end and return what it says.

    Raises:
        subprocess.CalledProcessError: it fails.
    """
    done = subprocess.run(command, cwd=folder, input=told, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True)  # noqa: S603 - our own commands
    return done.stdout.decode()


class NodeRed(Server):
    """Node-RED with a folder of its own; flows that it was given are still there after a kill."""

    name = "Node-RED"
    start_deadline_s = 90.0

    def __init__(self, folder: Path, settings: str) -> None:
        super().__init__(folder)
        (folder / "settings.js").write_text(settings)

    @classmethod
    def missing(cls) -> str | None:
        """Whether it is installed."""
        return None if (MODULES / "node-red").exists() else "Node-RED is not installed (make clients does it)"

    @classmethod
    def version(cls) -> str:
        """As its package says."""
        return node_version("node-red")

    def forget(self) -> None:
        """Nobody asks for it."""

    def deploy(self, flow: Sequence[Mapping[str, Any]]) -> None:
        """Give it these nodes through its admin API, in place of all others.

        Raises:
            BrokerError: it refuses them.
        """
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/flows",
            json.dumps(flow).encode(),
            {"Content-Type": "application/json", "Node-RED-Deployment-Type": "full"},
        )
        deadline = time.monotonic() + 30
        while not self._takes(request):  # it listens before its API is there
            if time.monotonic() > deadline:
                raise BrokerError(f"Node-RED does not take the flow:\n{self.log}")
            time.sleep(0.5)

    @staticmethod
    def _takes(request: urllib.request.Request) -> bool:
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - as above
                return bool(answer.status == 204)
        except urllib.error.URLError:
            return False

    def _command(self) -> Sequence[str]:
        red = MODULES / "node-red" / "red.js"
        settings = str(self.folder / "settings.js")
        return [program("node") or "node", str(red), "-u", str(self.folder), "-s", settings, "-p", str(self.port)]


class Exporter(Server):
    """mqtt-exporter, told by the lines of an environment file."""

    name = "mqtt-exporter"
    start_deadline_s = 30.0

    def __init__(self, folder: Path, environment: str, broker_port: int) -> None:
        super().__init__(folder)
        told = dict(line.split("=", 1) for line in environment.splitlines())
        self._told = told | {"MQTT_PORT": str(broker_port), "PROMETHEUS_PORT": str(self.port)}

    @classmethod
    def missing(cls) -> str | None:
        """Whether it is installed."""
        return None if PYTHON.exists() else "mqtt-exporter is not installed (make clients does it)"

    @classmethod
    def version(cls) -> str:
        """As its package says."""
        return python_version("mqtt-exporter")

    def forget(self) -> None:
        """It keeps nothing."""

    def _environment(self) -> Mapping[str, str]:
        return os.environ | self._told

    def _command(self) -> Sequence[str]:
        return [str(PYTHON.with_name("mqtt-exporter"))]


class Prometheus(Server):
    """Prometheus with this configuration, its database in its folder."""

    name = "prometheus"
    start_deadline_s = 30.0

    def __init__(self, folder: Path, config: str) -> None:
        super().__init__(folder)
        (folder / "prometheus.yml").write_text(config)

    @classmethod
    def missing(cls) -> str | None:
        """Whether it is installed."""
        return None if program("prometheus") else "prometheus is not installed (apt-get install prometheus)"

    @classmethod
    def version(cls) -> str:
        """As it says."""
        return run([program("prometheus") or "prometheus", "--version"]).split()[2].split("+")[0]

    def forget(self) -> None:
        """Nobody asks for it."""

    def ask(self, query: str) -> dict[str, float]:
        """The newest values by device."""
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{urllib.parse.urlencode({'query': query})}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            rows = json.load(answer)["data"]["result"]
        return {row["metric"].get("device", ""): float(row["value"][1]) for row in rows}

    def _command(self) -> Sequence[str]:
        return [
            program("prometheus") or self.name,
            f"--config.file={self.folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={self.folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{self.port}",
        ]


class Program:
    """A program that listens nowhere, in a folder of its own, killed with all that it started."""

    def __init__(self, folder: Path, command: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._command = command
        self._environment = os.environ | (environment or {})
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        """What it has said so far, over all its lives."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def fell(self) -> bool:
        """Whether it was started and has ended by itself."""
        return self._process is not None and self._process.poll() is not None

    def start(self) -> None:
        """Start it; returns at once."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                self._command, cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End it as its service manager would."""
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                os.killpg(self._process.pid, number)
            self._process.wait(timeout=30)
            self._process = None


class Recorder(Program):
    """A recipe of the documentation as it stands there: ``name`` is its file, ``text`` what is in it."""

    RUN = {".sh": ("/bin/sh",), ".mjs": ("node",), ".py": (str(PYTHON), "-u")}  # noqa: RUF012 - a table

    def __init__(self, folder: Path, name: str, text: str, port: int) -> None:
        super().__init__(
            folder, [*self.RUN[Path(name).suffix], name], {"MQTT_HOST": "127.0.0.1", "MQTT_PORT": str(port)}
        )
        (folder / name).write_text(text)
        self.name = name

    def numbers(self) -> list[Number]:
        """The alerts that it has written down, in order."""
        return recorded(self.folder)


def recorded(folder: Path) -> list[Number]:
    """The alerts in ``alerts.jsonl`` or ``alerts.db`` of a folder, in the order in which they got there."""
    if (folder / "alerts.db").exists():
        with sqlite3.connect(f"file:{folder / 'alerts.db'}?mode=ro", uri=True) as database:
            return database.execute(
                "SELECT device, epoch, sequence FROM alerts WHERE payload IS NOT NULL ORDER BY rowid"
            ).fetchall()
    file = folder / "alerts.jsonl"
    lines = file.read_text(errors="replace").splitlines() if file.exists() else []
    return [number(json.loads(line)) for line in lines if line]


def number(alert: Mapping[str, Any]) -> Number:
    """What names an alert."""
    return alert["device_id"], alert["epoch"], alert["sequence"]


def evenkeel(*words: str) -> list[str]:
    """The product's own command."""
    return [sys.executable, "-c", "from edge.cli import main; main()", *words]


def decided(config: Path) -> list[dict[str, Any]]:
    """What a device has decided, out of its outbox: what waits, and what was acknowledged."""
    alerts = []
    for part in ((), ("--history",)):
        told = run(evenkeel("outbox", "--config", str(config), "--json", *part))
        alerts += [json.loads(line) for line in told.splitlines()]
    return alerts
