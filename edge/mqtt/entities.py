"""What Home Assistant shows of a device: each entity as a component of its description, with the keys' full names.

The description comes in parts, a message each, because brokers bound how large a message may be. **A component stays in
its part for good**: one that comes by another topic is a second one to a Home Assistant that runs, and it refuses that.

A component without a state topic has its part's. What is not known is unknown or unavailable, never calm: a kind that
cannot be read now is unavailable, unless an alert of it is open.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from typing import Any

from edge.config import Config
from edge.decision.kinds import going_by, registered
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

# a kind that is not judged, or that an older state does not tell of, has nothing
_KIND = "value_json.kinds.get('{kind}', {{}})"

# the number is found by its device, because people rename entities; while it has no value it is 'unknown'
_LENGTH = "device_entities(device_id(entity_id)) | select('match', 'number') | map('states') | first"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One message of the description: components by their keys, and what each of them has unless it has its own.

    ``availability``: the topics that must all say so, by default the device's alone. Of what is ``hidden`` Home
    Assistant is told to remove it.
    """

    components: dict[str, Component]
    state_topic: str
    availability: tuple[Component, ...]
    hidden: AbstractSet[str] = frozenset()


DRIVER, READINGS, CONTROLS, HEALTH = "driver", "readings", "controls", "health"
_OF_KIND = "kind-"
"""In front of a kind's name: no kind can be called as another part."""


def part_names() -> tuple[str, ...]:
    """Every part, those of kinds that are not judged too."""
    return DRIVER, *(f"{_OF_KIND}{kind}" for kind in registered()), READINGS, CONTROLS, HEALTH


def parts(topics: Topics, config: Config, words: Catalogue) -> dict[str, Part]:
    """What is said of the driver, what may be asked for, how the device is. In shadow mode only the last is shown."""
    judged = config.alerts.enabled
    unseen = () if going_by(EYES, judged) else ("perclos", "blinks")
    unruled = () if config.breaks.enabled else ("break_due",)
    made = {
        DRIVER: _part(topics, _driver_entities(topics, config, words), topics.state, hidden=unruled),
        **{f"{_OF_KIND}{kind}": _kind_part(topics, config, kind, words) for kind in registered()},
        READINGS: _part(topics, _reading_entities(topics, config, words), topics.state, hidden=unseen),
        CONTROLS: _part(topics, _control_entities(topics, config, words), topics.health),
        HEALTH: _part(topics, _health_entities(topics, config, words), topics.health),
    }
    if not config.alerts.shadow:
        return made
    shown = {"fps", "dropped", *made[HEALTH].components}
    return {name: replace(part, hidden=part.components.keys() - shown) for name, part in made.items()}


def _part(topics: Topics, components: dict[str, Component], state_topic: str, *, hidden: Iterable[str] = ()) -> Part:
    availability = ({"topic": topics.availability},)
    return Part(components=components, state_topic=state_topic, availability=availability, hidden=frozenset(hidden))


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


def _health_entities(topics: Topics, config: Config, words: Catalogue) -> dict[str, Component]:
    """How the device is.

    Temperature and problem have no name here: Home Assistant calls them by their class, in its own language.
    """
    common = _health_common(config)

    def number(value: str, **more: Any) -> Component:
        return _sensor(f"{{{{ value_json.{value} | {_WHOLE} }}}}", **more, **common)

    def problem(template: str, device_class: str = "problem", **more: str) -> Component:
        described = {"device_class": device_class, "value_template": template}
        return {"platform": "binary_sensor", **more, **described, **common}

    return {
        "temperature": number("temperature_c", device_class="temperature", unit_of_measurement="°C"),
        "memory": _sensor(
            "{{ value_json.memory_mb | round(-1, default=none) }}",
            name=words.entity("memory"),
            device_class="data_size",
            unit_of_measurement="MB",
            suggested_display_precision=0,
            **common,
        ),
        "outbox_depth": _sensor(
            "{{ value_json.outbox.depth }}", name=words.entity("outbox_depth"), icon="mdi:tray-full", **common
        ),
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


def _health_common(config: Config) -> Component:
    return {"entity_category": "diagnostic", "expire_after": _expiry(config.publish.health_s)}


def _kind_part(topics: Topics, config: Config, kind: Kind, words: Catalogue) -> Part:
    """Whether an alert of this kind is open, what triggers when one starts, and the signal behind it.

    It goes by the state, not by ``alert/<kind>``: that is silent for hours, so what it said would hold while the device
    hangs with its connection up. A value from the state expires.
    """
    k = _KIND.format(kind=kind)
    common = {"expire_after": _expiry(config.publish.heartbeat_s)}
    components: dict[str, Component] = {
        kind: {
            "platform": "binary_sensor",
            "name": _title(words.kind(kind)),
            "device_class": "problem",
            "value_template": f"{{{{ iif({k}.get('level'), 'ON', 'OFF') }}}}",
            **common,
        },
        f"{kind}_started": {
            "platform": "device_automation",
            "automation_type": "trigger",
            "type": "started",
            "subtype": kind,
            "topic": topics.alert,
            "payload": f"{kind}{Phase.START}",
            "value_template": "{{ value_json.kind ~ value_json.phase }}",
        },
        # no state class: what it comes to over an hour tells nothing
        f"{kind}_signal": {
            "platform": "sensor",
            "name": words.entity("signal").format(kind=_title(words.kind(kind))),
            "icon": "mdi:gauge",
            "unit_of_measurement": "%",
            "value_template": f"{{% set k = {k} %}}{{{{ (k.signal * 10) | int * 10 if k.get('readable') else none }}}}",
            **common,
        },
    }
    # no alert of a kind that cannot be read now is not 'off': then it is unavailable
    said = f"{{% set k = {k} %}}{{{{ iif(k.get('level') or k.get('readable'), 'online', 'offline') }}}}"
    return Part(
        components=components,
        state_topic=topics.state,
        availability=({"topic": topics.availability}, {"topic": topics.state, "value_template": said}),
        hidden=frozenset(() if kind in config.alerts.enabled else components),
    )


def _driver_entities(topics: Topics, config: Config, words: Catalogue) -> dict[str, Component]:
    """Alerts as they come, and what holds of the driver."""
    expire = {"expire_after": _expiry(config.publish.heartbeat_s)}
    return {
        "alert": {
            "platform": "event",
            "name": words.entity("alert"),
            "icon": "mdi:car-emergency",
            "state_topic": topics.alert,
            # an event's type must be one of a fixed list; everything else in its payload becomes an attribute
            "value_template": "{{ dict(value_json, event_type=value_json.kind ~ '_' ~ value_json.phase) | to_json }}",
            "event_types": [f"{kind}_{phase}" for kind in config.alerts.enabled for phase in Phase],
            # an event that went away with the device would happen again with its return
            "availability": [],
        },
        "state": {
            "platform": "sensor",
            "name": words.entity("state"),
            "icon": "mdi:steering",
            "device_class": "enum",
            "options": [str(state) for state in State],
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": topics.state,
            "json_attributes_template": "{{ dict(reason=value_json.reason) | to_json }}",
            **expire,
        },
        "watching": {
            "platform": "binary_sensor",
            "name": words.entity("watching"),
            "icon": "mdi:eye-check-outline",
            "value_template": "{{ iif(value_json.watching, 'ON', 'OFF') }}",
            **expire,
        },
        "break_due": {
            "platform": "binary_sensor",
            "name": words.entity("break_due"),
            "icon": "mdi:coffee-outline",
            "value_template": "{{ iif(value_json.break_due, 'ON', 'OFF', none) }}",
            **expire,
        },
    }


def _reading_entities(topics: Topics, config: Config, words: Catalogue) -> dict[str, Component]:
    """What the pictures give, and how many of them there are."""
    expire = {"expire_after": _expiry(config.publish.heartbeat_s)}
    diagnostic = {"entity_category": "diagnostic"}
    health = {"state_topic": topics.health, **_health_common(config)}

    def share(name: str, template: str, icon: str, **more: Any) -> Component:
        return _sensor(template, name=words.entity(name), icon=icon, **{"unit_of_measurement": "%"} | more, **expire)

    return {
        "perclos": share(
            "perclos",
            f"{{{{ (value_json.eyes or {{}}).get('perclos') | multiply(100, none) | {_WHOLE} }}}}",
            "mdi:eye-off-outline",
        ),
        "blinks": share(
            "blinks",
            f"{{{{ (value_json.eyes or {{}}).get('blinks_per_minute') | {_WHOLE} }}}}",
            "mdi:eye-outline",
            unit_of_measurement="/min",
            **_DETAIL,
        ),
        "confidence": share(
            "confidence",
            "{{ (value_json.confidence * 10) | round * 10 }}",
            "mdi:check-decagram",
            **_DETAIL,
        ),
        "calibrated": share(
            "calibrated",
            f"{{{{ value_json.calibrated_percent | {_WHOLE} }}}}",
            "mdi:face-man-profile",
            state_class=None,  # learned once, and then it stays
            **diagnostic,
        ),
        "fps": _sensor(
            "{{ (value_json.fps / 5) | round * 5 if value_json.fps is number else none }}",
            name=words.entity("fps"),
            icon="mdi:speedometer",
            unit_of_measurement="fps",
            **health,
        ),
        "dropped": _sensor(
            "{{ value_json.dropped_frames }}",
            name=words.entity("dropped"),
            icon="mdi:filmstrip-off",
            state_class="total_increasing",
            **health | _DETAIL,
        ),
    }


def _sensor(template: str, **more: Any) -> Component:
    """A sensor; what is None in ``more`` is left out."""
    sensor = {"platform": "sensor", "state_class": "measurement", "value_template": template, **more}
    return {key: value for key, value in sensor.items() if value is not None}


def _title(words: str) -> str:
    return words.replace("_", " ").capitalize()


def _expiry(period_s: float) -> int:
    return math.ceil(MISSED_BEATS * period_s)
