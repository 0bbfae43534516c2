"""A device without a camera: the real outbox and publisher, with decisions made at random moments.

Every decision is logged when it is made and again when the outbox has it, each line in one write, so that the log
holds what a SIGKILL cuts short; so is what its health tells of problems. Where a file beside the
log says so it decides no more; on SIGTERM it stops cleanly.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import threading
import time
from pathlib import Path

from benchmarks.messages import made_alert, made_health, made_state
from edge.config import load_config
from edge.mqtt.client import Publisher
from edge.mqtt.outbox import Outbox
from edge.service.loop import board_stamp

PROBLEMS_HZ = 4.0


class Device:
    """Decides, says its state and its health, each at a rate of its own (Hz)."""

    def __init__(self, publisher: Publisher, log: int, *, alert_hz: float, state_hz: float, health_hz: float) -> None:
        self._publisher = publisher
        self._log = log
        self._hz = {
            self.decide: alert_hz,
            self._say_state: state_hz,
            self._say_health: health_hz,
            self._log_problems: PROBLEMS_HZ,
        }
        self._problems: tuple[str, ...] = ()
        self._chance = random.Random()  # noqa: S311 - moments, not secrets
        self._count = 0

    def decide(self) -> None:
        """One alert, logged before and after it is in the outbox. Its reason is its name and when it was decided."""
        self._count += 1
        name = f"{os.getpid()}-{self._count}"
        os.write(self._log, f"decided {name}\n".encode())
        decided_ns = time.monotonic_ns()
        self._publisher.publish_alert(made_alert(board_stamp(), f"{name} {decided_ns}"))
        os.write(self._log, f"stored {name} {(time.monotonic_ns() - decided_ns) / 1e6:.3f}\n".encode())

    def run(self, quiet: Path, stopping: threading.Event) -> None:
        """Go on until ``stopping``; decide nothing while there is a file ``quiet``."""
        due = {action: self._next(time.monotonic(), hz) for action, hz in self._hz.items() if hz > 0}
        while not stopping.is_set():
            action = min(due, key=lambda one: due[one])
            if stopping.wait(max(0.0, due[action] - time.monotonic())):
                return
            if action != self.decide or not quiet.exists():
                action()
            due[action] = self._next(time.monotonic(), self._hz[action])

    def _next(self, now: float, hz: float) -> float:
        return now + self._chance.expovariate(hz)

    def _say_state(self) -> None:
        self._publisher.publish_state(
            made_state(board_stamp(), f"state {time.monotonic_ns()}", newest=self._publisher.newest)
        )

    def _say_health(self) -> None:
        outbox = self._publisher.outbox_health()
        self._publisher.publish_health(
            made_health(board_stamp(), outbox, (f"health {time.monotonic_ns()}",), self._publisher.newest)
        )

    def _log_problems(self) -> None:
        """What is wrong while there is a connection; why there is none changes with every fault of a run."""
        problems = self._publisher.problems if self._publisher.connected else ()
        for problem in problems:
            if problem not in self._problems:
                os.write(self._log, f"problem {problem}\n".encode())
        self._problems = problems or self._problems


def quiet_file(log: Path) -> Path:
    """The file that keeps the device with this log from deciding."""
    return log.with_suffix(".quiet")


def main() -> None:
    """Run one device until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--log", type=Path, required=True, help="decision log")
    parser.add_argument("--store", type=int, default=0, help="alerts to decide before the first connection")
    parser.add_argument("--alert-hz", type=float, default=10.0)
    parser.add_argument("--state-hz", type=float, default=2.0)
    parser.add_argument("--health-hz", type=float, default=0.5)
    options = parser.parse_args()

    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    config = load_config(options.config)
    log = os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with contextlib.closing(Outbox.from_config(config, os.environ, board_stamp())) as outbox:
        publisher = Publisher(config, outbox, clock=board_stamp, environ=os.environ)
        publisher.publish_state(made_state(board_stamp(), newest=publisher.newest))
        device = Device(
            publisher, log, alert_hz=options.alert_hz, state_hz=options.state_hz, health_hz=options.health_hz
        )
        for _ in range(options.store):
            device.decide()
        with publisher:
            device.run(quiet_file(options.log), stopping)


if __name__ == "__main__":
    main()
