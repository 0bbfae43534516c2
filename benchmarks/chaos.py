"""Kill broker, devices and collector at random, cut the network, and count what the collector's database holds.

``python -m benchmarks.chaos``. Two parts: ten thousand alerts that wait for a broker, and chaos. The devices are real
processes with the real outbox and publisher (``benchmarks/device.py``), the collector is ``evenkeel collect`` and the
broker a real mosquitto, all on loopback and with the shipped defaults. A killed broker comes back with its database,
without it, or without persistence. The same ``--seed`` gives the same faults at the same moments.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.collecting import count_alerts
from benchmarks.faults import Memory, count_faults, draw_kinds, plan_faults
from benchmarks.mosquitto import Mosquitto
from benchmarks.process import resident_mb
from benchmarks.receiver import Receiver
from benchmarks.server import BrokerError
from benchmarks.tally import Tally, percentile
from benchmarks.world import Device, FallenError, living

DEVICES = 4
ALERT_HZ = 2.0
PACE_S = (0.5, 5.0)
SETTLE_S = 420.0
WAITING_ALERTS = 10_000
DEADLINE_S = 300.0

# an alert must not wait for the acknowledgement of the packet before it (Nagle's algorithm): 40 ms a time
BROKER = "allow_anonymous true\nset_tcp_nodelay true\n"
PERSISTENCE = """persistence true
persistence_location {folder}/
autosave_on_changes true
autosave_interval 1
"""


def main() -> None:
    """Run the two parts and print their tables; exit status 1 where an alert was lost, doubled or out of order."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kills", type=int, default=300, help="SIGKILLs of broker, devices and collector; 0: no chaos")
    parser.add_argument("--cuts", type=int, default=50, help="times that the network fails")
    parser.add_argument("--seed", type=int, default=None, help="the same faults in the same order again")
    parser.add_argument("--keep", type=Path, help="keep the chaos's logs and databases in this new folder")
    parser.add_argument("--chaos-only", action="store_true", help="leave out the ten thousand")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that all processes end with this one
    seed = options.seed if options.seed is not None else random.randrange(10**6)  # noqa: S311 - not a secret
    logging.disable(logging.INFO)
    console = Console(soft_wrap=True)
    console.print(f"seed {seed}")
    tallies: list[Tally] = []
    try:
        if not options.chaos_only:
            tallies.append(measure_drain(console))
        if options.kills > 0:
            chance = random.Random(seed)  # noqa: S311 - faults, not secrets
            tallies.append(run_chaos(console, chance, options.kills, options.cuts, options.keep))
    except (BrokerError, FallenError, TimeoutError) as error:
        sys.exit(str(error))
    total = sum(tallies, Tally())
    sys.exit(bool(total.lost or total.order_broken or total.doubles))


def measure_drain(console: Console) -> Tally:
    """Ten thousand alerts wait, the broker comes back: how long, in what order, in how much memory."""
    with tempfile.TemporaryDirectory(prefix="evenkeel-drain-") as folder:
        broker = Mosquitto(Path(folder), BROKER, log_type="error")
        options = {"store": WAITING_ALERTS, "alert-hz": 2.0, "state-hz": 20.0, "health-hz": 10.0}
        with living(broker, {"stored": options}, broken=True) as world:
            device = world.devices[0]
            _wait(lambda: len(device.decisions().stored) > WAITING_ALERTS)
            broker.start()
            watcher = Receiver(broker.port, names=("state", "health"))
            watcher.connect()
            before_mb, began = _resident(device), time.monotonic()
            highest_mb = before_mb
            while count_alerts(world.collector.database) < WAITING_ALERTS and time.monotonic() - began < DEADLINE_S:
                highest_mb = max(highest_mb, _resident(device))
                time.sleep(0.1)
            took_s = time.monotonic() - began
            # the first state is of the time before the broker was back
            state_ms, health_ms = watcher.state_ms[1:], list(watcher.health_ms)
            world.settle(DEADLINE_S)
            watcher.close()
            tally = world.tally()
        rows = {
            **_counts(tally),
            f"seconds until {WAITING_ALERTS} alerts are in the database": f"{took_s:.1f}",
            "device's memory before, highest meanwhile (MB)": f"{before_mb:.1f}, {highest_mb:.1f}",
        }
        console.print(_table("Ten thousand alerts wait, then the broker is back", rows))
        console.print(_latencies("state meanwhile", state_ms))
        console.print(_latencies("health meanwhile", health_ms))
    return tally


def run_chaos(console: Console, chance: random.Random, kills: int, cuts: int, keep: Path | None = None) -> Tally:
    """So many faults at random, then peace; then count."""
    faults = plan_faults(chance, draw_kinds(chance, kills=kills, cuts=cuts), devices=DEVICES, pace_s=PACE_S)
    with contextlib.ExitStack() as stack:
        if keep is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evenkeel-chaos-")))
        else:
            folder = keep.resolve()
            folder.mkdir(parents=True)
        broker = Mosquitto(folder, BROKER + PERSISTENCE, log_type="error")

        def remember(memory: Memory) -> None:
            broker.configure(BROKER if memory is Memory.OFF else BROKER + PERSISTENCE)
            if memory is not Memory.KEEPS:
                broker.forget()

        devices = {f"van-{number}": {"alert-hz": ALERT_HZ} for number in range(DEVICES)}
        with living(broker, devices, remember=remember) as world:
            began = time.monotonic()
            world.play(faults)
            took_s = time.monotonic() - began
            settled_s = world.settle(SETTLE_S)
            tally = world.tally()
        rows = {
            **dict(sorted(count_faults(faults).items())),
            **_counts(tally),
            "seconds from the last fault to the last alert in the database": f"{settled_s:.0f}",
        }
        title = f"Chaos: {DEVICES} devices, {kills} SIGKILLs and {cuts} cuts in {took_s / 60:.1f} minutes"
        console.print(_table(title, rows))
    return tally


def _resident(device: Device) -> float:
    return resident_mb(device.process.pid) if device.process is not None else float("nan")


def _wait(condition: Callable[[], bool]) -> None:
    """Until ``condition()`` holds, for DEADLINE_S at most; what is missing then shows in the table."""
    end = time.monotonic() + DEADLINE_S
    while not condition() and time.monotonic() < end:
        time.sleep(0.5)


def _counts(tally: Tally) -> dict[str, object]:
    return {
        "alerts decided": tally.decided,
        "killed before its outbox had it": tally.killed_while_storing,
        "alerts in the database": tally.received,
        "lost": tally.lost,
        "out of order": tally.order_broken,
        "twice": tally.doubles,
    }


def _table(title: str, rows: dict[str, object]) -> Table:
    table = Table("figure", "value", title=title, title_justify="left", show_header=False)
    for name, value in rows.items():
        table.add_row(name, str(value))
    return table


def _latencies(name: str, values: list[float]) -> str:
    p50, p99 = percentile(values, 50), percentile(values, 99)
    return f"{name}: n {len(values)}, p50 {p50:.1f} ms, p99 {p99:.1f} ms, max {max(values, default=0):.1f} ms"


if __name__ == "__main__":
    main()
