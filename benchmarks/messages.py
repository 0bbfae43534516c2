"""Messages of the contract as a device without a camera says them. ``reason`` tells them apart."""

from __future__ import annotations

import os
from pathlib import Path

from edge.domain import EXPRESSIONS, Kind, Level, Phase, Stamp, State
from edge.episodes import ENTROPY_BYTES, uuid7
from edge.mqtt.messages import (
    AlertMessage,
    HealthMessage,
    KindPart,
    ModelsPart,
    Newest,
    OutboxPart,
    StateMessage,
    Topics,
    VersionsPart,
)
from edge.mqtt.outbox import Bounds, Outbox

NONE_YET = Newest(1, 0)


def made_alert(
    stamp: Stamp,
    reason: str = "",
    *,
    phase: Phase = Phase.START,
    kind: Kind = "anger",
    sequence: int = 1,
    device_id: str = "van-7",
) -> AlertMessage:
    """One step of an episode."""
    return AlertMessage(
        time=stamp.time,
        uptime_s=stamp.uptime_s,
        clock_synced=stamp.clock_synced,
        id=uuid7(stamp.time, os.urandom(ENTROPY_BYTES)),
        device_id=device_id,
        epoch=1,
        sequence=sequence,
        resent=False,
        kind=kind,
        phase=phase,
        level=Level.WARNING,
        started=stamp.time,
        duration_s=1.5,
        score=0.62,
        peak=0.66,
        expression="anger",
        reason=reason,
        models=ModelsPart(face="face 1", expression="expression 1"),
    )


def made_state(stamp: Stamp, reason: str = "", state: State = State.CALM, newest: Newest = NONE_YET) -> StateMessage:
    """A state without a face's quality."""
    return StateMessage(
        time=stamp.time,
        uptime_s=stamp.uptime_s,
        clock_synced=stamp.clock_synced,
        epoch=newest.epoch,
        sequence=newest.sequence,
        state=state,
        reason=reason,
        kinds={
            "anger": KindPart(signal=0.1, level=None, readable=True),
            "distress": KindPart(signal=0.0, level=None, readable=True),
        },
        confidence=1.0,
        expression="neutral",
        probabilities=dict.fromkeys(EXPRESSIONS, 0.1111),
        quality=None,
        calibrated_percent=None,
    )


def made_health(
    stamp: Stamp, outbox: OutboxPart, problems: tuple[str, ...] = (), newest: Newest = NONE_YET
) -> HealthMessage:
    """Health of a board that can tell little."""
    return HealthMessage(
        time=stamp.time,
        uptime_s=stamp.uptime_s,
        clock_synced=stamp.clock_synced,
        epoch=newest.epoch,
        sequence=newest.sequence,
        fps=15.0,
        fps_limit=15.0,
        dropped_frames=0,
        bad_frames=0,
        stages={},
        camera_age_s=0.03,
        memory_mb=None,
        temperature_c=None,
        throttled=None,
        outbox=outbox,
        sinks={},
        problems=list(problems),
        versions=VersionsPart(evenkeel="0", python="3", runtime=None, face_model=None, expression_model=None),
    )


def made_outbox(path: Path, now: Stamp, *, max_bytes: int = 10**7, device_id: str = "van-7") -> Outbox:
    """An outbox with room."""
    return Outbox(path, Topics("evenkeel", device_id), Bounds(max_bytes=max_bytes), now)
