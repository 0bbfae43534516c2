"""``evenkeel check --show``: the value in effect of each key, where it comes from, and no secret."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.compat import tomllib
from edge.config import Config, load_config
from edge.config.explain import Setting, as_lines, explain
from edge.config.load import all_keys
from edge.decision.presets import LOW
from edge.errors import ConfigError

TEXT = """\
alerts.sensitivity = "low"

[camera]  # a comment
fps = 10
seat = [
    0.1, 0.0,
    1.0, 1.0,
]

[alerts.anger]
hold_s = 3.0

[mqtt]
tls = { enabled = true }
"""


def explained(folder: Path, text: str = TEXT, **environ: str) -> dict[str, Setting]:
    path = folder / "evenkeel.toml"
    path.write_text(text)
    return {".".join(each.path): each for each in explain(path, environ)}


def test_every_key_is_there_once(tmp_path: Path) -> None:
    assert list(explained(tmp_path)) == [".".join(path) for _, path in all_keys(Config)]


@pytest.mark.parametrize(
    ("key", "value", "origin"),
    [
        ("camera.fps", "10.0", "evenkeel.toml:4"),
        ("camera.seat", "[0.1, 0.0, 1.0, 1.0]", "evenkeel.toml:5"),
        ("camera.rotate_deg", "0", "default"),
        ("mqtt.username", None, "default"),
        ("mqtt.tls.enabled", "true", "evenkeel.toml:14"),
        ("mqtt.host", '"broker"', "EVENKEEL_MQTT__HOST"),
        ("heat.hot_c", "70.0", "EVENKEEL_HEAT"),
        ("heat.cool_c", "68.0", "default"),
        ("alerts.sensitivity", '"low"', "evenkeel.toml:1"),
        ("alerts.anger.sensitivity", '"low"', "alerts.sensitivity"),
        ("alerts.anger.hold_s", "3.0", "evenkeel.toml:11"),
        ("alerts.distress.hold_s", f"{LOW['hold_s']}", "preset low"),
        ("alerts.distress.urgent_s", "8.0", "default"),
    ],
)
def test_a_key_has_its_value_and_origin(tmp_path: Path, key: str, value: str | None, origin: str) -> None:
    found = explained(tmp_path, EVENKEEL_MQTT__HOST="broker", EVENKEEL_HEAT__HOT_C="70")[key]
    assert (found.value, found.origin) == (value, origin.replace("EVENKEEL_HEAT", "EVENKEEL_HEAT__HOT_C"))


def test_no_secret_is_shown(tmp_path: Path) -> None:
    text = '[camera]\nsource = "rtsp://me:hunter2@cam/1"\n[mqtt]\npassword_file = "hunter2"\n'
    found = explained(tmp_path, text)
    assert found["camera.source"].value == '"rtsp://…@cam/1"'
    assert found["mqtt.password_file"].value == '"…"'
    assert "hunter2" not in "\n".join(as_lines(list(found.values()), 80))


@pytest.mark.parametrize("columns", [20, 40, 80, 200])
def test_what_is_printed_is_a_configuration_itself(tmp_path: Path, columns: int) -> None:
    path = tmp_path / "printed.toml"
    path.write_text("\n".join(as_lines(list(explained(tmp_path).values()), columns)))
    tomllib.loads(path.read_text())
    assert load_config(path, {}).alerts.expressions == load_config(tmp_path / "evenkeel.toml", {}).alerts.expressions


def test_lines_keep_to_the_terminal_where_a_value_does(tmp_path: Path) -> None:
    printed = list(as_lines(list(explained(tmp_path).values()), 40))
    assert max(len(line) for block in printed for line in block.splitlines() if "weights" not in line) <= 40


def test_a_faulty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"camera\.fps"):
        explained(tmp_path, "[camera]\nfps = 0\n")
