"""``evenkeel aim``: looks at the camera's pictures a few times a second and shows what to change."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from edge.board.processes import services
from edge.camera import EndOfStream, is_file_source, open_camera, without_credentials
from edge.camera.newest import NewestFrame
from edge.config import Config
from edge.errors import CameraError, UnavailableError
from edge.service.ports import Frames
from edge.tools.aim.advice import Measure, judge
from edge.tools.aim.drawing import draw
from edge.tools.aim.look import Look, Viewer
from edge.tools.aim.preview import ADDRESS, Preview
from edge.vision.face import FaceFinder

LOOK_PERIOD_S = 0.25
"""A look is four runs of the face model, one for each way up: often enough for a hand, little for a board."""

LINE_PERIOD_S = 1.0
"""Plain lines come at most this often, but at once when it becomes good."""

GOOD_S = 3.0
"""Everything must be good for this long."""

WAIT_S = 0.5
COLUMNS = 64
_ABOUT = re.compile(r"(?<=about )\d+|\d+(?=%)")
"""What moves from look to look without being other advice."""

Show = Callable[[Look, list[Measure], str], None]


class Steadiness:
    """Tells whether all was good for GOOD_S seconds on end."""

    def __init__(self) -> None:
        self._since_t: float | None = None

    def update(self, t: float, *, good: bool) -> float:
        """Take in a look at ``t`` seconds; return for how long all has been good."""
        if not good:
            self._since_t = None
            return 0.0
        self._since_t = t if self._since_t is None else self._since_t
        return t - self._since_t


def aim(
    config: Config,
    console: Console,
    *,
    until_good: bool = False,
    preview: Preview | None = None,
    frames: Frames | None = None,
) -> None:
    """Show what the camera sees until Ctrl-C, the end of a file, or (``until_good``) until all was good for GOOD_S.

    ``frames`` stand in for the configured camera.

    Raises:
        CameraError: the camera cannot be opened or fails.
        ModelError, UnavailableError: no face model or runtime; or it ended before all was good.
    """
    viewer = Viewer(FaceFinder.load(config.vision), config.camera, config.quality)
    frames = frames or NewestFrame(lambda: open_camera(config.camera), config.camera, reopen=False)
    try:
        with ExitStack() as stack:
            if preview is not None:
                _warn(console, stack.enter_context(preview))
            stack.enter_context(frames)
            show = stack.enter_context(_screen(console))
            reached = _follow(config, viewer, frames, show, until_good=until_good, preview=preview)
    except CameraError as error:
        if not is_file_source(config.camera.source) and (running := services()):
            raise CameraError(f"{error}; the service, {running[0]}, may hold it: stop it first") from None
        raise
    except KeyboardInterrupt:
        if until_good:
            raise UnavailableError(f"stopped before everything was good for {GOOD_S:g} s") from None
        return
    if until_good and not reached:
        source = without_credentials(config.camera.source)
        raise UnavailableError(f"camera {source}: ended before everything was good for {GOOD_S:g} s")


def _follow(
    config: Config, viewer: Viewer, frames: Frames, show: Show, *, until_good: bool, preview: Preview | None
) -> bool:
    """Look until all was good, if that is wanted (True), or until a file ends (False)."""
    steadiness, due_t, good_s = Steadiness(), float("-inf"), 0.0
    while not (until_good and good_s >= GOOD_S):
        try:
            frame = frames.take(WAIT_S, came_after=float("-inf"))
        except EndOfStream:
            return False
        if frame is None or frame.t < due_t:
            continue
        due_t = frame.t + LOOK_PERIOD_S
        look = viewer.look(frame)
        measures = judge(look, config)
        good_s = steadiness.update(look.t, good=all(measure.good for measure in measures))
        show(look, measures, _footer(good_s, preview))
        if preview is not None:
            preview.show(frame.luma, look)
    return True


def summary(measures: list[Measure]) -> str:
    """What to change, or that nothing is to be changed, in one line."""
    return "; ".join(measure.advice for measure in measures if not measure.good) or "good"


def _footer(good_s: float, preview: Preview | None) -> str:
    told = f"good for {good_s:.0f} s" if good_s else "not yet good"
    if preview is None:
        return told
    return (
        f"{told}; preview at {preview.url}, {preview.left_s:.0f} s left" if preview.left_s else f"{told}; preview ended"
    )


def _warn(console: Console, preview: Preview) -> None:
    console.print(
        f"evenkeel: THE PICTURE ITSELF can now be seen at {preview.url} on this machine, for {preview.left_s:.0f} s. "
        f"From elsewhere: `ssh -L {preview.port}:{ADDRESS}:{preview.port} THIS-BOARD`. Tell whoever is in it.",
        markup=False,
        highlight=False,
        soft_wrap=True,
    )


@contextmanager
def _screen(console: Console) -> Iterator[Show]:
    """Where looks are shown: drawn in place on a terminal, as lines where that cannot be done."""
    if not console.is_terminal or console.is_dumb_terminal:
        yield _lines(console)
        return
    with Live(Text("waiting for the camera …"), console=console, refresh_per_second=1 / LOOK_PERIOD_S) as live:
        yield lambda look, measures, footer: live.update(_drawn(look, measures, footer, console))


def _lines(console: Console) -> Show:
    """A line where what is to be changed is another thing than in the line before, whatever the numbers in it."""
    start_t: float | None = None
    said_t, said, said_good = float("-inf"), "", False

    def show(look: Look, measures: list[Measure], footer: str) -> None:
        nonlocal start_t, said_t, said, said_good
        del footer
        start_t = look.t if start_t is None else start_t
        good = all(measure.good for measure in measures)
        told = _ABOUT.sub("", summary(measures))
        if told == said or (look.t - said_t < LINE_PERIOD_S and good == said_good):
            return
        said_t, said, said_good = look.t, told, good
        values = ", ".join(f"{measure.name} {measure.value}" for measure in measures)
        line = f"{look.t - start_t:6.1f} s  {summary(measures)}  [{values}]"
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    return show


def _drawn(look: Look, measures: list[Measure], footer: str, console: Console) -> RenderableType:
    table = Table.grid(padding=(0, 2))
    for measure in measures:
        table.add_row(
            Text("ok" if measure.good else "->", "green" if measure.good else "bold yellow"),
            measure.name,
            measure.value,
            Text(measure.advice, "bold yellow"),
        )
    columns = max(16, min(COLUMNS, console.width - 4, round((console.height - 12) * 2 * look.shape[1] / look.shape[0])))
    picture = Panel(Text("\n".join(draw(look, columns))), title="what the camera sees", width=columns + 4)
    return Group(picture, table, Text(footer, "dim"))
