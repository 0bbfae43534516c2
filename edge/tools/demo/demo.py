"""Play the bundled clip through the service, and judge by what arrives over MQTT."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from edge.board.clock import uptime_s
from edge.cab import alsa
from edge.config import (
    CabConfig,
    CameraConfig,
    Config,
    DeviceConfig,
    DiscoveryConfig,
    MqttConfig,
    OutboxConfig,
    PublishConfig,
    load_config,
)
from edge.config.dashboard import DashboardConfig
from edge.errors import EXIT_INTERNAL, UnavailableError
from edge.mqtt.messages import Topics
from edge.service.loop import Service, build_service
from edge.tools.demo.broker import EmbeddedBroker
from edge.tools.demo.drive import SimulatedDrive
from edge.tools.demo.every_frame import EveryFrame
from edge.tools.demo.story import Look, read_story
from edge.tools.demo.subscriber import Subscriber
from edge.tools.demo.view import View, print_summary, show

OFFER_EVERY_S = 20.0
"""The clip shows in a minute what a driver is not asked about twice in a quarter of an hour, seconds."""


def run_demo(
    *,
    fast: bool = False,
    sound: bool = False,
    console: Console | None = None,
    clip: Path | None = None,
    changed: Callable[[View], None] = lambda _: None,
) -> int:
    """Show the demo on ``console``; return 0, or 70 where other alerts arrived over MQTT than the clip shows.

    With ``fast`` every frame is processed as soon as the one before is done, and times are the clip's own. With
    ``sound`` the warnings are heard on the user's card; where that cannot be, it is said, and the demo is silent. No
    other output of the user's is ever used. ``changed`` is called with the view after each message.

    Raises:
        UnavailableError: amqtt is not installed, the broker does not start, or there is no TFLite runtime.
        ModelError, CameraError: a model or the clip is missing or damaged.
    """
    console = console or Console()
    with ExitStack() as stack:
        stack.enter_context(_warnings_only())
        bundled = stack.enter_context(resources.as_file(resources.files("edge.tools.demo") / "clip.mp4"))
        folder = stack.enter_context(TemporaryDirectory(prefix="evenkeel-demo-"))
        broker = stack.enter_context(EmbeddedBroker())
        cab = _audible(console) if sound else CabConfig()
        config = demo_config(clip or bundled, broker, Path(folder)).model_copy(update={"cab": cab})
        topics = Topics(config.mqtt.prefix, config.device.id)
        story = read_story()
        view = View(topics, story)
        everything = f"{topics.prefix}/{topics.device_id}/#"
        subscriber = stack.enter_context(Subscriber(broker.host, broker.port, everything))
        service = stack.enter_context(_service(config, view, fast=fast))
        running = stack.enter_context(ThreadPoolExecutor(thread_name_prefix="service")).submit(service.run)
        try:
            show(view, subscriber, running.done, console, changed)
        finally:
            service.stop()
        running.result()
    print_summary(view, console)
    failures = list(_failures(story, view))
    for failure in failures:
        console.print(f"evenkeel: demo failed: {failure}", style="bold red")
    return EXIT_INTERNAL if failures else 0


def run_web_demo(*, sound: bool = False, console: Console | None = None) -> None:
    """Play the clip again and again, with the dashboard's pages at a free port, until SIGINT or SIGTERM.

    What is played is recorded too, so that the page Tune has a drive, and forgotten at the end.

    ``console`` gets their address; ``sound`` as in ``run_demo``.

    Raises:
        UnavailableError: amqtt or what the dashboard needs is not installed, or there is no TFLite runtime.
        ModelError, CameraError: a model or the clip is missing or damaged.
    """
    try:
        from edge.dashboard.command import Dashboard  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"demo --web needs the package {error.name}; install it: pip install 'evenkeel[dashboard]'"
        ) from None
    told = console or Console()
    with ExitStack() as stack:
        stack.enter_context(_warnings_only())
        bundled = stack.enter_context(resources.as_file(resources.files("edge.tools.demo") / "clip.mp4"))
        folder = stack.enter_context(TemporaryDirectory(prefix="evenkeel-demo-"))
        broker = stack.enter_context(EmbeddedBroker())
        changes = {"cab": _audible(told) if sound else CabConfig(), "dashboard": DashboardConfig(listen="127.0.0.1:0")}
        config = demo_config(bundled, broker, Path(folder)).model_copy(update=changes)
        drives = Path(folder) / "drives"
        drives.mkdir()
        pages, vehicle = Dashboard(config, {}, traces=drives), SimulatedDrive(uptime_s)
        service = stack.enter_context(
            build_service(config, reload=lambda: config, trace=drives / "drive.jsonl", vehicle=vehicle, loop=True)
        )
        running = stack.enter_context(ThreadPoolExecutor(thread_name_prefix="service")).submit(service.run)
        running.add_done_callback(lambda _: pages.stop())
        try:
            pages.run(lambda: told.print(f"open {pages.address} in a browser on this machine; Ctrl+C ends it"))
        finally:
            service.stop()
        running.result()


def _failures(story: Sequence[Look], view: View) -> Iterator[str]:
    """What did not come as the clip shows it."""
    missing = [look.alert for look in story if look.alert and look.alert not in view.started]
    if missing:
        yield f"no {' and no '.join(missing)} alert arrived over MQTT"
    for kind, t in view.started_at():
        shown = [look for look in story if look.lasts_at(t)]
        if shown and kind not in [look.alert for look in shown]:
            names = " and ".join(look.name for look in shown)
            yield f"an alert of {kind} started at {t:.1f} s of the clip, which shows {names}"


def demo_config(clip: Path, broker: EmbeddedBroker, folder: Path) -> Config:
    """The defaults on this clip and broker, with the user's models and runtime; what is kept goes into ``folder``."""
    return Config(
        vision=load_config().vision,
        device=DeviceConfig(id="demo"),
        camera=CameraConfig(source=str(clip), fps=15.0),
        mqtt=MqttConfig(host=broker.host, port=broker.port, protocol="3.1.1"),  # the broker speaks nothing newer
        outbox=OutboxConfig(path=folder / "outbox.db"),
        publish=PublishConfig(heartbeat_s=1.0, health_s=5.0),
        discovery=DiscoveryConfig(enabled=False),
    )


def _audible(console: Console) -> CabConfig:
    """The user's sound and language, and nothing else of what reaches a driver; silent where there is no card."""
    own = load_config().cab
    try:
        alsa.probe(own.sound.device)
    except UnavailableError as error:
        console.print(f"evenkeel: the demo stays silent: {error}", style="yellow", soft_wrap=True, highlight=False)
        return CabConfig()
    sound = own.sound.model_copy(update={"enabled": True})
    return CabConfig(language=own.language, offer_every_s=OFFER_EVERY_S, sound=sound)


@contextmanager
def _warnings_only() -> Iterator[None]:
    """Log no more than warnings: the view shows the rest."""
    logger = logging.getLogger("edge")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _service(config: Config, view: View, *, fast: bool) -> AbstractContextManager[Service]:
    if not fast:
        return build_service(config, reload=lambda: config, vehicle=SimulatedDrive(uptime_s))
    frames = EveryFrame(config.camera, ready=lambda: view.availability == "online")
    drive = SimulatedDrive(frames.clock)
    return build_service(
        config, reload=lambda: config, frames=frames, vehicle=drive, clock=frames.clock, stamp=frames.stamp
    )
