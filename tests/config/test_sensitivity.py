"""One word for thresholds: what it sets, what goes before it, and that the figures beside it are of what it sets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest

from calibration.presets import FIGURES, thresholds
from edge.config import Config, load_config
from edge.decision.judge import RESERVED, Judge, Sensitivity, register
from edge.decision.presets import HIGH, LOW
from edge.errors import ConfigError
from edge.vision.expression import ExpressionReader


def kinds_of(config: Config) -> dict[str, dict[str, Any]]:
    return {kind: settings.model_dump() for kind, settings in config.alerts.expressions.items()}


def read(folder: Path, text: str, **environ: str) -> Config:
    path = folder / "evenkeel.toml"
    path.write_text(text)
    return load_config(path, environ)


def test_normal_is_what_the_settings_are_by_themselves(tmp_path: Path) -> None:
    normal = read(tmp_path, '[alerts]\nsensitivity = "normal"\n')
    assert normal == Config(device=normal.device)


@pytest.mark.parametrize(("level", "preset"), [("low", LOW), ("high", HIGH)])
def test_it_sets_the_thresholds_of_every_kind(tmp_path: Path, level: str, preset: dict[str, float]) -> None:
    tables = kinds_of(read(tmp_path, f'[alerts]\nsensitivity = "{level}"\n'))
    for kind, table in tables.items():
        default = kinds_of(Config())[kind]
        assert table == default | preset | {"sensitivity": level}


def test_a_kind_has_its_own(tmp_path: Path) -> None:
    text = '[alerts]\nsensitivity = "low"\n[alerts.anger]\nsensitivity = "high"\n'
    tables = kinds_of(read(tmp_path, text))
    assert tables["anger"]["hold_s"] == HIGH["hold_s"]
    assert tables["distress"]["hold_s"] == LOW["hold_s"]
    back = kinds_of(read(tmp_path, text.replace("high", "normal")))["anger"]
    assert back == kinds_of(Config())["anger"]


def test_a_key_that_is_set_goes_before_it(tmp_path: Path) -> None:
    anger = kinds_of(read(tmp_path, '[alerts.anger]\nsensitivity = "low"\nhold_s = 9.0\n'))["anger"]
    assert (anger["hold_s"], anger["enter"]) == (9.0, LOW["enter"])


def test_a_variable_sets_it_too(tmp_path: Path) -> None:
    tables = kinds_of(read(tmp_path, "", EVENKEEL_ALERTS__SENSITIVITY="high"))
    assert {table["hold_s"] for table in tables.values()} == {HIGH["hold_s"]}


@pytest.mark.parametrize("key", ["alerts", "alerts.anger"])
def test_a_word_that_there_is_not_is_refused_once_where_it_stands(tmp_path: Path, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, f'[{key}]\nsensitivity = "loud"\n')
    assert f"{key}.sensitivity = \"loud\": expected 'low', 'normal' or 'high'" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


def test_what_is_written_out_reads_back_the_same(tmp_path: Path) -> None:
    config = read(tmp_path, '[alerts]\nsensitivity = "low"\n[alerts.anger]\nenter = 0.9\n')
    assert Config.model_validate(config.model_dump()) == config


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_no_kind_can_take_a_name_that_alerts_uses(name: str) -> None:
    named = type("Named", (Judge,), {"kind": name})
    with pytest.raises(ValueError, match=r"this name is taken in \[alerts\]"):
        register(named)


def test_the_figures_are_of_these_thresholds_and_of_the_shipped_model() -> None:
    figures = json.loads(FIGURES.read_text())
    levels = get_args(Sensitivity)
    assert tuple(figures["presets"]) == levels
    for level in levels:
        assert thresholds(level).items() <= figures["presets"][level].items(), "run make presets"
    assert ExpressionReader.load(Config().vision).manifest.sha256.startswith(figures["model_sha256"]), (
        "the model is another one: run make presets"
    )


def test_low_gives_fewer_false_alarms_and_high_finds_more_and_sooner() -> None:
    low, normal, high = json.loads(FIGURES.read_text())["presets"].values()
    for rate in ("false_per_hour", "plain_false_per_hour"):
        assert low[rate] < normal[rate] < high[rate]
    assert low["found_percent"] < normal["found_percent"] < high["found_percent"]
    assert high["delay_s"] < normal["delay_s"]
