"""The configuration: defaults that work, errors that name file, key, value and what is allowed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edge.compat import tomllib
from edge.config import Config, load_config, schema_json
from edge.config.load import all_keys
from edge.errors import ConfigError
from edge.section import Layer, Section

EXAMPLE = Path(__file__).parents[2] / "systemd" / "evenkeel.toml"
MACHINE_DEPENDENT = {("device", "id")}
MOST_BASIC_KEYS = 25


def fields(section: type[Section] = Config, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every key of the configuration with its field."""
    tables = section.tables()
    for name in section.keys():  # noqa: SIM118 - no mapping
        if name in tables:
            yield from fields(tables[name], (*path, name))
        else:
            yield (*path, name), section.model_fields[name]


def write(folder: Path, text: str) -> Path:
    path = folder / "evenkeel.toml"
    path.write_text(text)
    return path


def fault_of(path: Path | None, environ: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(path, environ or {})
    assert caught.value.exit_code == 78
    return str(caught.value)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_bytes(b"\xef\xbb\xbf[camera]\nfps = 10\n")
    assert load_config(path, {}).camera.fps == 10


@pytest.mark.parametrize("content", [b'[device]\nid = "b\xfcs"\n', "[camera]\n".encode("utf-16")])
def test_a_file_in_another_encoding_is_said_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "evenkeel.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"{path}: not UTF-8 text .* at byte \d+\); save it as UTF-8"):
        load_config(path, {})


def test_an_empty_file_is_a_valid_configuration(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, ""), {}) == load_config(None, {})


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '[mqtt]\nhost = "file"\nport = 1\n[alerts.anger]\nhold_s = 1\n')
    config = load_config(path, {"EVENKEEL_MQTT__HOST": "broker", "EVENKEEL_ALERTS__ANGER__HOLD_S": "2.5", "HOME": "/x"})
    assert (config.mqtt.host, config.mqtt.port, config.alerts.expressions["anger"].hold_s) == ("broker", 1, 2.5)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[camera\n", "not valid TOML"),
        ("[camera]\nfsp = 15\n", "camera.fsp: unknown key; did you mean fps? known here: empty_fps, fps"),
        ("[cam]\nfps = 15\n", "cam: unknown key; did you mean camera? known here: alerts"),
        ("[camera]\nfps = 0\n", "camera.fps = 0: expected 1 or more (Frame rate asked of"),
        ('[camera]\nfps = "fast"\n', 'camera.fps = "fast": expected a number'),
        ("[camera]\nrotate_deg = 45\n", "camera.rotate_deg = 45: expected 0, 90, 180 or 270"),
        ("[camera]\nseat = [0.9, 0, 0.1, 1]\n", "camera: seat must be left < right and top < bottom"),
        ("[alerts]\nkinds = 5\n", "cab.command.kinds? known here: anger, distress, fatigue, sensitivity"),
        ("[alerts.kinds.anger]\nenabled = false\n", "alerts.kinds: unknown key"),
        ("[alerts.anger]\nenter = 0.0\n", "alerts.anger.enter = 0.0: "),
        ("[alerts.anger]\nseldom = 0.001\n", "alerts.anger.seldom: is part of the rule now"),
        ('[mqtt]\nprefix = "a/#"\n', 'mqtt.prefix = "a/#": expected text of the pattern'),
        ("camera = 5\n", "camera = 5: expected a table"),
        ("[device]\nid = 2024-01-01\n", "device.id = 2024-01-01: text stands in quotes"),
        ("[mqtt]\nhost = 2024-01-01T10:00:00\n", "mqtt.host = 2024-01-01T10:00:00: text stands in quotes"),
        ("[camera]\nseat = [0, 0, 1, 10:00:00]\n", "camera.seat = 10:00:00: text stands in quotes"),
        ("[[camera]]\nfps = 15\n", "camera = [{ fps = 15 }]: expected a table"),
        ("[alerts]\nanger = true\n", "alerts.anger = true: expected a table"),
        ("[camera]\nseat = [0, 0, 1]\n", "camera.seat = [0, 0, 1]: expected one more value (Region"),
        ("[camera]\nseat = [0, 0, 1, 1, 1]\n", "expected 4 values at most, found 5"),
        ('[camera]\nseat = "all"\n', 'camera.seat = "all": expected a list in brackets'),
        ("[camera]\nfps = nan\n", "camera.fps = nan: expected a finite number"),
        ("[camera]\nfps = 1e999\n", "camera.fps = inf: expected a finite number"),
        ("[outbox]\nmax_bytes = 9999999999\n", "expected 1000000000 or less"),
        ("[mqtt]\nport = 1" + 5000 * "0" + "\n", "not valid TOML: a number has too many digits"),
        (f'[mqtt]\nhost = "{5000 * "a"}"\n', f'mqtt.host = "{79 * "a"}…: not a host name'),
        ("camera.fps = 1\ncamera.fps = 2\n", "Cannot overwrite a value (at line 2, column 15): camera.fps = 2"),
        ("[mqtt]\nhost = broker\n", "(at line 2, column 8): host = broker; text stands in quotes"),
        ("[mqtt]\npassword = geheim\n", "(at line 2, column 12): password = …; text stands in quotes"),
        ("[camera]\nsource = rtsp://me:geheim@cam/1\n", "source = …; text stands in quotes"),
        ('[camera]\n"f\\u001b[31m\\nps" = 3\n', r"camera.f\x1b[31m\nps: unknown key"),
        (".".join(2000 * "a") + " = 1\n", "nested too deep"),
    ],
)
def test_a_wrong_file_is_one_line_with_file_key_value_and_what_is_allowed(
    tmp_path: Path, text: str, fault: str
) -> None:
    path = write(tmp_path, text)
    message = fault_of(path)
    assert message.startswith(f"{path}: ")
    assert fault in message
    assert "\n" not in message
    assert "\x1b" not in message
    assert "geheim" not in message


def test_every_fault_has_a_line_of_its_own(tmp_path: Path) -> None:
    assert len(fault_of(write(tmp_path, "[camera]\nfps = 0\n[mqtt]\nport = 0\n")).splitlines()) == 2


@pytest.mark.parametrize(
    "line",
    [
        "[camera]\nfps = true",
        '[camera]\nwidth_px = "640"',
        "[camera]\nwidth_px = 640.0",
        '[mqtt]\nport = "1883"',
        '[mqtt.tls]\nenabled = "yes"',
        "[discovery]\nenabled = 0",
        "[alerts.anger]\nhold_s = true",
        "[device]\nid = 7",
        "[camera]\nfps = nan",
        "[states]\nmin_confidence = 0",
    ],
)
def test_a_value_of_another_type_is_refused_and_never_turned_into_the_right_one(tmp_path: Path, line: str) -> None:
    key = line.split()[1]
    assert f".{key} = " in fault_of(write(tmp_path, line))


def test_a_whole_number_passes_where_a_fraction_may_stand(tmp_path: Path) -> None:
    assert load_config(write(tmp_path, "[camera]\nfps = 10\nseat = [0, 0.1, 1, 1]\n"), {}).camera.fps == 10.0


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("EVENKEEL_MQTT__PORT", "1883\nx = 3", 'mqtt.port = "1883\\nx = 3": expected a whole number'),
        ("EVENKEEL_MQTT__PORT", 5000 * "9", f'mqtt.port = "{79 * "9"}…: expected a whole number'),
        ("EVENKEEL_CAMERA__SEAT", 5000 * "[", "expected a list in brackets"),
        ("EVENKEEL_CAMERA__FPS", "\udcff", "EVENKEEL_CAMERA__FPS: not UTF-8 text"),
        ("EVENKEEL_MQTT__HOST__X", "5", "EVENKEEL_MQTT__HOST__X: mqtt.host is not a section"),
        ("EVENKEEL_MQTT__TLS", "true", "mqtt.tls = true: expected a table"),
        ("EVENKEEL_" + "__".join(2000 * "A"), "1", "nested too deep"),
        ("EVENKEEL_ALERTS__ANGER__ENABLED", "no", "expected true or false"),
        ("EVENKEEL_BASELINE__MAX_REST", "0.3", "belongs to the model now"),
    ],
)
def test_no_variable_is_an_unexpected_fault(name: str, value: str, fault: str) -> None:
    message = fault_of(None, {name: value})
    assert fault in message
    assert "\n" not in message


def test_nesting_without_end_is_no_configuration(tmp_path: Path) -> None:
    assert "nested too deep" in fault_of(write(tmp_path, "[camera]\nseat = " + "[" * 5000))


def test_a_variable_that_names_no_key_is_refused_with_the_right_form() -> None:
    with pytest.raises(ConfigError, match="EVENKEEL_MQTT_HOST: no key is named; write EVENKEEL_<SECTION>__<KEY>"):
        load_config(None, {"EVENKEEL_MQTT_HOST": "foo"})


def test_a_missing_file_is_named_with_the_remedy() -> None:
    assert fault_of(Path("/no/such.toml")) == "/no/such.toml: no such file; give an existing one with --config"


def test_a_folder_and_a_binary_file_are_no_configuration(tmp_path: Path) -> None:
    assert "cannot be read" in fault_of(tmp_path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(bytes(range(256)))
    assert str(binary) in fault_of(binary)


def test_a_wrong_variable_is_named_instead_of_the_file(tmp_path: Path) -> None:
    message = fault_of(write(tmp_path, ""), {"EVENKEEL_MQTT__PORT": "99999"})
    assert message.startswith("EVENKEEL_MQTT__PORT: mqtt.port = 99999")


@pytest.mark.parametrize(
    ("name", "text", "keys"),
    [
        ("EVENKEEL_DEVICE__ID", "7.10", ("device", "id")),
        ("EVENKEEL_MQTT__USERNAME", "true", ("mqtt", "username")),
        ("EVENKEEL_MQTT__PROTOCOL", "5", ("mqtt", "protocol")),
        ("EVENKEEL_OUTBOX__PATH", "2026", ("outbox", "path")),
    ],
)
def test_a_variable_for_a_text_key_is_taken_as_it_is_though_it_looks_like_a_number(
    name: str, text: str, keys: tuple[str, str]
) -> None:
    config = load_config(None, {name: text})
    assert str(getattr(getattr(config, keys[0]), keys[1])) == text


def test_a_password_typed_into_the_file_is_not_printed(tmp_path: Path) -> None:
    message = fault_of(write(tmp_path, '[mqtt]\npassword = "hunter2"\n'))
    assert "mqtt.password: unknown key" in message
    assert "password_file" in message
    assert "hunter2" not in message


def test_every_key_has_a_description() -> None:
    assert [path for path, field in fields() if not field.description] == []


def test_the_schema_is_json_with_every_section() -> None:
    assert set(json.loads(schema_json())["properties"]) == set(Config.model_fields)


def test_every_key_says_whom_it_is_for_and_few_are_basic() -> None:
    layers = [section.layer_of(path[-1]) for section, path in all_keys(Config)]
    assert len(layers) == len(list(fields()))
    assert layers.count(Layer.BASIC) <= MOST_BASIC_KEYS


def test_the_shipped_example_loads_as_it_is() -> None:
    assert load_config(EXAMPLE, {}) == load_config(None, {})


def test_the_shipped_example_shows_the_basic_keys_with_their_defaults() -> None:
    shown = tomllib.loads(re.sub(r"^#(?=\w+ = )", "", EXAMPLE.read_text(), flags=re.MULTILINE))
    Config.model_validate(shown)
    keys = dict(flat(shown))
    assert set(keys) == {path for section, path in all_keys(Config) if section.layer_of(path[-1]) is Layer.BASIC}
    for path, field in fields():
        default = field.get_default(call_default_factory=True)
        if path in keys and default is not None and path not in MACHINE_DEPENDENT:
            assert keys[path] == (list(default) if isinstance(default, tuple) else default), path


def flat(table: dict[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, value in table.items():
        if isinstance(value, dict) and name != "weights":
            yield from flat(value, (*path, name))
        else:
            yield (*path, name), value


def test_the_schema_says_whom_each_key_is_for() -> None:
    schema = Config.model_json_schema()
    anger = schema["$defs"]["AlertsConfig"]["properties"]["anger"]
    assert {"layer": "tuner"}.items() <= anger["properties"]["hold_s"].items()
    assert schema["$defs"]["MqttConfig"]["properties"]["host"]["layer"] == "basic"
    assert schema["$defs"]["MqttConfig"]["properties"]["answer_s"]["layer"] == "expert"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("[camera]\nfsp = 15\n", "did you mean fps?"),
        ("[cam]\nfps = 15\n", "known here: alerts, baseline, breaks, cab, camera"),
        ("[camera]\nport = 1883\n", "did you mean mqtt.port or vehicle.gpsd.port or vss.port?"),
        ("hold_s = 1\n", "did you mean alerts.anger.hold_s or alerts.distress.hold_s"),
        ('[alerts]\nsensitivty = "low"\n', "did you mean sensitivity?"),
        ("[mqtt.tsl]\nenabled = true\n", "did you mean tls?"),
    ],
)
def test_an_unknown_key_is_answered_with_what_was_meant(tmp_path: Path, text: str, meant: str) -> None:
    assert meant in fault_of(write(tmp_path, text))


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("ordinary_anger", "[usual] anger"),
        ("ordinary_distress", "[usual] distress"),
        ("ordinary", "[rest] ordinary"),
        ("max_rest", "[rest] most"),
    ],
)
def test_a_key_that_moved_is_answered_with_its_place(tmp_path: Path, key: str, place: str) -> None:
    message = fault_of(write(tmp_path, f"[baseline]\n{key} = 0.1\n"))
    assert f"baseline.{key}: belongs to the model now: the expression model's manifest has it, {place}" in message
    assert "known here" not in message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[alerts.anger]\nseldom = 0.4\n", "alerts.anger.seldom: is part of the rule now"),
        ("[alerts.distress]\nweights = { fear = 1.0 }\n", "alerts.distress.weights: is part of the rule now"),
        ("[alerts.anger]\nexit = 0.3\n", "alerts.anger.exit: follows 'enter' now: 0.6 of it"),
        ("[alerts.anger]\nrelease_s = 3.0\n", "alerts.anger.release_s: is part of the rule now"),
        ("[baseline]\nfloor_s = 25.0\n", "baseline.floor_s: is no key any more"),
        ("[vision]\nexpression_every = 3\n", "vision.expression_every: became expression_hold_s"),
        ("[smoothing]\ntime_constant_s = 0.7\n", "smoothing: is no table any more"),
    ],
)
def test_a_key_that_the_rule_took_over_is_answered_with_that(tmp_path: Path, text: str, message: str) -> None:
    fault = fault_of(write(tmp_path, text))
    assert message in fault
    assert "known here" not in fault


def test_the_decision_has_few_keys() -> None:
    """Twelve shape it: six for each of two kinds; the others switch it, or keep what was learned over a restart."""
    config = Config()
    keys = {f"{kind}.{key}" for kind, each in config.alerts.expressions.items() for key in type(each).model_fields}
    keys |= {f"baseline.{key}" for key in type(config.baseline).model_fields}
    switches = {"anger.enabled", "distress.enabled", "anger.min_speed_kmh", "distress.min_speed_kmh"}
    switches |= {"baseline.enabled", "baseline.max_age_hours"}
    assert switches < keys
    assert len(keys - switches) == 12
