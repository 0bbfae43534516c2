"""The command line: parse, call, print. Each command imports what it needs, so that ``--help`` is quick."""

# ruff: noqa: PLC0415, FBT002 - imports inside the commands, as said above; an option that is a flag is a bool in typer

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from edge import __version__
from edge.compat import StrEnum
from edge.config import Config, load_config, schema_json
from edge.config.secrets import exposed, has_password, redact, with_camera_source
from edge.errors import EXIT_INTERNAL, EXIT_UNAVAILABLE, EvenkeelError, UnavailableError, UsageError, of_system

PANELS_COLUMNS = 80
"""Help is set in panels on terminals of at least this width."""

_log = logging.getLogger(__name__)

app = typer.Typer(
    help="On-board driver monitor: reads the driver's displayed expression and publishes alerts over MQTT.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class LogLevel(StrEnum):
    """What is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


ConfigFile = Annotated[Path | None, typer.Option("--config", "-c", help="Configuration file (TOML).")]
TraceFile = Annotated[Path | None, typer.Option("--trace", help="Record every observation in this file (JSON Lines).")]


def main() -> None:
    """Run the command line; a user's fault is one line on stderr and its exit code, never a traceback."""
    # on a narrow terminal as plain lines: in panels the options' names would be cut
    app.rich_markup_mode = "rich" if shutil.get_terminal_size().columns >= PANELS_COLUMNS else None
    try:
        app()
    except EvenkeelError as error:
        for line in redact(str(error)).splitlines():  # one for each fault
            _say(line)
        _end(error.exit_code)
    except OSError as error:
        _log.debug("fault of the system", exc_info=True)
        _say(redact(of_system(error)))
        _end(EXIT_UNAVAILABLE)
    except Exception as error:  # noqa: BLE001 - the last line of defence: it is said, and logged whole
        _log.debug("unexpected error", exc_info=True)
        fault = f"{type(error).__name__}: {redact(str(error))}"
        _say(f"unexpected error: {fault}; run evenkeel --log-level debug … for details")
        _end(EXIT_INTERNAL)


def _end(code: int) -> NoReturn:
    """Exit with ``code``, also where a stream takes nothing: else Python tries again, complains and exits 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(code)


def _say(line: str) -> None:
    with contextlib.suppress(OSError):  # where stderr takes nothing, the exit code still tells
        typer.echo(f"evenkeel: {line}", err=True)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"evenkeel {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    log_level: Annotated[LogLevel, typer.Option(help="Minimum log level.")] = LogLevel.INFO,
    version: Annotated[  # noqa: ARG001 - its callback prints and ends
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    from edge.log import set_up_logging

    set_up_logging(log_level, background=context.invoked_subcommand == "run")


@app.command()
def run(
    config: ConfigFile = None,
    source: Annotated[str | None, typer.Option(help="Use this frame source instead of the configured one.")] = None,
    trace: TraceFile = None,
    loop: Annotated[bool, typer.Option("--loop", help="Play a video file in a loop.")] = False,
) -> None:
    """Run the service: read the camera and publish state and alerts over MQTT."""
    import signal

    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the configuration is not read yet; by default it would end us
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    from edge.service.loop import serve

    serve(lambda: _load(config, source), trace=trace, loop=loop)


@app.command()
def demo(
    fast: Annotated[bool, typer.Option("--fast", help="Process frames as fast as possible, not in real time.")] = False,
    sound: Annotated[bool, typer.Option("--sound", help="Play the warnings on the sound card.")] = False,
    web: Annotated[bool, typer.Option("--web", help="Show it on the dashboard's pages, until Ctrl+C.")] = False,
) -> None:
    """Play the bundled clip through the service and an embedded broker, and show what a subscriber receives."""
    from edge.tools.demo import run_demo, run_web_demo

    if fast and sound:
        raise UsageError("--sound needs real time; leave --fast out")
    if fast and web:
        raise UsageError("--web needs real time; leave --fast out")
    if web:
        run_web_demo(sound=sound)
        return
    raise typer.Exit(run_demo(fast=fast, sound=sound))


@app.command()
def replay(
    path: Annotated[Path, typer.Argument(help="Video file, folder of pictures, or trace.")],
    config: ConfigFile = None,
    events: Annotated[Path | None, typer.Option(help="Write the alerts to this file (JSON Lines).")] = None,
    trace: TraceFile = None,
    plot: Annotated[
        Path | None, typer.Option(help="Plot signals, states and alerts over time to this file (.png, .svg or .pdf).")
    ] = None,
) -> None:
    """Run a clip or a trace through the pipeline as fast as possible and list its alerts."""
    from rich.console import Console

    from edge.tables import print_table
    from edge.traces.replay import replay as replay_path
    from edge.traces.timeline import episodes_table

    summary = replay_path(path, load_config(config), events=events, trace=trace, plot=plot)
    with_face = summary.frames_with_face / summary.frames if summary.frames else 0.0
    typer.echo(f"{summary.frames} frames in {summary.duration_s:.1f} s, a face in {with_face:.1%}")
    typer.echo("states: " + ", ".join(f"{state} {share:.1%}" for state, share in summary.shares.items()))
    typer.echo("alerts: " + ", ".join(f"{kind} {count}" for kind, count in summary.alerts.items()))
    if summary.episodes:
        print_table(Console(), episodes_table(summary.episodes))
    for fault in summary.faults:
        typer.echo(f"evenkeel: {fault}", err=True)


@app.command()
def check(
    file: Annotated[Path | None, typer.Argument(help="Configuration file (TOML); defaults if omitted.")] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON Schema (for editors).")] = False,
    show: Annotated[
        bool, typer.Option("--show", help="Print the effective value and the origin of basic and changed keys.")
    ] = False,
    every: Annotated[bool, typer.Option("--all", help="With --show: include every key.")] = False,
) -> None:
    """Validate a configuration; report each error with its file, key, value and what is allowed."""
    if schema:
        typer.echo(schema_json())
        return
    if every and not show:
        raise UsageError("--all needs --show")
    configuration = load_config(file)
    typer.echo(f"{'# ' if show else ''}{file or 'defaults'}: valid")
    if show:
        from edge.config.explain import as_lines, explain

        settings = explain(file, os.environ)
        wanted = [each for each in settings if every or each.is_basic or not each.is_default]
        for line in as_lines(wanted, shutil.get_terminal_size().columns):
            typer.echo(line)
    if (warning := exposed(file, configuration)) is not None:
        typer.echo(f"evenkeel: warning: {warning}", err=True)


@app.command()
def aim(
    config: ConfigFile = None,
    source: Annotated[str | None, typer.Option(help="Use this frame source instead of the configured one.")] = None,
    until_good: Annotated[
        bool, typer.Option("--until-good", help="Exit once everything has been good for 3 s.")
    ] = False,
    preview: Annotated[
        bool, typer.Option("--preview", help="Serve the picture on the loopback address for a limited time.")
    ] = False,
    preview_s: Annotated[float, typer.Option(min=1, max=600, help="Duration of the preview, seconds.")] = 120,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port of the preview (0: any free port).")] = 8377,
) -> None:
    """Help aim the camera: check that the face is in the seat region, large, sharp and bright enough; suggest fixes."""
    from rich.console import Console

    from edge.tools.aim.aim import aim as aim_camera
    from edge.tools.aim.preview import Preview

    served = Preview(port, preview_s) if preview else None
    aim_camera(_load(config, source), Console(), until_good=until_good, preview=served)


@app.command()
def doctor(
    config: ConfigFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    drop_in: Annotated[
        bool, typer.Option("--drop-in", help="Only print the systemd drop-in that allows what the configuration uses.")
    ] = False,
) -> None:
    """Diagnose this board and suggest fixes: board, camera, models, sound, pins, broker, disk, permissions."""
    if drop_in:
        import grp

        from edge.tools.drop_in import drop_in as text_of

        typer.echo(text_of(load_config(config), [group.gr_name for group in grp.getgrall()]), nl=False)
        return
    from rich.console import Console

    from edge.tools.doctor.report import as_json as report_json
    from edge.tools.doctor.report import examine, exit_code, print_lines
    from edge.tools.doctor.target import Host

    findings = examine(Host.here(config, os.environ))
    lines = list(findings) if as_json else print_lines(findings, Console())
    if as_json:
        typer.echo(report_json(lines))
    raise typer.Exit(exit_code(lines))


@app.command()
def cab(
    config: ConfigFile = None,
    attempt: Annotated[
        tuple[str, str] | None, typer.Option("--try", metavar="KIND LEVEL", help="Say and show it now, as in the cab.")
    ] = None,
) -> None:
    """Try what is said to the driver in the cab, such as: --try fatigue urgent."""
    from edge.domain import Level
    from edge.service.cab_sink import cue_of
    from edge.service.loop import board_stamp
    from edge.tools.cab import try_out

    configuration = load_config(config)
    if attempt is None:
        raise UsageError("nothing to do; --try KIND LEVEL says a warning")
    kind, level = attempt
    if level not in set(Level) or kind not in configuration.alerts.kinds:
        known = ", ".join(configuration.alerts.kinds)
        raise UsageError(f"--try {kind} {level}: known are {known}, each with {' or '.join(Level)}")
    try_out(configuration, cue_of(kind, Level(level)), board_stamp())


@app.command()
def models(config: ConfigFile = None) -> None:
    """Verify the checksums of the models and list their versions."""
    from rich.console import Console
    from rich.table import Table

    from edge.service.versions import verified_models
    from edge.tables import print_table

    table = Table("model", "version", "file", "sha256", "verified")
    for model in verified_models(load_config(config).vision):
        table.add_row(model.name, model.version, model.file, model.sha256[:16], "yes")
    print_table(Console(), table)


@app.command()
def outbox(
    config: ConfigFile = None,
    flush: Annotated[bool, typer.Option("--flush", help="Send them now, in order (stop the service first).")] = False,
    history: Annotated[bool, typer.Option("--history", help="List the acknowledged alerts still kept.")] = False,
    aside: Annotated[
        bool, typer.Option("--set-aside", help="List the alerts that the broker would not accept.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print each listed alert as one line of JSON.")] = False,
) -> None:
    """Show the alerts waiting for the broker, or send them."""
    from edge.mqtt.outbox_command import Part, flush_waiting, look_into_outbox, print_outbox, rows_of

    configuration = load_config(config)
    if flush:
        from edge.service.loop import board_stamp

        typer.echo(f"{flush_waiting(configuration, os.environ, board_stamp())} alerts sent; the outbox is empty")
        return
    view = look_into_outbox(configuration, os.environ)
    part = Part.ASIDE if aside else Part.HISTORY if history else Part.WAITING
    if as_json:
        for row in rows_of(view, part):
            typer.echo(row.payload)
    else:
        print_outbox(view, part)


@app.command()
def collect(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The collector's configuration file (TOML).")
    ] = None,
    database: Annotated[str | None, typer.Option(help="Use this database instead of the configured one.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="List the devices with their missing and lost alerts.")
    ] = False,
    forget: Annotated[str | None, typer.Option(help="Delete all data of one device (ID or PREFIX/ID).")] = None,
    migrate: Annotated[
        bool, typer.Option("--migrate", help="Migrate the database to the current schema and exit.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print each new alert as one line of JSON; with --check, the list as JSON.")
    ] = False,
    keep_days: Annotated[
        float | None,
        typer.Option(min=0.01, help="Delete alerts older than this many days (overrides the configuration)."),
    ] = None,
    metrics: Annotated[
        str | None, typer.Option(help="Serve Prometheus metrics at this address, such as 127.0.0.1:9109.")
    ] = None,
) -> None:
    """Receive the alerts of a home or a fleet: store each one once in a database and request missing ones again."""
    from edge.collect.config import load_collect_config

    try:
        from edge.collect import command, view
        from edge.collect.database import database_url
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"collect needs the package {error.name}; install it: pip install 'evenkeel[collect]'"
        ) from None
    configuration = load_collect_config(config).changed(database=database, keep_days=keep_days)
    if sum((check, migrate, forget is not None)) > 1:
        raise UsageError("--check, --forget and --migrate exclude each other; give one of them")
    if check:
        from datetime import datetime

        from rich.console import Console

        from edge.compat import UTC

        seen = view.look(database_url(configuration.collect, os.environ))
        if as_json:
            typer.echo(view.view_json(seen))
        else:
            view.print_view(seen, Console(), datetime.now(UTC))
    elif forget is not None:
        erased = command.forget(configuration, os.environ, forget)
        typer.echo(f"{erased.prefix}/{erased.device}: forgotten, {erased.alerts} alerts deleted")
    elif migrate:
        engine = command.migrate(configuration, os.environ)
        typer.echo(f"{engine.url}: up to date")
    else:
        command.collect(configuration, os.environ, lines=sys.stdout if as_json else None, metrics=metrics)


@app.command()
def dashboard(
    config: ConfigFile = None,
    broker: Annotated[str | None, typer.Option(help="Use this broker (HOST or HOST:PORT), not the configured.")] = None,
    device: Annotated[str | None, typer.Option(help="The device.id to look at; default: the configured one.")] = None,
    listen: Annotated[
        str | None, typer.Option(help="Serve the pages here (ADDRESS:PORT), not where configured.")
    ] = None,
    database: Annotated[
        str | None, typer.Option(help="Show the history in this collector's database, not in the configured one.")
    ] = None,
    collect: Annotated[
        bool, typer.Option("--collect", help="Collect the broker's alerts into that database too, an SQLite file.")
    ] = False,
    fleet: Annotated[bool, typer.Option("--fleet", help="Show every device of the broker, not one alone.")] = False,
    traces: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of recorded drives for the page Tune.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="Keep the marks of the page Tune in this file, not beside the drives."),
    ] = None,
    set_password: Annotated[
        str | None, typer.Option(metavar="operator|viewer", help="Ask for a new password, keep its hash, and exit.")
    ] = None,
) -> None:
    """Serve pages in a browser: what holds now, for the driver, health, history, of a device or a fleet; tuning."""
    try:
        from edge.dashboard.command import Dashboard
        from edge.dashboard.doors import Role
        from edge.dashboard.set_password import hashed, line_of
        from edge.dashboard.set_password import set_password as put
    except ModuleNotFoundError as error:
        raise UnavailableError(
            f"dashboard needs the package {error.name}; install it: pip install 'evenkeel[dashboard]'"
        ) from None
    from edge.board.notify import Notifier
    from edge.config.override import changed

    if labels is not None and traces is None:
        raise UsageError("--labels belongs to --traces: the folder of the drives that it is about")
    configuration = load_config(config)
    if set_password is not None:
        if set_password not in set(Role):
            raise UsageError(f"--set-password {set_password}: known are {' and '.join(Role)}")
        asked = typer.prompt("password", hide_input=True, confirmation_prompt=sys.stdin.isatty(), err=True)
        kept, role = hashed(asked), Role(set_password)
        if config is None:
            typer.echo(f"[dashboard]\n{line_of(role, kept)}")
        else:
            put(config, role, kept)
            typer.echo(f"{config}: the {role}'s password is set; start the dashboard anew")
        return
    served = Dashboard(
        changed(
            configuration,
            broker=broker,
            device=device,
            listen=listen,
            database=database,
            collect=collect,
            fleet=fleet,
        ),
        os.environ,
        know_thresholds=config is not None or (broker is None and device is None),
        traces=traces,
        labels=labels,
    )

    def ready() -> None:
        typer.echo(f"dashboard: {served.address}")
        notifier.ready()
        notifier.status(f"pages at {served.address}")

    with contextlib.closing(Notifier.from_environment()) as notifier:
        served.run(ready)


@app.command()
def discovery(
    config: ConfigFile = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove this device from Home Assistant.")] = False,
    forget: Annotated[
        bool, typer.Option("--forget", help="With --remove: clear all that the broker retains of the stopped device.")
    ] = False,
) -> None:
    """Print this device's Home Assistant discovery messages, or remove the device from Home Assistant."""
    from edge.mqtt.discovery import descriptions, discovery_topic
    from edge.mqtt.one_shot import remove_discovery
    from edge.mqtt.retire import retire_device

    if forget and not remove:
        raise UsageError("--forget belongs to --remove: evenkeel discovery --remove --forget")
    configuration = load_config(config)
    if not remove:
        for topic, told in descriptions(configuration, __version__).items():
            typer.echo(f"{topic} {told.decode()}")
        return
    remove_discovery(configuration, os.environ)
    typer.echo(f"{discovery_topic(configuration)}: removed")
    if forget:
        identity, cleared = retire_device(configuration, os.environ)
        typer.echo(f"{identity.name} at {identity.broker}: {cleared} retained topics cleared")
    elif configuration.discovery.enabled:
        typer.echo("evenkeel: the service will publish it again unless discovery.enabled = false", err=True)


@app.command()
def retire(
    config: ConfigFile = None,
    device: Annotated[str | None, typer.Option(help="The device's device.id; default: the configured one.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Retire it even if the broker says that it is online.")
    ] = False,
) -> None:
    """Clear all that the broker retains of a decommissioned device: availability, state, health, alerts, discovery."""
    from edge.mqtt.retire import retire_device

    identity, cleared = retire_device(load_config(config), os.environ, device, force=force)
    typer.echo(f"{identity.name} at {identity.broker}: {cleared} retained topics cleared")


@app.command()
def bench(
    config: ConfigFile = None,
    clip: Annotated[Path | None, typer.Option(help="Use this video instead of the bundled one.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames to time in each run after a warm-up.")] = 1000,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    share: Annotated[
        bool,
        typer.Option("--share", help="Print only a row for the table of boards, to send: nothing tells whose it is."),
    ] = False,
) -> None:
    """Benchmark every stage on this machine with each installed runtime; also measure start-up time and memory."""
    from edge.tools.bench import measure, print_report
    from edge.tools.share import share as share_of

    if share and (clip is not None or config is not None):
        raise UsageError("--share measures what every board can: the bundled clip, without --clip and --config")
    report = measure(load_config(config), frames, clip)
    if share:
        shared = share_of(report)
        typer.echo(json.dumps(shared, indent=2, ensure_ascii=False) if as_json else shared["row"])
    elif as_json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        print_report(report)


@app.command()
def tune(
    traces: Annotated[
        list[Path] | None,
        typer.Argument(help="Traces of drives, written by 'run --trace' or 'replay --trace'; with --shadow, records."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV file: start, end, kind[, trace]; times in seconds of the trace.")
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Only report what would have been said in shadow mode; no labels needed.")
    ] = False,
    max_false_per_hour: Annotated[float, typer.Option(min=0, help="Maximum false alarms per hour.")] = 0.5,
    config: ConfigFile = None,
    report: Annotated[Path, typer.Option(help="Write the report to this file.")] = Path("tuning.html"),
    engine: Annotated[str, typer.Option(help="Table engine, as an Ibis connection string.")] = "duckdb://",
    leave_out_unknown: Annotated[
        bool, typer.Option("--leave-out-unknown", help="Ignore labels of unknown kinds and traces instead of failing.")
    ] = False,
) -> None:
    """Find alert thresholds from recorded drives: print sections to paste and write a report with plots."""
    if shadow:
        _report_shadow(traces, config)
        return
    if not traces:
        raise UsageError("name the traces to tune on, as 'run --trace' writes them; or --shadow")
    if labels is None:
        raise UsageError("--labels is missing: the CSV file that says what the traces show")
    from edge.tuning.report import summary, write_report
    from edge.tuning.tune import recommend, sections
    from edge.tuning.tune import tune as tune_traces

    found = tune_traces(
        traces,
        labels,
        load_config(config),
        max_false_per_hour=max_false_per_hour,
        engine=engine,
        leave_out_unknown=leave_out_unknown,
    )
    write_report(found, report)
    for fault in found.faults:
        typer.echo(f"evenkeel: {fault}", err=True)
    for line in summary(found):
        typer.echo(f"# {line}")
    if not found.broken:
        typer.echo(sections(recommend(found.config, found.chosen)), nl=False)
    typer.echo(f"evenkeel: report written to {report}", err=True)
    if found.broken:
        remedy = "no thresholds recommended; record more drives, correct the labels, or allow more false alarms"
        raise UnavailableError("\n".join(f"{reason}; {remedy}" for reason in found.broken))


def _report_shadow(records: list[Path] | None, config: Path | None) -> None:
    """Without a record the one of this device, beside its outbox."""
    from rich.console import Console

    from edge.mqtt.outbox import outbox_path
    from edge.tables import print_table
    from edge.traces.shadow import SHADOW_FILE, report_shadow

    own = outbox_path(load_config(config).outbox, os.environ).parent / SHADOW_FILE
    found = report_shadow(records or [own])
    for fault in found.faults:
        typer.echo(f"evenkeel: {fault}", err=True)
    for line in found.lines():
        typer.echo(line)
    print_table(Console(), found.table())


def _load(path: Path | None, source: str | None) -> Config:
    config = load_config(path)
    if source is None:
        return with_camera_source(config, os.environ)
    if not source:
        raise UsageError("--source is empty; name a camera, a video file or a folder of pictures")
    if has_password(source):
        _log.warning("--source contains a password, which every user of this machine can see in the process list")
    return config.model_copy(update={"camera": config.camera.model_copy(update={"source": source})})
