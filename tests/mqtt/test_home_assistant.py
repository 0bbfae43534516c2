"""The device's description against Home Assistant's documented schema, and its templates rendered on real messages.

The tables follow https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload and the pages of the
platforms: /integrations/event.mqtt/, sensor.mqtt/, binary_sensor.mqtt/, button.mqtt/, number.mqtt/ and
device_trigger.mqtt/; device classes and their units /integrations/sensor/#device-class and
/integrations/binary_sensor/#device-class; short keys
/integrations/mqtt/#supported-abbreviations-in-mqtt-discovery-messages.
"""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jinja2.sandbox import ImmutableSandboxedEnvironment

import edge.mqtt
from benchmarks.messages import made_alert, made_health, made_state
from edge.board.sensors import Board
from edge.config import Config
from edge.domain import Kind, Level, Phase, State
from edge.mqtt.commands import Bounds, Command, parse_command
from edge.mqtt.discovery import MOVED, descriptions, discovery_topic, part_topics
from edge.mqtt.entities import PAUSE_MIN
from edge.mqtt.messages import COMMANDS, CommandName, EyesPart, KindPart, OutboxPart, Topics, command_result
from edge.service.loop import board_stamp
from edge.words import catalogue, languages
from tests.mqtt.described import in_full, part_in_full

TEXT = {"type": "string", "minLength": 1}
TEMPLATE = {"type": "string", "pattern": r"^(\{% set .*%\})?\{\{.*\}\}$"}
COMMAND_TEMPLATE = {"type": "string", "pattern": r"\{\{.*\}\}"}
TOPIC = {"type": "string", "pattern": r"^[^+#\u0000]+$"}
FILTER = {"type": "string", "pattern": r"^[^#\u0000]+$"}
SECONDS = {"type": "integer", "minimum": 1}
QOS = {"enum": [0, 1, 2]}

AVAILABILITY = {
    "type": "array",
    "items": {
        "type": "object",
        "required": ["topic"],
        "additionalProperties": False,
        "properties": {
            "topic": TOPIC,
            "payload_available": TEXT,
            "payload_not_available": TEXT,
            "value_template": TEMPLATE,
        },
    },
}

ENTITY = {
    "platform": TEXT,
    "name": {"type": ["string", "null"]},
    "unique_id": TEXT,
    "default_entity_id": TEXT,
    "state_topic": TOPIC,
    "value_template": TEMPLATE,
    "json_attributes_topic": TOPIC,
    "json_attributes_template": TEMPLATE,
    "icon": {"type": "string", "pattern": "^mdi:[a-z0-9-]+$"},
    "entity_category": {"enum": ["diagnostic"]},  # 'config' is for what can be set; see COMMANDING
    "enabled_by_default": {"type": "boolean"},
    "availability": AVAILABILITY,
    "availability_mode": {"enum": ["all", "any", "latest"]},
    "qos": QOS,
    "encoding": TEXT,
}

COMMANDING = {name: ENTITY[name] for name in ENTITY if "state" not in name and "value" not in name} | {
    "entity_category": {"enum": ["config", "diagnostic"]},
    "command_topic": TOPIC,
    "command_template": COMMAND_TEMPLATE,
    "retain": {"type": "boolean"},
}

EXPIRING = {"expire_after": SECONDS, "force_update": {"type": "boolean"}}

PLATFORMS: dict[str, dict[str, Any]] = {
    "event": {
        "required": ["platform", "unique_id", "state_topic", "event_types"],
        "properties": ENTITY
        | {
            "device_class": {"enum": ["button", "doorbell", "motion"]},
            "event_types": {"type": "array", "items": TEXT, "minItems": 1, "uniqueItems": True},
        },
    },
    "binary_sensor": {
        "required": ["platform", "unique_id", "state_topic"],
        "properties": ENTITY
        | EXPIRING
        | {
            "device_class": {"enum": ["heat", "problem"]},  # of the many, those that are meant here
            "payload_on": TEXT,
            "payload_off": TEXT,
            "off_delay": SECONDS,
        },
    },
    "sensor": {
        "required": ["platform", "unique_id", "state_topic"],
        "properties": ENTITY
        | EXPIRING
        | {
            "state_topic": FILTER,  # the last command may be any
            "device_class": {"enum": ["enum", "temperature", "data_size"]},
            "state_class": {"enum": ["measurement", "total", "total_increasing"]},
            "unit_of_measurement": TEXT,
            "options": {"type": "array", "items": TEXT, "minItems": 1, "uniqueItems": True},
            "suggested_display_precision": {"type": "integer"},
            "last_reset_value_template": TEMPLATE,
        },
    },
    "button": {
        "required": ["platform", "unique_id", "command_topic"],
        "properties": COMMANDING | {"device_class": {"enum": ["identify", "restart", "update"]}, "payload_press": TEXT},
    },
    "number": {
        "required": ["platform", "unique_id", "command_topic"],
        "properties": COMMANDING
        | {
            **{key: ENTITY[key] for key in ("state_topic", "value_template")},
            "optimistic": {"type": "boolean"},
            "unit_of_measurement": TEXT,
            **{key: {"type": "number"} for key in ("min", "max", "step")},
            "mode": {"enum": ["auto", "box", "slider"]},
        },
    },
    "device_automation": {
        "required": ["platform", "automation_type", "topic", "type", "subtype"],
        "properties": {
            "platform": TEXT,
            "automation_type": {"const": "trigger"},
            **dict.fromkeys(("type", "subtype", "payload"), TEXT),
            "topic": TOPIC,
            "value_template": TEMPLATE,
            "qos": QOS,
        },
    },
}

DEVICE = {
    "type": "object",
    "required": ["identifiers"],
    "additionalProperties": False,
    "properties": {
        "identifiers": {"type": "array", "items": TEXT, "minItems": 1},
        **dict.fromkeys(("name", "manufacturer", "model", "model_id", "hw_version", "sw_version"), TEXT),
        **dict.fromkeys(("serial_number", "suggested_area", "via_device", "configuration_url"), TEXT),
        "connections": {"type": "array"},
    },
}

DESCRIPTION = {
    "type": "object",
    "required": ["device", "origin", "components"],
    "additionalProperties": False,
    "properties": {
        "device": DEVICE,
        "origin": {
            "type": "object",
            "required": ["name"],
            "additionalProperties": False,
            "properties": {"name": TEXT, "sw_version": TEXT, "support_url": TEXT},
        },
        "components": {"type": "object", "minProperties": 1, "additionalProperties": {"type": "object"}},
        "availability": AVAILABILITY,
        "availability_mode": {"enum": ["all", "any", "latest"]},
        "state_topic": TOPIC,
        "command_topic": TOPIC,
        "qos": QOS,
        "encoding": TEXT,
    },
}

LARGEST, SUM = 2000, 10_000
"""Bytes of a message with its topic, and of all of them."""

README = Path(edge.mqtt.__file__).parent / "README.md"

UNITS = {"temperature": {"°C", "°F", "K"}, "data_size": {"B", "kB", "MB", "GB", "KiB", "MiB", "GiB"}}
BOARD = Board("Raspberry Pi 5 Model B Rev 1.0", "10000000abcdef01")


def messages(board: Board | None = None, **discovery: str) -> dict[str, bytes]:
    config = Config.model_validate({"device": {"id": "van-7"}, "discovery": discovery})
    return descriptions(config, "0.1", board or Board())


def description(board: Board | None = None, **discovery: str) -> dict[str, Any]:
    return in_full(messages(board, **discovery))


COMPONENTS: dict[str, dict[str, Any]] = description()["components"]


@pytest.mark.parametrize("board", [Board(), BOARD])
def test_each_part_of_the_description_is_as_documented(board: Board) -> None:
    for message in messages(board).values():
        if message != MOVED:
            jsonschema.validate(part_in_full(message), DESCRIPTION)


def test_every_part_is_of_the_same_device_and_names_it() -> None:
    # without a name in the part that comes first Home Assistant calls the device after that part's entity
    told = [part_in_full(message)["device"] for message in messages(BOARD).values() if message != MOVED]
    assert {(*one["identifiers"], one["name"]) for one in told} == {("evenkeel_van-7", "van-7")}


def test_what_one_message_described_is_let_go_of_before_the_parts_come() -> None:
    base = "homeassistant/device/van-7/config"
    assert next(iter(messages().items())) == (base, MOVED)
    assert tuple(messages()) == (base, *part_topics(base))
    assert json.loads(MOVED) == {"migr_discvry": True}


def test_the_unique_ids_are_those_of_the_one_message_so_that_history_stays() -> None:
    assert {key: one["unique_id"] for key, one in COMPONENTS.items() if "unique_id" in one} == {
        key: f"evenkeel_van-7_{key}" for key in COMPONENTS if not key.endswith("_started")
    }


def test_no_component_changes_its_part() -> None:
    """A Home Assistant that runs takes one that comes by another topic for a second one, and refuses that."""
    places = {
        key: topic.partition("_e-")[2].partition("/")[0]
        for topic, message in messages().items()
        if message != MOVED
        for key in json.loads(message)["cmps"]
    }
    kinds = {
        key: f"kind-{kind}"
        for kind in ("anger", "distress", "fatigue")
        for key in (kind, f"{kind}_started", f"{kind}_signal")
    }
    assert places == kinds | {
        **dict.fromkeys(("alert", "state", "watching", "break_due"), "driver"),
        **dict.fromkeys(("perclos", "blinks", "confidence", "calibrated", "fps", "dropped"), "readings"),
        **dict.fromkeys(
            ("acknowledge", "pause", "resume", "recalibrate", "reload", "pause_min", "command"), "controls"
        ),
        **dict.fromkeys(("temperature", "memory", "outbox_depth", "throttled", "clock", "problem"), "health"),
    }


def test_what_is_not_judged_is_taken_back_in_the_same_part() -> None:
    config = Config.model_validate(
        {"alerts": {kind: {"enabled": False} for kind in ("distress", "fatigue")}, "breaks": {"episodes": {}}}
    )
    components = in_full(descriptions(config, "0.1", Board()))["components"]
    assert {key: one for key, one in components.items() if len(one) == 1} == {
        "distress": {"platform": "binary_sensor"},
        "distress_started": {"platform": "device_automation"},
        "distress_signal": {"platform": "sensor"},
        "fatigue": {"platform": "binary_sensor"},
        "fatigue_started": {"platform": "device_automation"},
        "fatigue_signal": {"platform": "sensor"},
        "break_due": {"platform": "binary_sensor"},
        "perclos": {"platform": "sensor"},
        "blinks": {"platform": "sensor"},
    }
    assert components["alert"]["event_types"] == ["anger_start", "anger_escalate", "anger_end"]


def test_a_board_that_tells_what_it_is_is_told_of() -> None:
    device = description(BOARD)["device"]
    assert (device["hw_version"], device["serial_number"]) == (BOARD.model, BOARD.serial)
    assert not {"hw_version", "serial_number"} & set(description()["device"])


@pytest.mark.parametrize("key", COMPONENTS)
def test_every_subscription_and_every_command_is_at_qos_1(key: str) -> None:
    assert COMPONENTS[key]["qos"] == 1


def test_an_alert_does_not_go_away_and_come_back_with_the_device() -> None:
    assert COMPONENTS["alert"]["availability"] == []


def test_each_language_names_every_entity_and_the_words_for_programs_stay() -> None:
    names = {language: [one.get("name") for one in described(language).values()] for language in languages()}
    assert names["en"] != names["de"]
    assert "Ärger" in names["de"]
    for language in languages():
        told = [name for name in names[language] if name is not None]
        assert len(set(told)) == len(told)
        assert described(language)["state"]["options"] == described("en")["state"]["options"]
        assert set(catalogue(language).entities) == set(catalogue("en").entities)


def described(language: str) -> dict[str, Any]:
    components: dict[str, Any] = description(language=language)["components"]
    return components


@pytest.mark.parametrize("key", COMPONENTS)
def test_every_entity_has_the_documented_keys_and_no_other(key: str) -> None:
    component = COMPONENTS[key]
    schema = {"type": "object", "additionalProperties": False, **PLATFORMS[component["platform"]]}
    jsonschema.validate(component, schema)


@pytest.mark.parametrize("key", [key for key, one in COMPONENTS.items() if one["platform"] == "sensor"])
def test_a_sensors_class_unit_and_options_go_together(key: str) -> None:
    sensor = COMPONENTS[key]
    kind = sensor.get("device_class")
    assert ("options" in sensor) == (kind == "enum")
    if kind == "enum":  # Home Assistant refuses either on an enum
        assert "state_class" not in sensor
        assert "unit_of_measurement" not in sensor
    if kind in UNITS:
        assert sensor["unit_of_measurement"] in UNITS[kind]
    # what came of the last command stays true
    assert key == "command" or sensor["expire_after"] > 0


@pytest.mark.parametrize("device_id", ["van-7", "van.7", "A_b-3.c"])
def test_the_topic_has_only_what_home_assistant_takes_in_one(device_id: str) -> None:
    topic = discovery_topic(Config.model_validate({"device": {"id": device_id}}))
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", topic)


def environment() -> ImmutableSandboxedEnvironment:
    """Home Assistant's: Jinja in a sandbox, with some functions of its own (homeassistant/helpers/template)."""
    made = ImmutableSandboxedEnvironment()
    made.filters |= {"to_json": json.dumps, "round": rounded, "multiply": multiplied, "float": as_float}
    made.globals["iif"] = iif
    return made


def render(template: str, payload: bytes) -> str:
    return environment().from_string(template).render(value_json=json.loads(payload))


RAISE = object()


def rounded(value: Any, precision: int = 0, method: str = "common", default: Any = RAISE) -> Any:
    assert method == "common"
    number = as_float(value, default)
    if number is default:
        return default
    return int(round(number, 0)) if precision == 0 else round(number, precision)


def multiplied(value: Any, amount: float, default: Any = RAISE) -> Any:
    number = as_float(value, default)
    return default if number is default else number * amount


def as_float(value: Any, default: Any = RAISE) -> Any:
    try:
        return float(value)
    except (ValueError, TypeError):
        if default is RAISE:
            raise
        return default


def iif(value: Any, if_true: Any = True, if_false: Any = False, if_none: Any = RAISE) -> Any:  # noqa: FBT002
    if value is None and if_none is not RAISE:
        return if_none
    return if_true if value else if_false


@pytest.mark.parametrize("kind", Config().alerts.enabled)
@pytest.mark.parametrize("phase", Phase)
def test_each_alert_becomes_an_event_of_a_declared_type_with_all_its_values(kind: Kind, phase: Phase) -> None:
    alert = made_alert(board_stamp(), "why", kind=kind, phase=phase, sequence=7)
    event = json.loads(render(COMPONENTS["alert"]["value_template"], alert.payload()))
    assert event.pop("event_type") in COMPONENTS["alert"]["event_types"]
    assert event == json.loads(alert.payload())


def payload_of(key: str) -> bytes:
    outbox = OutboxPart(depth=3, bytes=1200, dropped=0, problem=None)
    health = COMPONENTS[key]["state_topic"].endswith("/health")
    message = made_health(board_stamp(), outbox) if health else made_state(board_stamp(), state=State.WARNING)
    return message.payload()


def test_a_kind_that_starts_an_alert_pulls_its_trigger_and_no_other() -> None:
    for kind, phase in itertools.product(Config().alerts.enabled, Phase):
        alert = made_alert(board_stamp(), kind=kind, phase=phase).payload()
        pulled = [
            key
            for key, one in COMPONENTS.items()
            if one["platform"] == "device_automation" and render(one["value_template"], alert) == one["payload"]
        ]
        assert pulled == ([f"{kind}_started"] if phase is Phase.START else [])


def test_attributes_are_few_and_stay_the_same_while_nothing_happens() -> None:
    """Each new set of attributes is a row that Home Assistant stores."""
    earlier, later = board_stamp(), board_stamp()
    state, health = COMPONENTS["state"], COMPONENTS["problem"]
    outbox = OutboxPart(depth=0, bytes=0, dropped=0, problem=None)
    for component, message in ((state, made_state), (health, lambda stamp: made_health(stamp, outbox, ("dark",)))):
        template = component["json_attributes_template"]
        told = [render(template, message(stamp).payload()) for stamp in (earlier, later)]
        assert told[0] == told[1]
    assert json.loads(
        render(health["json_attributes_template"], made_health(earlier, outbox, ("dark",)).payload())
    ) == {
        "problems": ["dark"],
        "outbox": None,
    }
    assert json.loads(render(state["json_attributes_template"], made_state(earlier, "why").payload())) == {
        "reason": "why"
    }


def test_each_button_tells_a_command_that_the_device_takes() -> None:
    topics = Topics("evenkeel", "van-7")
    buttons = {key: one for key, one in COMPONENTS.items() if one["platform"] == "button"}
    assert set(buttons) == set(CommandName)
    for name, button in buttons.items():
        assert button["command_topic"] == topics.command(name)
        pressed = render_pause(button["command_template"]) if "command_template" in button else b"PRESS"
        taken = parse_command(name, pressed, Bounds(max_pause_s=1800, max_age_s=60), board_stamp())
        assert isinstance(taken, Command)
        assert taken.seconds == (PAUSE_MIN * 60 if name == CommandName.PAUSE else None)


@pytest.mark.parametrize(
    ("max_pause_s", "said", "asked_s"),
    [
        (1800, "unknown", 600),  # nobody has set it
        (1800, "20.0", 1200),
        (300, "unknown", 300),
        (300, "20.0", 300),  # set when the device still granted more
        (30, "unknown", 30),
        (30, "1.0", 30),  # a minute is the least that can be set
    ],
)
def test_the_pause_button_never_asks_for_more_than_the_device_grants(
    max_pause_s: float, said: str, asked_s: float
) -> None:
    told = granting(max_pause_s)["pause"]["command_template"]
    command = parse_command("pause", render_pause(told, said), Bounds(max_pause_s, 60), board_stamp())
    assert isinstance(command, Command)
    assert command.seconds == asked_s


@pytest.mark.parametrize(("max_pause_s", "most", "first"), [(1800, 30, 10), (300, 5, 5), (30, 1, 1)])
def test_the_length_of_a_pause_begins_at_ten_minutes_or_the_most_that_is_granted(
    max_pause_s: float, most: int, first: int
) -> None:
    number = granting(max_pause_s)["pause_min"]
    assert (number["min"], number["max"]) == (1, most)
    assert number["command_topic"].rpartition("/")[2] not in COMMANDS
    # Home Assistant takes no notice of an empty value, so that what somebody has set stays
    begin = environment().from_string(number["value_template"])
    assert [begin.render(this={"state": state}) for state in ("unknown", "3.0")] == [str(first), ""]
    assert number["optimistic"]


@pytest.mark.parametrize(("hourly_s", "most"), [(300, 5), (3600, 30), (0, 30)])
def test_the_hours_budget_bounds_a_pause_too(hourly_s: float, most: int) -> None:
    assert granting(1800, hourly_s)["pause_min"]["max"] == most


def granting(max_pause_s: float, hourly_s: float = 1800) -> dict[str, Any]:
    config = Config.model_validate({"publish": {"max_pause_s": max_pause_s, "max_pause_hourly_s": hourly_s}})
    components: dict[str, Any] = in_full(descriptions(config, "0.1", Board()))["components"]
    return components


def render_pause(template: str, said: str = "unknown") -> bytes:
    """With Home Assistant's functions; ``said`` is what the device's number says."""
    with_states = environment()
    with_states.globals |= {"device_id": lambda _: "d", "device_entities": lambda _: ["sensor.a", "number.b"]}
    with_states.filters["states"] = lambda _: said
    with_states.tests["match"] = lambda text, start: re.match(start, text) is not None
    return with_states.from_string(template).render(entity_id="button.pause").encode()


def test_templates_lose_their_spaces_and_keep_what_is_quoted() -> None:
    assert COMPONENTS["command"]["value_template"] == (
        "{{this.state if value_json.command in['live','resend']else(value_json.command~': '~value_json.message)[:255]}}"
    )


@pytest.mark.parametrize("language", languages())
def test_the_messages_stay_small(language: str) -> None:
    """Brokers bound how large a message may be, and some links cost by the byte."""
    sizes = [len(topic) + len(message) for topic, message in messages(BOARD, language=language).items()]
    assert max(sizes) <= LARGEST
    assert sum(sizes) <= SUM
    assert f"parts of at most {LARGEST:,} bytes, {SUM:,} bytes together" in README.read_text(encoding="utf-8")


def test_a_long_name_makes_no_message_larger_than_a_small_broker_takes() -> None:
    config = Config.model_validate({"device": {"id": "van-" + "7" * 60}, "mqtt": {"prefix": "fleet-" + "a" * 58}})
    assert max(len(topic) + len(told) for topic, told in descriptions(config, "0.1", BOARD).items()) <= 3900


def test_what_came_of_the_last_command_is_shown_and_never_too_long() -> None:
    template = COMPONENTS["command"]["value_template"]
    result = command_result(board_stamp(), "pause", ok=True, message="paused for 600 s")
    assert render(template, result.payload()) == "pause: paused for 600 s"
    long = command_result(board_stamp(), "pause", ok=False, message="x" * 1000)
    assert len(render(template, long.payload())) == 255


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in set(CommandName)])
def test_what_programs_ask_for_again_and_again_hides_no_answer_to_a_person(name: str) -> None:
    result = json.loads(command_result(board_stamp(), name, ok=True, message="live for 20 s").payload())
    template = environment().from_string(COMPONENTS["command"]["value_template"])
    assert template.render(value_json=result, this={"state": "pause: paused for 600 s"}) == "pause: paused for 600 s"


@pytest.mark.parametrize(("due", "shown"), [(True, "ON"), (False, "OFF"), (None, "None")])
def test_a_break_is_due_or_not_or_nobody_can_tell(due: bool | None, shown: str) -> None:  # noqa: FBT001 - a case
    state = made_state(board_stamp()).model_copy(update={"break_due": due})
    assert render(COMPONENTS["break_due"]["value_template"], state.payload()) == shown


@pytest.mark.parametrize(("watching", "shown"), [(True, "ON"), (False, "OFF")])
def test_whether_the_driver_is_looked_at_is_on_or_off(*, watching: bool, shown: str) -> None:
    state = made_state(board_stamp()).model_copy(update={"watching": watching})
    assert render(COMPONENTS["watching"]["value_template"], state.payload()) == shown


def test_a_value_that_the_eyes_give_is_a_whole_number_or_unknown() -> None:
    eyes = EyesPart(openness_left=1.0, openness_right=1.0, perclos=0.123, readable_share=1.0, blinks_per_minute=11.7)
    state = made_state(board_stamp()).model_copy(update={"eyes": eyes})
    assert float(render(COMPONENTS["perclos"]["value_template"], state.payload())) == 12
    assert float(render(COMPONENTS["blinks"]["value_template"], state.payload())) == 12
    unseen = state.model_copy(update={"eyes": eyes.model_copy(update={"perclos": None, "blinks_per_minute": None})})
    assert render(COMPONENTS["perclos"]["value_template"], unseen.payload()) == "None"
    assert render(COMPONENTS["blinks"]["value_template"], unseen.payload()) == "None"


@pytest.mark.parametrize(
    "key", [key for key, one in COMPONENTS.items() if "unit_of_measurement" in one and one["platform"] == "sensor"]
)
def test_a_measured_value_is_a_number_or_unknown(key: str) -> None:
    text = render(COMPONENTS[key]["value_template"], payload_of(key))
    assert text == "None" or float(text) >= 0


@pytest.mark.parametrize(
    ("key", "said"),
    [("state", "warning"), ("throttled", "None"), ("problem", "OFF"), ("outbox_depth", "3"), ("anger_signal", "10")],
)
def test_a_value_is_what_the_message_says(key: str, said: str) -> None:
    assert render(COMPONENTS[key]["value_template"], payload_of(key)) == said


def test_a_broken_outbox_and_a_named_problem_are_problems() -> None:
    fine = OutboxPart(depth=0, bytes=0, dropped=0, problem=None)
    for health in (
        made_health(board_stamp(), fine.model_copy(update={"problem": "disk full"})),
        made_health(board_stamp(), fine, ("camera unplugged",)),
    ):
        assert render(COMPONENTS["problem"]["value_template"], health.payload()) == "ON"


def shown(level: Level | None, *, readable: bool, key: str) -> str:
    """What Home Assistant shows of an entity of anger."""
    kinds = {"anger": KindPart(signal=0.12, level=level, readable=readable)}
    return told_by(made_state(board_stamp()).model_copy(update={"kinds": kinds}).payload(), key)


def told_by(state: bytes, key: str) -> str:
    component = COMPONENTS[key]
    always, read = component["availability"]
    assert always["topic"].endswith("/availability")
    assert {read["topic"], component["state_topic"]} == {"evenkeel/van-7/state"}
    if render(read["value_template"], state) != "online":
        return "unavailable"
    return render(component["value_template"], state)


@pytest.mark.parametrize(
    ("level", "readable", "kind", "signal"),
    [
        (None, True, "OFF", "10"),
        (Level.WARNING, True, "ON", "10"),
        # an alert that is open while the face is gone stays on; the number is not known then
        (Level.URGENT, False, "ON", "None"),
        (None, False, "unavailable", "unavailable"),
    ],
)
def test_what_cannot_be_read_is_never_off_or_0(level: Level | None, kind: str, signal: str, *, readable: bool) -> None:
    assert shown(level, readable=readable, key="anger") == kind
    assert shown(level, readable=readable, key="anger_signal") == signal
    assert part_in_full(messages()["homeassistant/device/van-7_e-kind-anger/config"])["availability_mode"] == "all"


def test_a_kind_that_an_older_state_does_not_tell_of_is_unavailable() -> None:
    payload = made_state(board_stamp()).model_copy(update={"kinds": {}}).payload()
    assert {told_by(payload, key) for key in ("anger", "anger_signal")} == {"unavailable"}


@pytest.mark.parametrize("key", ["anger", "anger_signal", "distress", "fatigue", "state", "watching"])
def test_what_is_said_of_the_driver_is_gone_when_three_states_did_not_come(key: str) -> None:
    """The connection may stand while the device hangs, and then nobody says 'offline'."""
    assert COMPONENTS[key]["state_topic"] == "evenkeel/van-7/state"
    assert COMPONENTS[key]["expire_after"] == 3 * Config().publish.heartbeat_s


def test_every_state_is_an_option_of_the_state() -> None:
    assert set(COMPONENTS["state"]["options"]) == set(State)
