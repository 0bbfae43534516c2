"""What Home Assistant shows of a device: each entity as a component of its description, with the keys' full names.

A component without a state topic has health's. What is not known is unknown or unavailable, never calm: a kind that
cannot be read now is unavailable, unless an alert of it is open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from edge.config import Config
from edge.decision.kinds import going_by
from edge.domain import EYES, Kind, Phase, State
from edge.mqtt.messages import LIVE, RESEND, CommandName, Topics
from edge.words import Catalogue

MISSED_BEATS = 3
"""A value expires when this many of its messages in a row did not come."""

PAUSE_MIN = 10
"""What the pause button asks for where nobody has set the number beside it, minutes."""

MOST_CHARACTERS = 255
"""Home Assistant takes no longer state."""

Component = dict[str, Any]

_WHOLE = "round(default=none)"
"""Home Assistant's filter: a whole number, and unknown where there is none."""

_DETAIL = {"entity_category": "diagnostic", "enabled_by_default": False}
"""Of what changes all the time and few look at: each change is a row that Home Assistant stores."""

# read before what follows uses it: 'k' is where a kind stands, and has nothing where it is not judged
_KIND = "{{% set k = value_json.kinds.get('{kind}', {{}}) %}}"

# the number is found by its device, because people rename entities; while it has no value it is 'unknown'
_LENGTH = "device_entities(device_id(entity_id)) | select('match', 'number') | map('states') | first"


def driver_entities(topics: Topics, config: Config, words: Catalogue) -> dict[str, Component]:
    """What is said of the driver, and what may be asked for; nothing of it is there in shadow mode."""
    spoken = _alert_entities(topics, config.alerts.enabled, words) | _state_entities(topics, config, words)
    return spoken | _control_entities(topics, config, words)


def _control_entities(topics: Topics, config: Config, words: Catalogue) -> dict[str, Component]:
    """A button a command, what came of the last one that a person sends, and how long a pause lasts.

    Home Assistant keeps that number; the device never hears it. It begins at PAUSE_MIN, and whatever it says, no button
    asks for more than the device grants.
    """
    # where an hour grants no pause at all, whatever is asked for is refused
    longest_s = min(config.publish.max_pause_s, config.publish.max_pause_hourly_s or math.inf)
    longest_min = max(1, math.floor(longest_s / 60))
    usual_min = min(PAUSE_MIN, longest_min)
    pause = f'{{"seconds": {{{{ [{_LENGTH} | float({usual_min}) * 60, {longest_s:g}] | min }}}}}}'

    def button(name: CommandName, icon: str, **more: str) -> Component:
        return {
            "platform": "button",
            "name": words.entity(name),
            "icon": icon,
            "command_topic": topics.command(name),
            **more,
        }

    settings = {"entity_category": "config"}
    return {
        "acknowledge": button(CommandName.ACKNOWLEDGE, "mdi:hand-okay"),
        "pause": button(CommandName.PAUSE, "mdi:pause", command_template=pause),
        "resume": button(CommandName.RESUME, "mdi:play"),
        "recalibrate": button(CommandName.RECALIBRATE, "mdi:face-recognition", **settings),
        "reload": button(CommandName.RELOAD, "mdi:reload", **settings),
        "pause_min": {
            "platform": "number",
            "name": words.entity("pause_min"),
            "icon": "mdi:timer-outline",
            "unit_of_measurement": "min",
            "min": 1,  # without it Home Assistant offers 0, which is no pause
            "max": longest_min,
            "command_topic": topics.command("pause_min"),
            "mode": "box",  # a slider does not tell its number
            "optimistic": True,
            # health's topic gives it its first value; an empty one is none
            "value_template": f"{{{{ {usual_min} if this.state == 'unknown' else '' }}}}",
            **settings,
        },
        "command": {
            "platform": "sensor",
            "name": words.entity("command"),
            "icon": "mdi:console-line",
            "entity_category": "diagnostic",
            "state_topic": topics.result("+"),
            "value_template": (
                f"{{{{ this.state if value_json.command in {[LIVE, RESEND]} else"
                f" (value_json.command ~ ': ' ~ value_json.message)[:{MOST_CHARACTERS}] }}}}"
            ),
        },
    }


def health_entities(topics: Topics, config: Config, words: Catalogue) -> dict[str, Component]:
    """How the device is.

    Temperature and problem have no name here: Home Assistant calls them by their class, in its own language.
    """
    common = {"entity_category": "diagnostic", "expire_after": _expiry(config.publish.health_s)}

    def number(value: str, **more: Any) -> Component:
        return _sensor(f"{{{{ value_json.{value} | {_WHOLE} }}}}", **more, **common)

    def count(name: str, value: str, icon: str, **more: Any) -> Component:
        return _sensor(f"{{{{ value_json.{value} }}}}", name=words.entity(name), icon=icon, **common | more)

    def problem(template: str, device_class: str = "problem", **more: str) -> Component:
        described = {"device_class": device_class, "value_template": template}
        return {"platform": "binary_sensor", **more, **described, **common}

    return {
        "fps": _sensor(
            "{{ (value_json.fps / 5) | round * 5 if value_json.fps is number else none }}",
            name=words.entity("fps"),
            icon="mdi:speedometer",
            unit_of_measurement="fps",
            **common,
        ),
        "temperature": number("temperature_c", device_class="temperature", unit_of_measurement="°C"),
        "memory": _sensor(
            "{{ value_json.memory_mb | round(-1, default=none) }}",
            name=words.entity("memory"),
            device_class="data_size",
            unit_of_measurement="MB",
            suggested_display_precision=0,
            **common,
        ),
        "outbox_depth": count("outbox_depth", "outbox.depth", "mdi:tray-full"),
        "dropped": count("dropped", "dropped_frames", "mdi:filmstrip-off", state_class="total_increasing", **_DETAIL),
        # Home Assistant reads 'None' as unknown: a board that cannot tell is not one that runs cool
        "throttled": problem(
            "{{ iif(value_json.throttled, 'ON', 'OFF', none) }}",
            "heat",
            name=words.entity("throttled"),
        ),
        "clock": problem(
            "{{ iif(value_json.clock_synced, 'OFF', 'ON') }}",
            name=words.entity("clock"),
        ),
        "problem": problem(
            "{{ iif(value_json.problems or value_json.outbox.problem, 'ON', 'OFF') }}",
            json_attributes_topic=topics.health,
            json_attributes_template=(
                "{{ dict(problems=value_json.problems, outbox=value_json.outbox.problem) | to_json }}"
            ),
        ),
    }


def _alert_entities(topics: Topics, kinds: Iterable[Kind], words: Catalogue) -> dict[str, Component]:
    # an event's type must be one of a fixed list; everything else in its payload becomes an attribute
    template = "{{ dict(value_json, event_type=value_json.kind ~ '_' ~ value_json.phase) | to_json }}"
    kinds = tuple(kinds)
    alert = {
        "platform": "event",
        "name": words.entity("alert"),
        "icon": "mdi:car-emergency",
        "state_topic": topics.alert,
        "value_template": template,
        "event_types": [f"{kind}_{phase}" for kind in kinds for phase in Phase],
        # an event that went away with the device would happen again with its return
        "availability": [],
    }
    active = {
        kind: {
            "platform": "binary_sensor",
            "name": _title(words.kind(kind)),
            "device_class": "problem",
            "state_topic": topics.active(kind),
            # no alert of a kind that cannot be read now is not 'off': then it is unavailable
            **_while(topics, kind, "k.get('level') or k.get('readable')"),
        }
        for kind in kinds
    }
    started = {
        f"{kind}_started": {
            "platform": "device_automation",
            "automation_type": "trigger",
            "type": "started",
            "subtype": kind,
            "topic": topics.alert,
            "payload": f"{kind}{Phase.START}",
            "value_template": "{{ value_json.kind ~ value_json.phase }}",
        }
        for kind in kinds
    }
    return {"alert": alert, **active, **started}


def _state_entities(topics: Topics, config: Config, words: Catalogue) -> dict[str, Component]:
    expire = {"state_topic": topics.state, "expire_after": _expiry(config.publish.heartbeat_s)}

    def share(name: str, template: str, icon: str, **more: Any) -> Component:
        return _sensor(template, name=name, icon=icon, **{"unit_of_measurement": "%"} | more, **expire)

    state = {
        "platform": "sensor",
        "name": words.entity("state"),
        "icon": "mdi:steering",
        "device_class": "enum",
        "options": [str(state) for state in State],
        "value_template": "{{ value_json.state }}",
        "json_attributes_topic": topics.state,
        "json_attributes_template": "{{ dict(reason=value_json.reason) | to_json }}",
        **expire,
    }
    watching = {
        "platform": "binary_sensor",
        "name": words.entity("watching"),
        "icon": "mdi:eye-check-outline",
        "value_template": "{{ iif(value_json.watching, 'ON', 'OFF') }}",
        **expire,
    }
    break_due = {
        "platform": "binary_sensor",
        "name": words.entity("break_due"),
        "icon": "mdi:coffee-outline",
        "value_template": "{{ iif(value_json.break_due, 'ON', 'OFF', none) }}",
        **expire,
    }
    signals = {
        f"{kind}_signal": share(
            words.entity("signal").format(kind=_title(words.kind(kind))),
            f"{_KIND.format(kind=kind)}{{{{ (k.signal * 10) | int * 10 if k else none }}}}",
            "mdi:gauge",
            state_class=None,  # what it comes to over an hour tells nothing
            **_while(topics, kind, "k.get('readable')"),
        )
        for kind in config.alerts.enabled
    }
    diagnostic = {"entity_category": "diagnostic"}
    eyes = {
        "perclos": share(
            words.entity("perclos"),
            f"{{{{ (value_json.eyes or {{}}).get('perclos') | multiply(100, none) | {_WHOLE} }}}}",
            "mdi:eye-off-outline",
        ),
        "blinks": share(
            words.entity("blinks"),
            f"{{{{ (value_json.eyes or {{}}).get('blinks_per_minute') | {_WHOLE} }}}}",
            "mdi:eye-outline",
            unit_of_measurement="/min",
            **_DETAIL,
        ),
    }
    certain = {
        "confidence": share(
            words.entity("confidence"),
            "{{ (value_json.confidence * 10) | round * 10 }}",
            "mdi:check-decagram",
            **_DETAIL,
        ),
        "calibrated": share(
            words.entity("calibrated"),
            f"{{{{ value_json.calibrated_percent | {_WHOLE} }}}}",
            "mdi:face-man-profile",
            state_class=None,  # learned once, and then it stays
            **diagnostic,
        ),
    }
    seen = eyes if going_by(EYES, config.alerts.enabled) else {}
    breaks = {"break_due": break_due} if config.breaks.enabled else {}
    return {"state": state, "watching": watching, **breaks, **signals, **seen, **certain}


def _while(topics: Topics, kind: Kind, when: str) -> Component:
    """Available while the device is there and ``when`` holds of its kind ``k``."""
    template = f"{_KIND.format(kind=kind)}{{{{ iif({when}, 'online', 'offline') }}}}"
    return {"availability": [{"topic": topics.availability}, {"topic": topics.state, "value_template": template}]}


def _sensor(template: str, **more: Any) -> Component:
    """A sensor; what is None in ``more`` is left out."""
    sensor = {"platform": "sensor", "state_class": "measurement", "value_template": template, **more}
    return {key: value for key, value in sensor.items() if value is not None}


def _title(words: str) -> str:
    return words.replace("_", " ").capitalize()


def _expiry(period_s: float) -> int:
    return math.ceil(MISSED_BEATS * period_s)
