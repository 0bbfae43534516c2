"""Replay: a clip or a trace through the same decision as on the road, as fast as it goes."""

from __future__ import annotations

import hashlib
import json
import os
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from edge.camera import EndOfStream, open_camera
from edge.compat import UTC, Self
from edge.config import Config, VisionConfig
from edge.decision.decider import Decider
from edge.decision.ordinary import OrdinaryFace
from edge.domain import UNKNOWN_CONTEXT, Context, Kind, Phase, Sight, Stamp, State, Step, Transition
from edge.episodes import ENTROPY_BYTES, Episodes
from edge.errors import CameraError, ModelError, UsageError
from edge.mqtt.messages import ModelsPart, alert_message
from edge.pipeline import Pipeline
from edge.traces.jsonlines import JsonLinesFile
from edge.traces.timeline import ReplayedEpisode, Timeline, check_plot, draw
from edge.traces.trace import TRACE_SUFFIXES, TraceWriter, read_trace, recorded_s
from edge.vision.ordinary import ordinary_face

DEVICE_ID = "replay"
"""What events bear: they are of no device's outbox."""

_LOOKED_AT_BYTES = 65_536
_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Summary:
    """What came of a replay. ``shares`` says which share of the frames each state had; ``faults`` what was left out."""

    frames: int
    frames_with_face: int
    duration_s: float
    shares: dict[State, float]
    alerts: dict[Kind, int]
    episodes: tuple[ReplayedEpisode, ...]
    faults: tuple[str, ...]


class EventWriter:
    """Writes alerts to ``path`` as JSON Lines: the payload of the MQTT contract plus ``t``, seconds from the start.

    Nothing in it depends on when or where it is written: wall time starts at 1970 and is marked as not synchronised,
    ids are drawn from a hash of ``origin``, which tells what is replayed, and their number. Used as a context manager.

    Raises:
        UnavailableError: the file cannot be written, also from ``write``.
    """

    def __init__(self, path: Path, origin: bytes, models: ModelsPart) -> None:
        self._origin = origin
        self._models = models
        self._episodes = Episodes(self._entropy)
        self._drawn = 0
        self._sequence = 0
        self._file = JsonLinesFile(path, "events")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def write(self, transition: Transition, context: Context = UNKNOWN_CONTEXT) -> None:
        """Add one event, with what was known of the vehicle then."""
        self._sequence += 1
        now = _START + timedelta(seconds=transition.t)
        message = alert_message(
            transition,
            episode=self._episodes.of(transition, now),
            device_id=DEVICE_ID,
            sequence=self._sequence,
            stamp=Stamp(time=now, uptime_s=max(0.0, transition.t), clock_synced=False),
            models=self._models,
            context=context,
        )
        event = {"t": round(transition.t, 4), **json.loads(message.payload())}
        self._file.write(json.dumps(event, ensure_ascii=False))

    def _entropy(self) -> bytes:
        self._drawn += 1
        return hashlib.sha256(self._origin + f" {self._drawn}".encode()).digest()[:ENTROPY_BYTES]


def replay(
    path: Path,
    config: Config,
    *,
    events: Path | None = None,
    trace: Path | None = None,
    plot: Path | None = None,
    console: Console | None = None,
) -> Summary:
    """Run a clip, a folder of pictures or a trace through the decision.

    ``events`` and ``trace`` are written if given, and the timeline is drawn into ``plot`` (.png, .svg, .pdf).

    A progress bar goes to ``console`` (by default stderr) where that is a terminal.

    Raises:
        CameraError: there is no such clip, or it cannot be read.
        ModelError: a model is missing or damaged (clips only: a trace needs none).
        UsageError: a file to write is the one that is replayed.
        UnavailableError: the trace cannot be read, a file cannot be written, or there is no TFLite runtime.
    """
    if not os.path.exists(path):  # noqa: PTH110 - unlike Path's, it takes a name that is too long for one that is not there
        raise CameraError(f"{path}: no such clip, folder or trace")
    _check_outputs(path, [output for output in (events, trace, plot) if output is not None])
    if plot is not None:
        check_plot(plot)
    source = _TraceSource(path, config) if _is_trace(path) else _ClipSource(path, config)
    tally, timeline = _Tally(), Timeline()
    with ExitStack() as stack:
        event_writer = stack.enter_context(EventWriter(events, _fingerprint(path), source.models)) if events else None
        trace_writer = stack.enter_context(TraceWriter(trace, origin_t=0.0)) if trace else None
        for step in _with_progress(source, path.name, console or Console(stderr=True)):
            tally.add(step)
            timeline.add(step, signals=plot is not None)
            if trace_writer is not None:
                trace_writer.write(step)
            if event_writer is not None:
                for transition in step.transitions:
                    event_writer.write(transition, step.context)
    if plot is not None:
        draw(timeline, plot, path.name)
    return tally.summary(timeline.episodes, tuple(source.faults))


def _check_outputs(path: Path, outputs: Sequence[Path]) -> None:
    if len({output.resolve() for output in outputs}) < len(outputs):
        raise UsageError(f"{outputs[0]}: events, trace and plot need a file each")
    for output in outputs:
        if output.exists() and output.samefile(path):
            raise UsageError(f"{output}: this file is being replayed; write to another one")


class _ClipSource:
    """Steps of a clip or a folder of pictures, with the clip's own times."""

    def __init__(self, path: Path, config: Config) -> None:
        self._path = path
        camera = config.camera.model_copy(update={"source": str(path)})
        self._camera = open_camera(camera, realtime=False)
        try:
            self._pipeline = Pipeline.from_config(config)
        except BaseException:
            self._camera.close()
            raise
        self._timeout_s = camera.timeout_s
        self.models = _models(self._pipeline)
        self.total = int(getattr(self._camera, "frames", 0)) or None
        self.faults: list[str] = []

    def __iter__(self) -> Iterator[Step]:
        with self._camera:
            while True:
                try:
                    frame = self._camera.read(self._timeout_s)
                except EndOfStream:
                    break
                yield self._pipeline.step(frame)
        if self._camera.bad_frames:
            count = f"unreadable frames skipped: {self._camera.bad_frames}"
            self.faults.append(f"{self._path}: {count}; the last: {self._camera.bad_frame}")


def _models(pipeline: Pipeline) -> ModelsPart:
    finder, reader, eyes = pipeline.finder.manifest, pipeline.reader.manifest, pipeline.eyes
    return ModelsPart(
        face=f"{finder.name} {finder.version}",
        expression=f"{reader.name} {reader.version}",
        eyes=None if eyes is None else f"{eyes.manifest.name} {eyes.manifest.version}",
    )


class _TraceSource:
    """Steps of a trace: only the decision is made anew."""

    models = ModelsPart(face="trace", expression="trace")
    total = None

    def __init__(self, path: Path, config: Config) -> None:
        self._path = path
        self.faults: list[str] = []
        self._decider = Decider(config, self._ordinary(config))

    def __iter__(self) -> Iterator[Step]:
        for line in read_trace(self._path, self.faults.append):
            yield self._decider.update(line.observation(), line.context())

    def _ordinary(self, config: Config) -> OrdinaryFace:
        """What the configured model makes of ordinary faces; where it is not on this machine, the usual model's."""
        try:
            return ordinary_face(config.vision)
        except ModelError as error:
            self.faults.append(f"{error}; the shipped model's ordinary faces are used")
            return ordinary_face(VisionConfig())


class _Tally:
    """Counts for the summary."""

    def __init__(self) -> None:
        self._states: Counter[State] = Counter()
        self._alerts: Counter[Kind] = Counter()
        self._kinds: tuple[Kind, ...] = ()
        self._faces = 0
        self._last_t: float | None = None
        self._duration_s = 0.0

    def add(self, step: Step) -> None:
        self._states[step.state] += 1
        self._kinds = tuple(step.signals.kinds)
        self._faces += step.observation.sight is Sight.FACE
        self._alerts.update(transition.kind for transition in step.transitions if transition.phase is Phase.START)
        t = step.signals.t
        if self._last_t is not None:
            self._duration_s += recorded_s(self._last_t, t)
        self._last_t = t

    def summary(self, episodes: tuple[ReplayedEpisode, ...], faults: tuple[str, ...]) -> Summary:
        frames = self._states.total()
        return Summary(
            frames=frames,
            frames_with_face=self._faces,
            duration_s=self._duration_s,
            shares={state: self._states[state] / frames for state in State if self._states[state]},
            alerts={kind: self._alerts[kind] for kind in self._kinds},
            episodes=episodes,
            faults=faults,
        )


def _fingerprint(path: Path) -> bytes:
    """What tells one recording from another, wherever it lies and whatever it is called: its size, start and end."""
    if path.is_dir():
        found = sorted((entry.name, entry.stat().st_size) for entry in path.iterdir() if entry.is_file())
        return hashlib.sha256(repr(found).encode(errors="surrogateescape")).digest()
    if not path.is_file():  # a pipe gives what it holds once
        return os.fsencode(path.name)
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT_BYTES)
        file.seek(max(0, size - _LOOKED_AT_BYTES))
        return hashlib.sha256(f"{size} ".encode() + start + file.read(_LOOKED_AT_BYTES)).digest()


def _is_trace(path: Path) -> bool:
    """Told by its suffix, or by the brace that every line of a trace begins with."""
    if path.suffix.lower() in TRACE_SUFFIXES:
        return True
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(len(BOM_UTF8) + 1).removeprefix(BOM_UTF8)[:1] == b"{"
    except OSError as error:
        raise CameraError(f"{path}: cannot be read: {error.strerror}") from error


def _with_progress(source: _ClipSource | _TraceSource, name: str, console: Console) -> Iterator[Step]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(source, total=source.total, description=name)
