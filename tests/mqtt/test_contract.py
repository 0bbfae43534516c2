"""The README, the schema files and what is really sent say the same."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import numpy as np
import pytest

import edge.mqtt
from benchmarks.messages import made_outbox
from edge.compat import UTC
from edge.config import Config
from edge.domain import (
    EXPRESSION,
    EXPRESSIONS,
    EYES,
    NO_REASON,
    Context,
    Eyes,
    Face,
    Judged,
    Kind,
    Level,
    Observation,
    Phase,
    Quality,
    Reading,
    Reason,
    ReasonCode,
    Sight,
    Signals,
    Stamp,
    State,
    Step,
    Transition,
)
from edge.episodes import Episode, Episodes, uuid7
from edge.mqtt.around import Around, Sample
from edge.mqtt.client import Publisher
from edge.mqtt.commands import Command
from edge.mqtt.discovery import descriptions
from edge.mqtt.entities import part_names
from edge.mqtt.messages import (
    BreaksPart,
    CommandName,
    EyesPart,
    Gone,
    Message,
    ModelsPart,
    Newest,
    OutboxPart,
    Resent,
    SinkPart,
    StagePart,
    Topics,
    VehiclePart,
    VersionsPart,
    alert_message,
    command_result,
    health_message,
    live_message,
    rfc3339,
    state_message,
)
from edge.mqtt.schemas import FOLDER, MODELS, schema_text
from tests.awake import AWAKE
from tests.mqtt.described import in_full

if TYPE_CHECKING:
    from benchmarks.mosquitto import Mosquitto
    from tests.conftest import Subscriber

NOW = datetime(2026, 5, 4, 9, 30, 0, 125000, tzinfo=UTC)
STAMP = Stamp(NOW, 5412.337, clock_synced=True)
README = (Path(edge.mqtt.__file__).parent / "README.md").read_text()
BEHIND = ModelsPart(face="face 1", expression="expression 2", eyes="eyes 3")
NEWEST = Newest(1_864_000_000_000_000, 4)
ENTROPY = bytes(range(10))
BREAKS = BreaksPart(reasons=[], driven_min=163.0, left_min=107.0, rest_min=0.0)
DRIVING = Context(speed_kmh=82.413, ignition=True, standstill=False)
EPISODE = Episode(uuid7(NOW, ENTROPY), NOW - timedelta(seconds=1.5))


def test_the_eyes_are_told_as_far_as_they_can_be_read() -> None:
    seen = step()
    one_hidden = Eyes(openness_left=0.9, openness_right=0.25, readable_left=0.2, readable_right=0.8).reading()
    told = [
        state_message(each, STAMP, newest=NEWEST).eyes
        for each in (
            seen,
            replace(seen, observation=replace(seen.observation, readings={EYES: one_hidden})),
            replace(seen, observation=replace(seen.observation, readings={})),
            replace(seen, signals=replace(seen.signals, figures={})),
        )
    ]
    figures = {"perclos": 0.0312, "readable_share": 0.9, "blinks_per_minute": None}
    assert told[0] == EyesPart(openness_left=0.9, openness_right=0.9, **figures)
    assert told[1] == EyesPart(openness_left=None, openness_right=0.25, **figures)
    assert told[2] == EyesPart(openness_left=None, openness_right=None, **figures)
    assert told[3] is None


@pytest.mark.parametrize("state", State)
def test_nobody_is_watched_while_absent_blind_or_paused(state: State) -> None:
    told = state_message(replace(step(), state=state), STAMP, newest=NEWEST)
    assert told.watching is (state not in (State.ABSENT, State.BLIND, State.PAUSED))


def test_an_alert_tells_its_cause() -> None:
    asleep = replace(transition(kind="fatigue"), expression=None, cause="microsleep")
    told = alert_message(asleep, episode=EPISODE, device_id="van-7", stamp=STAMP, models=BEHIND)
    assert json.loads(told.payload())["cause"] == "microsleep"
    assert json.loads(told.payload())["expression"] is None


def transition(phase: Phase = Phase.START, t: float = 10.0, kind: Kind = "anger", episode: int = 1) -> Transition:
    return Transition(t, kind, phase, Level.WARNING, episode, 8.5, 0.62, 0.66, "anger", Reason(ReasonCode.CALM))


def step(quality: Quality | None = Quality(0.41, 0.33, 96.4, 4.2, -7.9, 1.5, 0.93)) -> Step:  # noqa: B008 - frozen
    probabilities = np.array([0.12, 0.01, 0.02, 0.03, 0.66, 0.1, 0.02, 0.03, 0.01], dtype=np.float32)
    face = Face((200, 120, 92, 101), np.zeros((5, 2), np.float32), 0.98) if quality else None
    signals = Signals(
        10.0,
        {"anger": Judged(0.62), "distress": Judged(0.05), "fatigue": Judged(0.1)},
        0.97 if quality else 0.0,
        probabilities,
        {"perclos": 0.03125, "readable_share": 0.9, "blinks_per_minute": None},
    )
    observation = Observation(
        10.0,
        Sight.FACE if quality else Sight.NO_FACE,
        face,
        quality,
        {EXPRESSION: Reading.expression(probabilities), EYES: AWAKE},
    )
    return Step(observation, signals, State.WARNING, Reason(ReasonCode.ALERT, ("anger",)), (), DRIVING)


AROUND = Around(
    id=EPISODE.id,
    device_id="van-7",
    epoch=NEWEST.epoch,
    sequence=NEWEST.sequence,
    kind="anger",
    started=EPISODE.started,
    began_t=8.5,
    thresholds={"anger": 0.6, "distress": 0.6, "fatigue": None},
    samples=(Sample.of(step()),),
)

MESSAGES: dict[str, Message] = {
    "state": state_message(step(), STAMP, newest=NEWEST, breaks=BREAKS),
    "live": live_message(step(), STAMP),
    "episode": AROUND.cut(0, 1, STAMP),
    "alert": alert_message(
        transition(),
        episode=EPISODE,
        device_id="van-7",
        stamp=STAMP,
        models=ModelsPart(face="seat-face 1", expression="nine-expressions 1"),
        context=DRIVING,
    ),
    "health": health_message(
        STAMP,
        newest=NEWEST,
        context=DRIVING,
        vehicle={"mqtt": VehiclePart(speed_age_s=0.4, ignition_age_s=12.0, refused=0, problem=None)},
        versions=VersionsPart(
            evenkeel="0.2.0",
            python="3.11.2",
            runtime="ai-edge-litert 2.0.3",
            face_model="seat-face 1",
            expression_model="nine-expressions 1",
        ),
        outbox=OutboxPart(depth=0, bytes=0, dropped=0, problem=None),
        sinks={name: SinkPart(dropped=0, problem=None) for name in ("mqtt", "status", "resting face")},
        dropped_frames=3,
        stages={"face": StagePart(p50_ms=6.1, p95_ms=7.4), "step": StagePart(p50_ms=9.8, p95_ms=12.1)},
        read_share={"face": 0.5909, "expression": 0.1331, "eyes": 0.5},
        fps=14.97,
        fps_limit=15.0,
        camera_age_s=0.03,
        memory_mb=96.4,
        temperature_c=61.3,
        throttled=False,
    ),
    "command-result": command_result(
        STAMP,
        "resend",
        ok=True,
        message="2 alerts are sent again",
        id="a1",
        resend=Resent(
            epoch=1_864_000_000_000_000,
            first=1,
            last=4,
            queued=2,
            newest=9,
            gone=[Gone(first=2, last=3, reason="history")],
        ),
    ),
}


def example(name: str) -> dict[str, Any]:
    block = re.search(rf"<!-- example: {name} -->\n```json\n(.*?)```", README, re.DOTALL)
    assert block is not None, f"README has no example of {name}"
    loaded: dict[str, Any] = json.loads(block[1])
    return loaded


def shape(value: Any) -> Any:
    """Keys all the way down, without values. The names in ``stages`` are not part of the contract."""
    if not isinstance(value, dict):
        return None
    return {key: shape(next(iter(inner.values())) if key == "stages" else inner) for key, inner in value.items()}


@pytest.mark.parametrize("name", MODELS)
def test_the_schema_files_are_those_of_the_models(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == schema_text(name), "run make generate"


@pytest.mark.parametrize("name", MODELS)
def test_messages_and_the_examples_of_the_readme_satisfy_the_schema(name: str) -> None:
    schema = json.loads((FOLDER / f"{name}.json").read_text())
    validator = jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker())
    validator.validate(json.loads(MESSAGES[name].payload()))
    validator.validate(example(name))


@pytest.mark.parametrize("name", MODELS)
def test_the_examples_of_the_readme_have_every_key_that_is_sent_and_no_other(name: str) -> None:
    assert shape(example(name)) == shape(json.loads(MESSAGES[name].payload()))


@pytest.mark.parametrize("name", MODELS)
def test_a_message_read_back_is_the_same(name: str) -> None:
    assert MODELS[name].model_validate_json(MESSAGES[name].payload()) == MESSAGES[name]


@pytest.mark.parametrize("name", MODELS)
def test_a_reader_of_version_2_bears_keys_that_a_later_version_adds(name: str) -> None:
    later = json.loads(MESSAGES[name].payload()) | {"added_later": 1}
    MODELS[name].model_validate(later)
    jsonschema.validate(later, json.loads(schema_text(name)))


def test_the_readme_names_topic_qos_and_retain_as_a_subscriber_sees_them(
    mosquitto: Mosquitto, subscribe: Callable[..., Subscriber], tmp_path: Path
) -> None:
    rows = re.findall(r"^\| `([^`]+)` \| ([012]) \| (yes|no) \|", README, re.MULTILINE)
    documented = {topic: (int(qos), retained == "yes") for topic, qos, retained in rows}
    config = Config.model_validate({"device": {"id": "van-7"}, "mqtt": {"host": "127.0.0.1", "port": mosquitto.port}})
    outbox = made_outbox(tmp_path / "outbox.db", STAMP)
    live = subscribe(mosquitto.port)
    with Publisher(config, outbox, clock=lambda: STAMP, environ={}) as publisher:
        publisher.publish_state(state_message(step(), STAMP, newest=NEWEST))
        live.wait_for("evenkeel/van-7/state")
        publisher.publish_alert(
            alert_message(
                transition(), episode=EPISODE, device_id="van-7", stamp=STAMP, models=ModelsPart(face="", expression="")
            )
        )
        publisher.publish_health(health_message(STAMP, **_health_fields()))
        publisher.answer(Command(CommandName.PAUSE), ok=True, message="")
        live.publish("evenkeel/van-7/command/live", '{"seconds": 9}')
        live.wait_for("evenkeel/van-7/command/live/result")
        publisher.publish_live(lambda: live_message(step(), STAMP))
        publisher.publish_around(AROUND)
        around = f"episode/{NEWEST.epoch}/{NEWEST.sequence}"
        for topic in ("alert", "alert/anger", "health", "live", around, "command/pause/result"):
            live.wait_for(f"evenkeel/van-7/{topic}")
        live.wait_for("homeassistant/device/van-7_e-health/config")  # the last one
        late = subscribe(mosquitto.port)
        late.wait_for("evenkeel/van-7/state")
        late.publish("marker")
        late.wait_for("marker")
    retained = {message.topic for message in late.messages if message.retained}
    sent = {message.topic: (message.qos, message.topic in retained) for message in live.messages}
    for name in ("marker", "evenkeel/van-7/command/live", "evenkeel/van-7/command/live/result"):
        sent.pop(name, None)
    assert sent == {
        topic.replace("<prefix>", "evenkeel")
        .replace("<device_id>", "van-7")
        .replace("<word>", "van-7")
        .replace("<part>", part)
        .replace("<name>", "pause")
        .replace("<epoch>", str(NEWEST.epoch))
        .replace("<sequence>", str(NEWEST.sequence))
        .replace("<kind>", kind): how
        for topic, how in documented.items()
        for kind in config.alerts.enabled
        for part in part_names()
    }


def _health_fields() -> dict[str, Any]:
    return {
        "newest": NEWEST,
        "versions": VersionsPart(evenkeel="", python="", runtime=None, face_model=None, expression_model=None),
        "outbox": OutboxPart(depth=0, bytes=0, dropped=0, problem=None),
        "dropped_frames": 0,
        "bad_frames": 0,
        "stages": {},
    }


def test_an_episode_keeps_its_id_from_start_to_end_and_the_next_has_another() -> None:
    entropy = iter([b"0123456789", b"abcdefghij", b"ABCDEFGHIJ"])
    episodes = Episodes(lambda: next(entropy))
    first = [episodes.of(transition(phase), NOW) for phase in (Phase.START, Phase.ESCALATE, Phase.END)]
    assert len(set(first)) == 1
    other_kind = episodes.of(transition(kind="distress"), NOW)
    second = episodes.of(transition(episode=2), NOW)
    assert len({first[0].id, other_kind.id, second.id}) == 3


def test_an_episode_keeps_its_start_though_messages_are_stamped_a_little_late() -> None:
    episodes = Episodes(lambda: ENTROPY)
    begun = episodes.of(transition(t=10.0), NOW)
    later = episodes.of(transition(Phase.END, t=20.0), NOW + timedelta(seconds=10.037))
    assert later.started == begun.started


def test_an_episode_in_which_the_clock_was_set_starts_by_the_clock_that_is_right() -> None:
    episodes = Episodes(lambda: ENTROPY)
    begun = episodes.of(transition(t=10.0), NOW)
    later = episodes.of(transition(Phase.END, t=20.0), NOW + timedelta(days=3))
    assert later.id == begun.id
    assert later.started == NOW + timedelta(days=3) - timedelta(seconds=11.5)


def test_an_id_is_a_uuid_of_version_7_that_carries_the_start_of_the_episode() -> None:
    made = Episodes(lambda: ENTROPY).of(transition(), NOW).id
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == int((NOW - timedelta(seconds=1.5)).timestamp() * 1000)
    with pytest.raises(ValueError, match="10 bytes"):
        uuid7(NOW, b"short")


def test_times_are_utc_with_milliseconds_whatever_zone_the_clock_is_in() -> None:
    assert rfc3339(NOW) == "2026-05-04T09:30:00.125Z"
    assert rfc3339(datetime.fromisoformat("2026-05-04T11:30:00.125+02:00")) == "2026-05-04T09:30:00.125Z"


def test_the_same_transition_gives_the_same_bytes_twice() -> None:
    made = [
        alert_message(
            transition(),
            episode=Episodes(lambda: ENTROPY).of(transition(), NOW),
            device_id="van-7",
            stamp=STAMP,
            models=ModelsPart(face="f", expression="e"),
        ).payload()
        for _ in range(2)
    ]
    assert made[0] == made[1]


def test_without_a_face_there_is_no_quality_and_no_expression() -> None:
    message = state_message(step(quality=None), STAMP, newest=NEWEST)
    assert message.quality is None
    assert message.expression is None


def test_evidence_a_rounding_error_above_one_is_one() -> None:
    signals = Signals(
        0.0,
        {"anger": Judged(1.0000001), "distress": Judged(-1e-9)},
        1.0,
        np.full(len(EXPRESSIONS), 1 / 9, np.float32),
    )
    message = state_message(Step(step().observation, signals, State.CALM, NO_REASON, ()), STAMP, newest=NEWEST)
    assert [part.signal for part in message.kinds.values()] == [1.0, 0.0]


def test_every_topic_that_home_assistant_is_told_of_is_one_of_ours() -> None:
    config = Config.model_validate({"device": {"id": "van.7"}})
    topics = Topics("evenkeel", "van.7")
    description = in_full(descriptions(config, "0.2.0"))
    ours = {topics.state, topics.alert, topics.health, topics.result("+")}
    used = {component["state_topic"] for component in description["components"].values() if "state_topic" in component}
    assert used == ours
    assert description["availability"] == [{"topic": topics.availability}]
    for component in description["components"].values():
        read = {one["topic"] for one in component.get("availability", ())} | {
            component[key] for key in ("topic", "json_attributes_topic") if key in component
        }
        assert read <= ours | {topics.availability}


def test_building_a_message_is_fast_enough_for_every_frame() -> None:
    began = time.perf_counter()
    for _ in range(100):
        state_message(step(), STAMP, newest=NEWEST).payload()
    assert (time.perf_counter() - began) / 100 < 0.005


def test_a_break_is_due_where_there_is_a_reason_and_unknown_where_there_is_no_rule() -> None:
    due = BREAKS.model_copy(update={"reasons": ["driving"]})
    told = [state_message(step(), STAMP, newest=NEWEST, breaks=breaks).break_due for breaks in (BREAKS, due, None)]
    assert told == [False, True, None]


def test_the_vehicle_is_told_where_it_is_known_and_null_where_nothing_is() -> None:
    known = state_message(step(), STAMP, newest=NEWEST).context
    assert known is not None
    assert (known.speed_kmh, known.standstill, known.standing_s, known.ignition) == (82.41, False, None, True)
    assert state_message(replace(step(), context=Context()), STAMP, newest=NEWEST).context is None
    assert alert_message(transition(), episode=EPISODE, device_id="v", stamp=STAMP, models=BEHIND).context is None
