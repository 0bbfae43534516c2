"""What the service takes of a processor at 15 frames a second: in steps, in reading the clip, and in waking up.

``python -m benchmarks.cpu``. Three devices one after the other, each the real ``evenkeel run`` beside a real mosquitto
on loopback: one watches the demo's driver, one an empty seat, one has been told to pause. All of them read a video
file, which is decoded in the same process; what that alone costs is measured by itself.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.table import Table

from benchmarks.clips import bundled_clip, empty_seat, record
from benchmarks.mosquitto import Mosquitto
from benchmarks.process import usage
from benchmarks.soak import Device, Listener
from edge.camera import open_camera
from edge.config import CameraConfig

FPS = 15.0
SETTLE_S = 10.0
PAUSED = "paused"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60.0, help="time to measure each")
    options = parser.parse_args()
    table = Table("the camera sees", title=f"evenkeel run at {FPS:g} frames a second, one processor = 100 %")
    for name in ("frames/s", "CPU %", "of it decoding %", "steps (frames x p50) %", "waits/s", "MB"):
        table.add_column(name, justify="right")
    with tempfile.TemporaryDirectory(prefix="evenkeel-cpu-") as name:
        folder = Path(name)
        empty = folder / "empty.mp4"
        record(empty_seat(FPS), FPS, empty)
        broker = Mosquitto(folder, "allow_anonymous true", log_type="error")
        broker.start()
        try:
            for seen, clip in (("driver", bundled_clip()), ("empty seat", empty), (PAUSED, bundled_clip())):
                device = Device(seen.replace(" ", "-"), folder, str(clip), broker.port, FPS)
                decoding = _decoding_share(clip, options.seconds / 4)
                table.add_row(seen, *_measure(device, broker.port, options.seconds, decoding))
        finally:
            broker.kill()
    console = Console(width=110)
    console.print(table)
    console.print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")


def _measure(device: Device, port: int, seconds: float, decoding: float) -> list[str]:
    listener = Listener(port)
    try:
        with device.running():
            time.sleep(SETTLE_S)
            if device.name == PAUSED:
                _pause(port)
            before, began = usage(device.pid), time.monotonic()
            time.sleep(seconds)
            after, took_s = usage(device.pid), time.monotonic() - began
            health = listener.health(device.name)
    finally:
        listener.close()
    fps, step_ms = health["fps"], health["stages"]["step"]["p50_ms"]
    return [
        f"{fps:.1f}",
        f"{100 * (after.cpu_s - before.cpu_s) / took_s:.1f}",
        f"{100 * decoding:.1f}",
        f"{fps * step_ms / 10:.1f}",
        f"{(after.waits - before.waits) / took_s:.0f}",
        f"{after.resident_mb:.0f}",
    ]


def _pause(port: int) -> None:
    client = paho.Client(CallbackAPIVersion.VERSION2)
    client.connect("127.0.0.1", port)
    client.loop_start()
    client.publish(f"evenkeel/{PAUSED}/command/pause", '{"seconds": 3600}', qos=1).wait_for_publish(10)
    client.disconnect()
    client.loop_stop()


def _decoding_share(clip: Path, seconds: float) -> float:
    """Processor time that this process uses a second to read the clip in real time, and nothing else."""
    with open_camera(CameraConfig(source=str(clip)), loop=True) as camera:
        camera.read(1.0)
        used, began = time.process_time(), time.monotonic()
        while time.monotonic() - began < seconds:
            camera.read(1.0)
        return (time.process_time() - used) / (time.monotonic() - began)


if __name__ == "__main__":
    main()
