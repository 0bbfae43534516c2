"""Try the device with a real Home Assistant, and say what that makes of it (``make homeassistant``), as root.

Home Assistant is installed once into a folder, in a Debian 13 of its own, and runs on loopback with a mosquitto. With
``--write`` the table in ``docs/home-assistant.md`` is written anew.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.home_assistant import screenshot
from benchmarks.home_assistant.automations import PAGE
from benchmarks.home_assistant.findings import markdown, table
from benchmarks.home_assistant.installation import RELEASE, Installation
from benchmarks.home_assistant.trial import Trial
from benchmarks.mosquitto import Mosquitto
from edge.config.reference import replaced

ROOT = Path(__file__).parents[2]
PART = "home assistant"


def main() -> int:
    """Run everything; 1 where something is not as wanted, 2 where something is missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=ROOT / ".home-assistant", help="where it is installed")
    parser.add_argument("--picture", type=Path, help="write a picture of the device's page (PNG); needs Chromium")
    parser.add_argument("--hours", type=float, default=2.0, help="simulated hours for the recorder's size")
    parser.add_argument("--write", action="store_true", help=f"write the table into {PAGE.name}")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that all processes end with this one
    logging.disable(logging.INFO)
    console = Console(soft_wrap=True)
    missing = [Installation.missing(), Mosquitto.missing(), screenshot.missing() if options.picture else None]
    missing.append(None if os.geteuid() == 0 else "needs root, for debootstrap and chroot")
    if any(missing):
        console.print("make homeassistant: " + "; ".join(one for one in missing if one), markup=False)
        return 2
    installation = Installation(options.folder.resolve() / RELEASE)
    began = time.monotonic()
    if installation.make():
        console.print(f"Home Assistant {RELEASE} installed in {time.monotonic() - began:.0f} s")
    with tempfile.TemporaryDirectory(prefix="evenkeel-home-") as folder:
        trial = Trial(Path(folder), installation)
        with trial.running():
            clip = partial(trial.try_clip, options.picture)
            for step in (clip, trial.try_upgrade, trial.try_blueprints, trial.try_kills, trial.judge):
                step()
                console.print(f"{trial.findings[-1].what}: {trial.findings[-1].found}", style="dim", markup=False)
        trial.try_recorder(options.hours)
    console.print(table(trial.findings))
    if options.write:
        text = f"Home Assistant {RELEASE}, mosquitto {Mosquitto.version()}:\n\n{markdown(trial.findings)}"
        PAGE.write_text(replaced(PAGE.read_text(), {PART: text}))
    return 1 if any(not one.passed for one in trial.findings) else 0


if __name__ == "__main__":
    sys.exit(main())
