"""A device, a broker and a Home Assistant, and what is tried with them, step by step."""

from __future__ import annotations

import contextlib
import itertools
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.clips import bundled_clip, drive, empty_seat, record
from benchmarks.home_assistant import automations, recorder, screenshot, shown
from benchmarks.home_assistant.broker import retained, subscriptions
from benchmarks.home_assistant.findings import Finding, counted, nothing
from benchmarks.home_assistant.installation import Installation
from benchmarks.home_assistant.kills import heard, kill_in_every_order
from benchmarks.home_assistant.scripted import Scripted
from benchmarks.home_assistant.server import HomeAssistant
from benchmarks.home_assistant.upgrade import upgrade
from benchmarks.mosquitto import Mosquitto
from benchmarks.soak import Device as RunningDevice
from benchmarks.world import Device as DecidingDevice
from edge.config import Config, PublishConfig, load_config
from edge.domain import Level
from edge.mqtt.messages import Topics

FPS = 15.0
SEEN_S = 22.0
"""So much of the demo's clip until the seat is empty: an alert is open by then."""

OF_THE_INSTALLATION = ("deprecated_method",)
"""Repairs that concern how Home Assistant is installed here."""

BUTTONS = ("acknowledge", "recalibrate", "reload", "pause", "resume")
RATES = {"alert-hz": 1.0, "state-hz": 0.2, "health-hz": 0.1}
CONCERNS = re.compile(r"(WARNING|ERROR).*(mqtt|evenkeel|van[-_]\d|template|automation|event)", re.IGNORECASE)
EXPECTED = re.compile(
    r"connection was lost|Failed to connect to MQTT server|Referenced entities tts.nobodys|components to cleanup"
    r"|The client is not currently connected"
)
"""The broker was killed, nobody has that speaker, and Home Assistant clears again what was taken back."""

CALM_S = 10.0
"""So long the driver of the demo's clip is calm."""

SETTLED_S, HEARD_S = 90.0, 172.0
SPEED, WARM_UP_H, MOST_MB = 20.0, 0.25, 0.5


class Trial:
    """Everything in ``folder``; ``findings`` are what was found so far."""

    def __init__(self, folder: Path, installation: Installation) -> None:
        self._folder = folder
        self._installation = installation
        self.findings: list[Finding] = []
        self.broker = self._broker("broker")
        used = [automations.announcing(device) for device in ("van_8", "van_9")]
        used += [automations.after_two("van_9"), automations.documented("van_8"), automations.noting()]
        self.home = HomeAssistant(folder, installation, self.broker.port, used, automations.blueprints())

    def _broker(self, name: str) -> Mosquitto:
        (self._folder / name).mkdir()
        return Mosquitto(self._folder / name)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Broker and Home Assistant run inside the ``with``."""
        self.broker.start()
        try:
            self.home.start()
            yield
        finally:
            self.home.kill()
            self.broker.kill()

    def try_clip(self, picture: Path | None) -> None:
        """The real device on the demo's clip and an empty seat; ``picture`` is to show its page."""
        clip = self._folder / "clip.mp4"
        seen = itertools.islice(drive([bundled_clip()], FPS), int(SEEN_S * FPS))
        record(itertools.chain(seen, empty_seat(FPS)), FPS, clip)
        device = RunningDevice("van-7", self._folder, str(clip), self.broker.port, FPS)
        config = load_config(self._folder / "van-7.toml")
        with device.running():
            with contextlib.suppress(TimeoutError):  # what differs even then is a finding
                self.home.wait_for(lambda: not shown.differences(self.home, config), 60)
            self._look(config)
            self._lose_the_face(config)
            self._press(config)
            if picture is not None:
                screenshot.photograph(self.home, f"/config/devices/device/{self._device(config)}", picture)
        self._forget(config)

    def try_upgrade(self) -> None:
        """A device that was described by one message, before an empty seat."""
        clip = self._folder / "seat.mp4"
        record(empty_seat(FPS), FPS, clip)
        device = RunningDevice("van-6", self._folder, str(clip), self.broker.port, FPS)
        config = load_config(self._folder / "van-6.toml")
        self.findings += upgrade(self.home, self.broker.port, device, config)
        self._forget(config)

    def _entity(self, config: Config, key: str) -> str:
        found = {entry["unique_id"]: entry["entity_id"] for entry in shown.entities(self.home).values()}
        return str(found[f"evenkeel_{config.device.id}_{key}"])

    def _state(self, config: Config, key: str) -> str:
        return str(self.home.get(f"states/{self._entity(config, key)}")["state"])

    def _device(self, config: Config) -> str | None:
        devices = self.home.ask("config/device_registry/list")
        return next((one["id"] for one in devices if one["name"] == config.device.id), None)

    def _look(self, config: Config) -> None:
        count = len(shown.described(config))
        self.findings.append(
            nothing(
                f"entities shown otherwise than described (name, class, unit, category, icon; {count} entities)",
                shown.differences(self.home, config),
            )
        )
        device = self._device(config)
        wanted = {("started", kind) for kind in config.alerts.enabled}
        found = set() if device is None else shown.triggers(self.home, device)
        self.findings.append(counted("device triggers", len(found & wanted), len(wanted)))

    def _lose_the_face(self, config: Config) -> None:
        """The alert that is open when the seat becomes empty."""
        told: list[tuple[str, ...]] = []

        def gone() -> bool:
            told.append(tuple(self._state(config, key) for key in ("state", "anger", "anger_signal")))
            return told[-1][1:] == ("on", "unknown")

        self.home.wait_for(gone, 180)
        self.findings.append(
            Finding(
                "an alert stays on while its driver is out of sight, whose signal is unknown",
                "yes",
                "yes",
                passed=True,
            )
        )

    def _press(self, config: Config) -> None:
        """Every button, and what the device says of it."""
        answers = {}
        for name in BUTTONS:
            before = self.home.get(f"states/{self._entity(config, 'command')}")["last_reported"]
            self.home.call("button.press", entity_id=self._entity(config, name))

            def answered(before: str = before) -> bool:
                answer = self.home.get(f"states/{self._entity(config, 'command')}")
                return bool(answer["last_reported"] != before)

            self.home.wait_for(answered)
            answers[name] = self._state(config, "command")
            if name == "pause":
                self._pause(config)
        self.findings.append(
            Finding(
                "what the device answers to its buttons",
                "to each",
                "; ".join(answers.values()),
                passed=all(told.startswith(f"{name}: ") for name, told in answers.items()),
            )
        )

    def _pause(self, config: Config) -> None:
        keys = [*config.alerts.enabled, *(f"{kind}_signal" for kind in config.alerts.enabled)]
        self.home.wait_for(lambda: self._state(config, "state") == "paused")

        def told() -> set[str]:
            return {self._state(config, key) for key in keys}

        with contextlib.suppress(TimeoutError):
            self.home.wait_for(lambda: told() == {"unavailable"})
        found = told()
        what = "kinds and their signals while paused"
        self.findings.append(Finding(what, "unavailable", ", ".join(sorted(found)), passed=found == {"unavailable"}))

    def _forget(self, config: Config) -> None:
        """Take the stopped device back."""
        file = self._folder / f"{config.device.id}.toml"
        command = [sys.executable, "-c", "from edge.cli import main; main()", "discovery", "--remove", "--forget"]
        subprocess.run([*command, "--config", str(file)], check=True, capture_output=True)  # noqa: S603
        self.home.wait_for(lambda: self._device(config) is None)
        left = [topic for topic in retained(self.broker.port) if config.device.id in topic]
        self.findings.append(nothing(f"retained after `discovery --remove --forget` of {config.device.id}", left))
        left = [one for one in shown.entities(self.home) if config.device.id in one]
        self.findings.append(nothing("entities after it", left))

    def try_blueprints(self) -> None:
        """What the shipped automations do, and that a repeated alert is none."""
        device = Scripted("van-9", self.broker.port)
        self.home.wait_for(lambda: "evenkeel/van-9/alert" in subscriptions(self.broker.log, "evenkeel/van-9/"))
        first = device.alert("one")
        device.repeat(first)
        device.alert("two")
        device.alert("three", level=Level.URGENT)
        time.sleep(1.0)
        early = self.home.ask("persistent_notification/get")
        device.alert("four", level=Level.URGENT)
        self.home.wait_for(lambda: bool(self.home.ask("persistent_notification/get")))
        told = [one["message"] for one in self.home.ask("persistent_notification/get")]
        device.close()
        said = [line for line in self.home.ran if line in ("one", "two", "three", "four")]
        wanted = ["one", "two", "three", "four"]
        self.findings.append(
            Finding("said by *announce* of four alerts, one sent twice", "4", str(len(said)), passed=said == wanted)
        )
        self.findings.append(
            Finding(
                "notified by *two urgent* after the first, after the second",
                "0, 1",
                f"{len(early)}, {len(told)}",
                passed=not early and told == ["van-9: anger, urgent. four"],
            )
        )

    def try_kills(self) -> None:
        """Everything is killed in every order while a device decides alerts."""
        device = DecidingDevice("van-8", self._folder, self.broker.port, options=RATES)
        device.start()
        try:
            self.home.wait_for(lambda: "event.van_8_alert" in self.home.states())
            kill_in_every_order(self.home, self.broker, device)
            for what, before in (("*announce*", ""), ("the condition above", "own")):
                found = heard(self.home, device, before)
                line = f"{found.decided} alerts, everything killed and started in each of the six orders: with {what}"
                self.findings.append(
                    Finding(
                        line,
                        "0 missing, 0 twice",
                        f"{len(found.missing)} missing, {len(found.twice)} twice",
                        passed=not found.missing and not found.twice,
                    )
                )
        finally:
            device.kill()

    def judge(self) -> None:
        """What Home Assistant itself has to say, and how it listened."""
        read = self.home.ask("blueprint/list", domain="automation")
        wanted = {f"evenkeel/{one.name}" for one in automations.blueprints()}
        refused = [name for name in wanted if "error" in read.get(name, {"error": "missing"})]
        self.findings.append(nothing("blueprints that Home Assistant refuses", refused))
        issues = [one["issue_id"] for one in self.home.ask("repairs/list_issues")["issues"]]
        self.findings.append(nothing("repairs", [one for one in issues if one not in OF_THE_INSTALLATION]))
        statistics = self.home.ask("recorder/validate_statistics")
        self.findings.append(nothing("statistics to be mended", sorted(statistics)))
        said = [line for line in self.home.log.splitlines() if CONCERNS.search(line) and not EXPECTED.search(line)]
        self.findings.append(
            nothing("warnings and errors in the log of MQTT, templates, automations or the device", said)
        )
        asked = subscriptions(self.broker.log, "evenkeel/")
        self.findings.append(
            Finding(
                "QoS of its subscriptions to devices",
                "1",
                ", ".join(map(str, sorted({qos for each in asked.values() for qos in each}))),
                passed=bool(asked) and all(each == {1} for each in asked.values()),
            )
        )

    def try_recorder(self, hours: float) -> None:
        """How the database grows in so many hours with a calm driver."""
        said = self._hear("calm", self._calm_clip())
        broker = self._broker("recorder-broker")
        broker.start()
        home = HomeAssistant(self._folder / "recorder", self._installation, broker.port)
        recorder.describe(broker.port, load_config(self._folder / "calm.toml"))
        try:
            home.start()
            home.set_speed(SPEED)
            recorder.repeat(broker.port, said, HEARD_S, WARM_UP_H, SPEED)
            before = recorder.size_mb(home.database)
            recorder.repeat(broker.port, said, HEARD_S, hours, SPEED)
            day_mb = (recorder.size_mb(home.database) - before) / hours * 24
        finally:
            home.kill()
            broker.kill()
        line = f"the database's growth in 24 hours with a calm driver, by {hours:g} hours of it"
        self.findings.append(Finding(line, f"≤ {MOST_MB:g} MB", f"{day_mb:.2f} MB", passed=day_mb <= MOST_MB))

    def _calm_clip(self) -> Path:
        """The calm beginning of the demo's clip, to and fro, so that nothing jumps."""
        there = list(itertools.islice(drive([bundled_clip()], FPS), int(CALM_S * FPS)))
        pictures = itertools.cycle(there + there[::-1])
        path = self._folder / "calm.mp4"
        record(itertools.islice(pictures, int((SETTLED_S + HEARD_S + 10) * FPS)), FPS, path)
        return path

    def _hear(self, name: str, source: Path) -> list[recorder.Said]:
        """What a device says in ``HEARD_S`` when it knows its driver."""
        broker = self._broker(f"{name}-broker")
        broker.start()
        device = RunningDevice(name, self._folder, str(source), broker.port, FPS, health_s=PublishConfig().health_s)
        with device.running():
            time.sleep(SETTLED_S)
            listener = recorder.Listener(broker.port, Topics("evenkeel", name))
            time.sleep(HEARD_S)
            listener.close()
        broker.kill()
        return listener.heard
