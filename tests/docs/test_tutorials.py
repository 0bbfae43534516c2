"""The tutorials run as they stand and print what they show."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from benchmarks.messages import made_alert
from benchmarks.mosquitto import Mosquitto
from docs.tutorials import PLAYED, ROOT, files, played
from edge.collect.config import CollectConfig
from edge.config.load import load_as, load_config
from edge.domain import Phase
from edge.service.loop import board_stamp

NUMBER = re.compile(r"\d+(?:\.\d+)?")


def alike(shown: str, printed: str) -> bool:
    """The same words, and numbers that another processor's rounding explains."""
    if NUMBER.sub("0", shown) != NUMBER.sub("0", printed):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(printed), strict=True)
    return all(abs(float(a) - float(b)) <= max(0.2, 0.02 * abs(float(a))) for a, b in pairs)


@pytest.mark.timeout(600)  # models, matplotlib and DuckDB start for each command
@pytest.mark.parametrize("name", PLAYED)
def test_a_tutorial_shows_what_its_commands_print(name: str, tmp_path: Path) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    assert "$ evenkeel" in page
    printed = played(page, tmp_path)
    assert alike(page, printed), f"run make tutorials\n{printed}"


def test_a_page_that_shows_something_else_is_found_out() -> None:
    assert alike("calm 62.5%, anger 1", "calm 62.4%, anger 1")
    assert not alike("calm 62.5%, anger 1", "calm 58.0%, anger 1")
    assert not alike("calm 62.5%, anger 1", "calm 62.5%, distress 1")


def test_the_integrator_s_files_are_valid_configurations(tmp_path: Path) -> None:
    shown = files((ROOT / "docs/integrate.md").read_text(encoding="utf-8"))
    for name in ("desk.toml", "collect.toml"):
        (tmp_path / name).write_text(shown[name], encoding="utf-8")
    assert load_config(tmp_path / "desk.toml").device.id == "desk"
    assert load_as(CollectConfig, tmp_path / "collect.toml").collect.database == "sqlite:///collect.db"


def test_the_integrator_s_receiver_counts_each_alert_once(mosquitto: Mosquitto, tmp_path: Path) -> None:
    code = files((ROOT / "docs/integrate.md").read_text(encoding="utf-8"))["listen.py"]
    (tmp_path / "listen.py").write_text(code.replace("18830", str(mosquitto.port)), encoding="utf-8")
    publisher = paho.Client(CallbackAPIVersion.VERSION2)
    publisher.connect("localhost", mosquitto.port)
    publisher.loop_start()
    publisher.publish("evenkeel/van-7/availability", "online", qos=1, retain=True).wait_for_publish()
    receiver = subprocess.Popen([sys.executable, "listen.py"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    try:
        assert receiver.stdout is not None
        assert receiver.stdout.readline() == "van-7 online\n"
        alert = made_alert(board_stamp()).payload()
        unknown = json.dumps(json.loads(alert) | {"kind": "another", "sequence": 2})
        last = made_alert(board_stamp(), phase=Phase.END, sequence=3).payload()
        for payload in (alert, alert, unknown, last):
            publisher.publish("evenkeel/van-7/alert", payload, qos=1)
        said = [receiver.stdout.readline() for _ in range(2)]
        assert said == ["van-7 1 anger start warning 2 s\n", "van-7 3 anger end warning 2 s\n"]
    finally:
        receiver.kill()
        receiver.communicate()
        publisher.loop_stop()
