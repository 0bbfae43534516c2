"""What a subscriber sees, drawn in the terminal; where there is none, one line for each alert and change of state."""

from __future__ import annotations

import time
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from edge.domain import Kind, Level, Phase, State
from edge.mqtt.messages import AlertMessage, StateMessage, Time, Topics
from edge.tables import print_table
from edge.tools.demo.subscriber import Subscriber

REFRESH_S = 0.1
LAST_MESSAGES_S = 5.0
"""How long after the service's end its last words are waited for."""

ALERTS_SHOWN = 8
_STATE_STYLES = {State.CALM: "bold green", State.WARNING: "bold yellow", State.URGENT: "bold red"}
_LEVEL_STYLES = {Level.WARNING: "yellow", Level.URGENT: "bold red"}


class View:
    """Everything that was heard so far: ``alerts`` in the order of arrival, the newest ``state``, ``availability``."""

    def __init__(self, topics: Topics) -> None:
        self.alerts: list[AlertMessage] = []
        self.state: StateMessage | None = None
        self.availability = "unknown"
        self._topics = topics

    @property
    def started(self) -> set[Kind]:
        """The kinds of which an alert has started."""
        return {alert.kind for alert in self.alerts if alert.phase is Phase.START}

    def take(self, topic: str, payload: bytes) -> str | None:
        """Note one message; return a line where it is news: an alert, another state, another availability."""
        if topic == self._topics.alert:
            alert = AlertMessage.model_validate_json(payload)
            self.alerts.append(alert)
            return f"{_clock(alert.time)}  {describe(alert)}"
        if topic == self._topics.state:
            before, self.state = self.state, StateMessage.model_validate_json(payload)
            if before is None or before.state is not self.state.state:
                return f"{_clock(self.state.time)}  state {self.state.state}"
        elif topic == self._topics.availability:
            self.availability = payload.decode()
            return f"          {topic} {self.availability}"
        return None

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
        return Panel(
            table, title=f"{self._topics.device_id}: {self.availability}", title_align="left", height=4 + kinds
        )

    def _draw_alerts(self) -> Panel:
        lines = [Text(f"{_clock(alert.time)}  {describe(alert)}", _LEVEL_STYLES[alert.level]) for alert in self.alerts]
        title = f"alerts received on {self._topics.alert}"
        return Panel(Group(*lines[-ALERTS_SHOWN:]), title=title, title_align="left", height=ALERTS_SHOWN + 2)


def describe(alert: AlertMessage) -> str:
    """One alert in a line."""
    lasted = "" if alert.phase is Phase.START else f" after {alert.duration_s:.1f} s"
    shown = "" if alert.expression is None else f", {alert.expression}"
    return f"alert {alert.kind} {alert.phase}{lasted}: {alert.level}{shown}, score {alert.score:.2f}"


def show(view: View, subscriber: Subscriber, ended: Callable[[], bool], console: Console) -> None:
    """Show what arrives until the service has ``ended`` and said ``offline``, or kept silent for too long after."""
    if not console.is_terminal:
        _listen(view, subscriber, ended, lambda line: console.print(line, markup=False, highlight=False))
        return
    with Live(view.draw(), console=console, refresh_per_second=10) as live:
        _listen(view, subscriber, ended, lambda _: None, lambda: live.update(view.draw()))


def _listen(
    view: View,
    subscriber: Subscriber,
    ended: Callable[[], bool],
    tell: Callable[[str], None],
    redraw: Callable[[], None] = lambda: None,
) -> None:
    deadline = None
    while True:
        message = subscriber.next(REFRESH_S)
        if message is not None:
            line = view.take(*message)
            redraw()
            if line is not None:
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
