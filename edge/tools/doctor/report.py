"""All checks, one after the other, and what they come to."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from rich.console import Console
from rich.text import Text

from edge import __version__
from edge.config import Config
from edge.config.secrets import redact
from edge.errors import EXIT_CONFIG, EXIT_INTERNAL, EXIT_UNAVAILABLE, EvenkeelError
from edge.tools.doctor import board, broker, cab, camera, dashboard, software, storage, vehicle
from edge.tools.doctor.finding import Finding, Verdict, failed, skipped
from edge.tools.doctor.target import Host

_log = logging.getLogger(__name__)

_EXIT_ORDER = (EXIT_CONFIG, EXIT_UNAVAILABLE, EXIT_INTERNAL)
"""Which exit code wins: with a wrong configuration, what else fails may be its fault."""

_STYLES = {Verdict.PASS: "green", Verdict.SKIP: "dim", Verdict.WARN: "yellow", Verdict.FAIL: "bold red"}


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the report. ``look`` may raise: that is a fault of ours, and this line says so."""

    name: str
    look: Callable[[Host], Finding]


@dataclass(frozen=True, slots=True)
class Line:
    """A check's name with what it found."""

    check: str
    finding: Finding


def configured(look: Callable[[Host, Config], Finding]) -> Callable[[Host], Finding]:
    """A check that needs a valid configuration, as one that says where there is none."""

    def with_config(host: Host) -> Finding:
        if host.config is None:
            return skipped("skipped: the configuration is invalid")
        return look(host, host.config)

    return with_config


CHECKS = (
    Check("board", board.board),
    Check("system", board.system),
    Check("64 bits", board.word_size),
    Check("python", board.python),
    Check("packages", software.packages),
    Check("memory", board.memory),
    Check("temperature", configured(board.temperature)),
    Check("throttling", board.throttling),
    Check("clock", board.clock),
    Check("user", storage.user),
    Check("configuration", software.configuration),
    Check("config file", storage.config_readable),
    Check("runtime", configured(software.runtimes)),
    Check("models", configured(software.models)),
    Check("inference", configured(software.inference)),
    Check("camera modules", configured(camera.modules)),
    Check("camera devices", configured(camera.devices)),
    Check("permissions", configured(storage.device_permissions)),
    Check("picture", configured(camera.frame)),
    Check("spoken words", configured(cab.words)),
    Check("sound card", configured(cab.card)),
    Check("pins", configured(cab.pins)),
    Check("button", configured(cab.button)),
    Check("cab program", configured(cab.program)),
    Check("unit", configured(cab.unit)),
    Check("outbox", configured(storage.outbox)),
    Check("credentials", configured(broker.credentials)),
    Check("broker", configured(broker.broker)),
    Check("vehicle", configured(vehicle.sources)),
    Check("dashboard", configured(dashboard.dashboard)),
)


def examine(host: Host, checks: Iterable[Check] = CHECKS) -> Iterator[Line]:
    """Make the checks one by one; each line comes as soon as it is known."""
    for check in checks:
        try:
            finding = check.look(host)
        except ImportError as error:
            finding = failed(f"a package cannot be imported: {error}", "see 'packages' above; reinstall evenkeel")
        except EvenkeelError as error:
            text, _, remedy = str(error).rpartition("; ")
            finding = failed(text or remedy, remedy, error.exit_code)
        except Exception as error:  # noqa: BLE001 - one check's fault must not hide what the others find
            _log.debug("check %s failed", check.name, exc_info=True)
            finding = failed(
                f"this check itself failed: {type(error).__name__}: {error}",
                "a bug in evenkeel; run `evenkeel --log-level debug doctor` for details",
                EXIT_INTERNAL,
            )
        yield Line(check.name, replace(finding, text=redact(finding.text), remedy=redact(finding.remedy)))


def exit_code(lines: Iterable[Line]) -> int:
    """0 without a failure, else the weightiest of the failures' codes."""
    codes = {line.finding.exit_code for line in lines if line.finding.verdict is Verdict.FAIL}
    return next((code for code in _EXIT_ORDER if code in codes), 0)


def print_lines(lines: Iterable[Line], console: Console) -> list[Line]:
    """Print each line when it comes, and at the end how many there are of each verdict."""
    shown = []
    width = max(len(check.name) for check in CHECKS)
    for line in lines:
        shown.append(line)
        finding = line.finding
        text = Text.assemble(
            (f"{finding.verdict}  ", _STYLES[finding.verdict]), f"{line.check:{width}}  {finding.text}"
        )
        console.print(text, soft_wrap=True)
        if finding.remedy:
            console.print(Text(f"{'':{6 + width}}  -> {finding.remedy}", "dim"), soft_wrap=True)
    counts = {verdict: sum(line.finding.verdict is verdict for line in shown) for verdict in Verdict}
    console.print(", ".join(f"{count} {verdict}" for verdict, count in counts.items()), highlight=False)
    return shown


def as_json(lines: Iterable[Line]) -> str:
    """The whole report for programs."""
    listed = list(lines)
    checks = [
        {
            "check": line.check,
            "verdict": line.finding.verdict,
            "text": line.finding.text,
            "remedy": line.finding.remedy,
            "figures": dict(line.finding.figures),
        }
        for line in listed
    ]
    return json.dumps({"evenkeel": __version__, "exit_code": exit_code(listed), "checks": checks}, indent=2)
