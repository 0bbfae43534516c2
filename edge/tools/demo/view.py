"""What a subscriber sees, drawn in the terminal; where there is none, one line for each alert and change of state."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edge.domain import Kind, Level, Phase, State
from edge.mqtt.messages import AlertMessage, StateMessage, Time, Topics
from edge.tables import print_table
from edge.tools.demo.story import Look
from edge.tools.demo.subscriber import Subscriber

REFRESH_S = 0.1
LAST_MESSAGES_S = 5.0
"""How long after the service's end its last words are waited for."""

ALERTS_SHOWN = 8
_STATE_STYLES = {State.CALM: "bold green", State.WARNING: "bold yellow", State.URGENT: "bold red"}
_LEVEL_STYLES = {Level.WARNING: "yellow", Level.URGENT: "bold red"}
_QUIET_STYLE = "green"


class View:
    """Everything that was heard so far: ``alerts`` in the order of arrival, the newest ``state``, ``availability``.

    ``story`` tells what the clip shows; its time begins with the first state that is heard.
    """

    def __init__(self, topics: Topics, story: Sequence[Look] = ()) -> None:
        self.alerts: list[AlertMessage] = []
        self.state: StateMessage | None = None
        self.availability = "unknown"
        self._topics = topics
        self._began: Time | None = None
        self._quiet = [look for look in story if look.is_quiet]
        self._states: list[StateMessage] = []
        self._lines: list[Text] = []

    @property
    def started(self) -> set[Kind]:
        """The kinds of which an alert has started."""
        return {alert.kind for alert in self.alerts if alert.phase is Phase.START}

    def started_at(self) -> list[tuple[Kind, float]]:
        """Each alert's kind and start, in seconds of the clip."""
        return [(alert.kind, self._t(alert.started)) for alert in self.alerts if alert.phase is Phase.START]

    def take(self, topic: str, payload: bytes) -> list[str]:
        """Note one message; return a line for each news: an alert, another state or availability, a quiet look."""
        if topic == self._topics.alert:
            alert = AlertMessage.model_validate_json(payload)
            self.alerts.append(alert)
            return [self._note(alert.time, describe(alert), _LEVEL_STYLES[alert.level])]
        if topic == self._topics.state:
            return self._take_state(StateMessage.model_validate_json(payload))
        if topic == self._topics.availability:
            self.availability = payload.decode()
            return [f"          {topic} {self.availability}"]
        return []

    def _take_state(self, state: StateMessage) -> list[str]:
        before, self.state = self.state, state
        self._began = self._began or state.time
        self._states.append(state)
        lines = []
        while self._quiet and self._t(state.time) >= self._quiet[0].gone_s:
            lines.append(self._note(state.time, self._told(self._quiet.pop(0)), _QUIET_STYLE))
        if before is None or before.state is not state.state:
            lines.append(f"{_clock(state.time)}  state {state.state}")
        return lines

    def _told(self, look: Look) -> str:
        """What came of a look that is to bring no alert, in the words of what was read of it."""
        seen = [each for each in self._states if look.is_whole_at(self._t(each.time))]
        named = Counter(each.expression for each in seen if each.expression).most_common(1)
        read = f"read as {named[0][0]}" if named else "not read"
        highest = max((part.signal for each in seen for part in each.kinds.values()), default=0.0)
        alerts = [kind for kind, t in self.started_at() if look.lasts_at(t)]
        came = f"alert {', '.join(alerts)}" if alerts else "no alert"
        return f"{came}: a {look.name} is drawn, {read}, signals up to {highest:.2f}"

    def _t(self, moment: Time) -> float:
        """Seconds of the clip."""
        return 0.0 if self._began is None else (moment - self._began).total_seconds()

    def _note(self, moment: Time, what: str, style: str) -> str:
        line = f"{_clock(moment)}  {what}"
        self._lines.append(Text(line, style))
        return line

    def draw(self) -> RenderableType:
        """The whole view."""
        return Group(self._draw_state(), self._draw_alerts())

    def _draw_state(self) -> Panel:
        table = Table.grid(padding=(0, 2))
        kinds = 2 if self.state is None else len(self.state.kinds)
        if self.state is not None:
            state = self.state.state
            table.add_row("state", Text(state.value, _STATE_STYLES.get(state, "bold blue")), self.state.reason)
            table.add_row("expression", self.state.expression or "-", "")
            for kind, part in self.state.kinds.items():
                style = "red" if part.signal >= 0.5 else "cyan"
                bar = ProgressBar(1.0, part.signal, width=40, complete_style=style, finished_style=style)
                table.add_row(kind, bar, f"{part.signal:.2f}" if part.readable else "not readable")
        title = f"{self._topics.device_id}: {self.availability}"
        if self.state is not None and self.state.context is not None and self.state.context.speed_kmh is not None:
            title += f", at a simulated {self.state.context.speed_kmh:.0f} km/h"
        return Panel(table, title=title, title_align="left", height=4 + kinds)

    def _draw_alerts(self) -> Panel:
        title = f"alerts received on {self._topics.alert}"
        return Panel(Group(*self._lines[-ALERTS_SHOWN:]), title=title, title_align="left", height=ALERTS_SHOWN + 2)


def describe(alert: AlertMessage) -> str:
    """One alert in a line."""
    lasted = "" if alert.phase is Phase.START else f" after {alert.duration_s:.1f} s"
    sign = alert.cause or alert.expression
    shown = "" if sign is None else f", {sign}"
    speed = None if alert.context is None else alert.context.speed_kmh
    at = "" if speed is None else f", at {speed:.0f} km/h"
    return f"alert {alert.kind} {alert.phase}{lasted}: {alert.level}{shown}, score {alert.score:.2f}{at}"


def show(
    view: View,
    subscriber: Subscriber,
    ended: Callable[[], bool],
    console: Console,
    changed: Callable[[View], None] = lambda _: None,
) -> None:
    """Show what arrives until the service has ``ended`` and said ``offline``, or kept silent for too long after.

    ``changed`` is called with the view after each message.
    """
    if not console.is_terminal:

        def tell(line: str) -> None:
            console.print(line, markup=False, highlight=False)

        _listen(view, subscriber, ended, tell, lambda: changed(view))
        return
    with Live(view.draw(), console=console, refresh_per_second=10) as live:

        def redraw() -> None:
            live.update(view.draw())
            changed(view)

        _listen(view, subscriber, ended, lambda _: None, redraw)


def _listen(
    view: View,
    subscriber: Subscriber,
    ended: Callable[[], bool],
    tell: Callable[[str], None],
    redraw: Callable[[], None],
) -> None:
    deadline = None
    while True:
        message = subscriber.next(REFRESH_S)
        if message is not None:
            lines = view.take(*message)
            redraw()
            for line in lines:
                tell(line)
        elif ended():
            deadline = deadline or time.monotonic() + LAST_MESSAGES_S
            if view.availability == "offline" or time.monotonic() > deadline:
                return


def print_summary(view: View, console: Console) -> None:
    """How many alerts of each kind and phase have arrived."""
    table = Table("alerts received over MQTT", *Phase)
    for kind in dict.fromkeys(alert.kind for alert in view.alerts):
        counts = [sum(alert.kind == kind and alert.phase is phase for alert in view.alerts) for phase in Phase]
        table.add_row(kind, *map(str, counts))
    print_table(console, table)


def _clock(moment: Time) -> str:
    return f"{moment.astimezone():%H:%M:%S}"
