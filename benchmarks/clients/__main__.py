"""Have every client of ``docs/clients.md`` follow a real device while broker, device and clients are killed.

``python -m benchmarks.clients`` (``make clients``). The recipes are taken from the page, the flow from beside it. One
device plays the demo's clip, another one (real outbox and publisher, no camera) decides an alert about every second.
What both outboxes hold in the end is held against what came out of each client; every payload is held against the
schemas, by two validators.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import functools
import importlib.metadata
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jsonschema
import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from rich.console import Console
from rich.table import Table

from benchmarks.clients.garbage import garbage
from benchmarks.clients.programs import (
    BUILT,
    MODULES,
    ROOT,
    Exporter,
    NodeRed,
    Number,
    Program,
    Prometheus,
    Recorder,
    decided,
    evenkeel,
    missing,
    node_version,
    number,
    python_version,
    recorded,
    run,
)
from benchmarks.mosquitto import Mosquitto
from benchmarks.server import Server, program
from docs.tutorials import files
from edge.config.reference import replaced
from edge.mqtt.asyncapi import FILE
from edge.mqtt.schemas import FOLDER, MODELS

PAGE = ROOT / "docs" / "clients.md"
FLOW = ROOT / "docs" / "clients" / "node-red.json"
BROKER = """allow_anonymous true
persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1"""
DEVICE = """[device]
id = "{name}"
[camera]
source = "{clip}"
[mqtt]
port = {port}
reconnect_max_s = 5
[outbox]
path = "{folder}/{name}.db"
[publish]
health_s = 5
"""
CLIP = ROOT / "edge" / "tools" / "demo" / "clip.mp4"
DRIVER, DESK = "van-7", "van-8"
"""The device on the clip, and the one without a camera."""
ALERT_HZ = 1.0
DOWN_S = 3.0
SETTLE_S = 60.0
WITNESS_S = 20.0
PAUSE_S = (4.0, 8.0)
KINDS = {"/state": "state", "/alert": "alert", "/health": "health", "/live": "live", "/result": "command-result"}


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """What came of one client: ``wanted`` and ``got`` are alerts, payloads or figures, as ``of`` says."""

    client: str
    version: str
    of: str
    wanted: int
    got: int
    twice: int = 0
    strange: int = 0
    kills: int = 0
    refused: int = 0

    @property
    def passed(self) -> bool:
        """Whether everything came, once, and nothing else."""
        return self.wanted > 0 and self.got == self.wanted and not (self.twice or self.strange)


class Witness:
    """A subscriber of its own that keeps every payload on the devices' topics."""

    def __init__(self, port: int) -> None:
        self.messages: list[tuple[str, bytes]] = []
        self._client = paho.Client(CallbackAPIVersion.VERSION2, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = lambda client, *_: client.subscribe("evenkeel/#", qos=1)
        self._client.on_message = lambda *told: self.messages.append((told[2].topic, bytes(told[2].payload)))
        self._client.reconnect_delay_set(1, 2)
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()

    def publish(self, topic: str, payload: bytes) -> None:
        """Say something, and return when the broker has it.

        Raises:
            RuntimeError: the broker went away meanwhile.
        """
        deadline = time.monotonic() + WITNESS_S
        while not self._client.is_connected() and time.monotonic() < deadline:
            time.sleep(0.1)
        self._client.publish(topic, payload, qos=1).wait_for_publish(WITNESS_S)

    def close(self) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()


def main() -> None:
    """Run it all and print the table; exit status 1 where anything is not as wanted or is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="another seed: other moments for the kills")
    parser.add_argument("--rounds", type=int, default=2, help="how often each client, broker and device is killed")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.relative_to(ROOT)}")
    options = parser.parse_args()
    console = Console(soft_wrap=True, width=None if sys.stdout.isatty() else 120)
    if lacking := missing():
        sys.exit("clients: " + "; ".join(lacking))
    with tempfile.TemporaryDirectory(prefix="run-", dir=BUILT) as name:
        rows = try_clients(Path(name), random.Random(options.seed), options.rounds, console)  # noqa: S311 - moments
    console.print(table(rows))
    if options.write:
        text = replaced(PAGE.read_text(encoding="utf-8"), {"clients": page_table(rows)})
        PAGE.write_text(text, encoding="utf-8")
    sys.exit(not all(row.passed for row in rows))


def try_clients(folder: Path, chance: random.Random, rounds: int, console: Console) -> list[Row]:
    """Everything from the broker's first start to the last count."""
    shown = files(PAGE.read_text(encoding="utf-8"))
    with contextlib.ExitStack() as stack:
        broker = Mosquitto(_made(folder / "broker"), BROKER)
        stack.callback(broker.kill)
        broker.start()
        witness = Witness(broker.port)
        stack.callback(witness.close)
        node_red = NodeRed(_made(folder / "node-red"), shown["settings.js"])
        exporter = Exporter(_made(folder / "exporter"), shown["exporter.env"], broker.port)
        scraped = shown["prometheus.yml"].replace("9000", str(exporter.port)).replace("15s", "2s")
        prometheus = Prometheus(_made(folder / "prometheus"), scraped)
        recorders = [
            Recorder(folder / name, name, shown[name], broker.port)
            for name in ("recorder.sh", "recorder.mjs", "recorder.py")
        ]
        driver, desk = devices(folder, broker.port)
        started: Sequence[Server | Program] = (node_red, exporter, prometheus, *recorders, driver, desk)
        for one in started:
            stack.callback(one.kill)
            one.start()
        node_red.deploy(flow(broker.port, folder / "node-red" / "alerts.jsonl"))
        struck: Sequence[Server | Program] = (broker, node_red, exporter, driver, desk, *recorders)
        kills = play(struck, witness, chance, rounds, console)
        (folder / f"{DESK}.quiet").touch()
        sinks: dict[str, Callable[[], list[Number]]] = {one.name: one.numbers for one in recorders}
        sinks["Node-RED"] = functools.partial(recorded, node_red.folder)
        settle(folder, sinks, broker.port, console)
        figures = query(prometheus, folder, console)
        driver.stop()
        time.sleep(5)  # the last words of a clean stop
        fallen = [one.folder.name for one in (*recorders, desk) if one.fell]
        if fallen:
            raise SystemExit(f"clients: ended by itself: {', '.join(fallen)}")
        alerts = all_decided(folder)
        settle(folder, sinks, broker.port, console)
        names = {
            "recorder.sh": "mosquitto_sub, jq",
            "recorder.mjs": "mqtt.js",
            "recorder.py": "aiomqtt",
            "Node-RED": "Node-RED",
        }
        versions = {
            "recorder.sh": f"{Mosquitto.version()}, {_jq_version()}",
            "recorder.mjs": node_version("mqtt"),
            "recorder.py": python_version("aiomqtt"),
            "Node-RED": NodeRed.version(),
        }
        rows = [count(names[name], versions[name], alerts, told(), kills[name]) for name, told in sinks.items()]
        rows.append(dataclasses.replace(figures, kills=kills["mqtt-exporter"]))
        rows += validated(folder, shown["validate.mjs"], witness.messages)
        rows.append(parsed())
    return rows


def devices(folder: Path, port: int) -> tuple[Program, Program]:
    """Both devices, with their configurations beside them."""
    configs = {}
    for name in (DRIVER, DESK):
        configs[name] = folder / f"{name}.toml"
        configs[name].write_text(DEVICE.format(name=name, clip=CLIP, port=port, folder=folder))
    log = folder / f"{DESK}.log"
    module = [sys.executable, "-m", "benchmarks.device", "--config", str(configs[DESK]), "--log", str(log)]
    return (
        Program(
            folder / DRIVER, evenkeel("run", "--config", str(configs[DRIVER]), "--loop"), {"PYTHONPATH": str(ROOT)}
        ),
        Program(folder / DESK, [*module, "--alert-hz", str(ALERT_HZ)], {"PYTHONPATH": str(ROOT)}),
    )


def flow(port: int, file: Path) -> list[dict[str, Any]]:
    """The shipped flow with this broker, and a node behind its first output that writes down what comes out."""
    nodes: list[dict[str, Any]] = json.loads(FLOW.read_text(encoding="utf-8"))
    for node in nodes:
        if node["type"] == "mqtt-broker":
            node |= {"broker": "127.0.0.1", "port": str(port)}
        if node["type"] == "function":
            node["wires"][0].append("sink")
    sink = {"id": "sink", "type": "file", "z": nodes[0]["id"], "filename": str(file), "filenameType": "str"}
    return [*nodes, sink | {"appendNewline": True, "createDir": False, "overwriteFile": "false", "wires": []}]


def play(
    struck: Sequence[Any], witness: Witness, chance: random.Random, rounds: int, console: Console
) -> dict[str, int]:
    """Kill everything in turn, in an order left to chance, garbage in between; return how often each was killed."""
    kills = {_name(one): 0 for one in struck}
    time.sleep(20)  # until a first alert of the clip has come
    for _ in range(rounds):
        for one in chance.sample(list(struck), len(struck)):
            for topic, payload in garbage(f"evenkeel/{chance.choice((DRIVER, 'nobody'))}"):
                witness.publish(topic, payload)
            witness.publish(f"evenkeel/{DRIVER}/command/live", b'{"seconds": 2}')
            time.sleep(chance.uniform(*PAUSE_S))
            console.print(f"killed: {_name(one)}", style="dim")
            one.kill()
            kills[_name(one)] += 1
            time.sleep(DOWN_S)
            one.start()
    time.sleep(10)
    return kills


def settle(folder: Path, sinks: dict[str, Callable[[], list[Number]]], port: int, console: Console) -> None:
    """Wait until everything that was decided by now has come out of each, and ask by hand for the recorder that cannot.

    What is still missing at the deadline is lost.
    """
    wanted = {number(alert) for alert in all_decided(folder)}
    deadline = time.monotonic() + SETTLE_S
    while time.monotonic() < deadline:
        lacking = {name: wanted - set(told()) for name, told in sinks.items()}
        if not any(lacking.values()):
            return
        for device, epoch, sequence in sorted(lacking["recorder.sh"]):
            console.print(f"asked for by hand: {device} {sequence}", style="dim")
            asked = json.dumps({"epoch": epoch, "from": sequence, "to": sequence})
            topic = f"evenkeel/{device}/command/resend"
            run(["mosquitto_pub", "-p", str(port), "-q", "1", "-t", topic, "-m", asked])
        time.sleep(5)


def all_decided(folder: Path) -> list[dict[str, Any]]:
    """What both devices have decided."""
    return [alert for name in (DRIVER, DESK) for alert in decided(folder / f"{name}.toml")]


def count(client: str, version: str, alerts: Sequence[dict[str, Any]], told: Sequence[Number], kills: int) -> Row:
    """What came out of a client, against what was decided."""
    wanted, got = {number(alert) for alert in alerts}, set(told)
    return Row(
        client,
        version,
        "alerts",
        wanted=len(wanted),
        got=len(wanted & got),
        twice=len(told) - len(got),
        strange=len(got - wanted),
        kills=kills,
    )


def query(prometheus: Prometheus, folder: Path, console: Console) -> Row:
    """Ask Prometheus for what the page says it has, and hold it against what is known."""
    newest = max(alert["sequence"] for alert in decided(folder / f"{DESK}.toml"))
    wanted: dict[str, Callable[[dict[str, float]], bool]] = {
        f'evenkeel_sequence{{topic="evenkeel_{DESK}_health"}}': lambda got: got.get(DESK) == newest,
        "evenkeel_state": lambda got: got.get(DRIVER) in range(-4, 3) and got.get(DESK) == 0,
        "max_over_time(evenkeel_anger[1h])": lambda got: got.get(DRIVER) == 1,
        "evenkeel_anger": lambda got: got.get(DRIVER) in (0, 1),
        "evenkeel_fps": lambda got: 1 < got.get(DRIVER, 0) <= 16,
        "evenkeel_memory_mb": lambda got: 20 < got.get(DRIVER, 0) < 500,
        "evenkeel_outbox_depth": lambda got: got.get(DRIVER) == 0,
        "evenkeel_kinds_anger_signal": lambda got: 0 <= got.get(DRIVER, -1) <= 1,
        'increase(evenkeel_sequence{topic=~".+_health"}[1d])': lambda got: got.get(DESK, 0) > 0,
        'changes(evenkeel_uptime_s{topic=~".+_health"}[3m]) > 0': lambda got: {DRIVER, DESK} <= set(got),
    }
    deadline = time.monotonic() + 30
    right = 0
    while time.monotonic() < deadline:
        answers = {what: prometheus.ask(what) for what in wanted}
        right = sum(holds(answers[what]) for what, holds in wanted.items())
        if right == len(wanted):
            break
        time.sleep(2)
    else:
        for what, holds in wanted.items():
            if not holds(answers[what]):
                console.print(f"Prometheus: {what}: {answers[what]}", style="red", markup=False)
    version = f"{Exporter.version()}, {Prometheus.version()}"
    return Row("mqtt-exporter, Prometheus", version, "figures", wanted=len(wanted), got=right)


def validated(folder: Path, script: str, messages: Sequence[tuple[str, bytes]]) -> list[Row]:
    """Every payload, by Python's jsonschema and by ajv: those of the devices hold, the garbage does not."""
    rubbish = {(kind, payload) for kind, payload in ((_kind(t), p) for t, p in garbage("evenkeel/x"))}
    marked = [(topic, payload, (_kind(topic), payload) in rubbish) for topic, payload in messages if _kind(topic)]
    good = [(topic, payload) for topic, payload, bad in marked if not bad]
    bad = [(topic, payload) for topic, payload, bad in marked if bad]
    return [
        _validated("jsonschema (Python)", importlib.metadata.version("jsonschema"), good, bad, _by_python),
        _validated("ajv", node_version("ajv"), good, bad, lambda told: _by_ajv(folder / "validate", script, told)),
    ]


def _validated(
    client: str,
    version: str,
    good: Sequence[tuple[str, bytes]],
    bad: Sequence[tuple[str, bytes]],
    valid: Callable[[Sequence[tuple[str, bytes]]], int],
) -> Row:
    strange = valid(bad)
    return Row(client, version, "payloads", len(good), valid(good), strange=strange, refused=len(bad) - strange)


def _by_python(messages: Sequence[tuple[str, bytes]]) -> int:
    checks = {name: _validator(name) for name in MODELS}

    def holds(topic: str, payload: bytes) -> bool:
        try:
            return bool(checks[_kind(topic)].is_valid(json.loads(payload)))
        except (ValueError, RecursionError):  # no JSON, or such as no reader bears
            return False

    return sum(holds(topic, payload) for topic, payload in messages)


def _validator(name: str) -> Any:
    schema = json.loads((FOLDER / f"{name}.json").read_text())
    return jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())


def _by_ajv(folder: Path, script: str, messages: Sequence[tuple[str, bytes]]) -> int:
    folder.mkdir(exist_ok=True)
    (folder / "validate.mjs").write_text(script)
    if not (folder / "schemas").exists():
        (folder / "schemas").symlink_to(FOLDER)
    lines = b"".join(topic.encode() + b" " + payload.replace(b"\n", b" ") + b"\n" for topic, payload in messages)
    said = run([program("node") or "node", "validate.mjs"], told=lines, folder=folder)
    return int(said.splitlines()[-1].split()[0])


def parsed() -> Row:
    """The AsyncAPI document, by the project's own parser."""
    script = Path(__file__).with_name("asyncapi.cjs")
    told = json.loads(run([program("node") or "node", script, MODULES, FILE]))
    wanted = len(json.loads(FILE.read_text())["operations"])
    return Row(
        "AsyncAPI parser",
        node_version("@asyncapi/parser"),
        "operations",
        wanted,
        told.get("operations", 0),
        strange=len(told["faults"]),
    )


def table(rows: Sequence[Row]) -> Table:
    """For people at a terminal."""
    made = Table(*HEADS, "", title="Clients", title_justify="left")
    for row, cells in zip(rows, map(list, _cells(rows)), strict=True):
        made.add_row(*cells, "[green]ok[/green]" if row.passed else "[red]failed[/red]")
    return made


HEADS = ("client", "version", "what", "wanted", "came", "twice", "strange", "killed", "refused")


def page_table(rows: Sequence[Row]) -> str:
    """For the page."""
    head = [f"| {' | '.join(HEADS)} |", f"|{'---|' * len(HEADS)}"]
    return "\n".join([*head, *(f"| {' | '.join(cells)} |" for cells in _cells(rows))])


def _cells(rows: Sequence[Row]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        numbers = (row.wanted, row.got, row.twice, row.strange, row.kills, row.refused)
        yield row.client, row.version, row.of, *(f"{one:,}" for one in numbers)


def _kind(topic: str) -> str:
    """The schema that a payload is held against; none for a command."""
    if "/command/" in topic and not topic.endswith("/result"):
        return ""
    return next((name for end, name in KINDS.items() if topic.endswith(end)), "")


def _name(one: Server | Program) -> str:
    name: str = getattr(one, "name", None) or one.folder.name
    return name


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


def _jq_version() -> str:
    return run(["jq", "--version"]).strip()


if __name__ == "__main__":
    main()
