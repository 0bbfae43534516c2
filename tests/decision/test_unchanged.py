"""What is decided of the same readings stays the same, frame by frame, until the rule is changed on purpose.

``decisions/`` holds traces whose readings 0.1.0 recorded: of the demo's clip, and of a made-up drive with short and
long episodes, gaps, darkness, other faces and frames of poor quality. Signals, states and events in them are those of
the rule as it is, with thresholds that stay; where the rule changes on purpose, write them anew. The readings are of
expression model 0.3.0, so they are decided on with what that model makes of ordinary faces. They hold no eyes, by which
fatigue would be judged.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from edge.decision.decider import Decider
from edge.decision.ordinary import OrdinaryFace
from edge.domain import Transition
from edge.mqtt.messages import DECIMALS
from edge.traces.trace import read_trace
from edge.words import say
from tests.steady import steady

FOLDER = Path(__file__).with_name("decisions")
NAMES = ("demo", "drive")
ORDINARY_FACE = OrdinaryFace(signal=0.12, most=0.3, usual={"anger": 0.02, "distress": 0.04})
EYELESS = steady(alerts={"fatigue": {"enabled": False}})
ROUNDING = 10.0**-DECIMALS
"""What is stored was rounded, and the same sum rounds differently from processor to processor."""


@pytest.fixture(params=NAMES)
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    path = tmp_path / "trace.jsonl"
    path.write_bytes(gzip.decompress((FOLDER / f"{request.param}-0.1.0.jsonl.gz").read_bytes()))
    return request.param, path


def test_every_frame_has_the_signals_and_the_state_that_it_had(recorded: tuple[str, Path]) -> None:
    decider = Decider(EYELESS, ORDINARY_FACE)
    different = []
    for line in read_trace(recorded[1]):
        step = decider.update(line.observation())
        now = {kind: judged.signal for kind, judged in step.signals.kinds.items() if kind in line.signals}
        now["confidence"] = step.signals.confidence
        if (step.state, say(step.reason)) != (line.state, line.reason) or now != pytest.approx(
            line.signals, abs=ROUNDING
        ):
            different.append((line.t, now, line.signals, step.state, line.state))
    assert not different


def test_the_alerts_are_those_that_came(recorded: tuple[str, Path]) -> None:
    name, path = recorded
    decider = Decider(EYELESS, ORDINARY_FACE)
    came = [each for line in read_trace(path) for each in decider.update(line.observation()).transitions]
    wanted = [json.loads(line) for line in (FOLDER / f"{name}-0.1.0.events.jsonl").read_text().splitlines()]
    assert [words_of(each) for each in came] == [{key: event[key] for key in WORDS} for event in wanted]
    for each, event in zip(came, wanted, strict=True):
        numbers = {"t": each.t, "duration_s": each.duration_s, "score": each.score, "peak": each.peak}
        assert numbers == pytest.approx({key: event[key] for key in numbers}, abs=1e-3)


WORDS = ("kind", "phase", "level", "expression", "reason")


def words_of(transition: Transition) -> dict[str, Any]:
    return {key: getattr(transition, key) for key in WORDS} | {"reason": say(transition.reason)}
