"""What the unit must allow beyond a camera, by what the configuration uses, as a drop-in for systemd.

A CAN bus is not among it: with it the unit would be more exposed than it ever should be without somebody's own doing.
"""

from __future__ import annotations

from collections.abc import Collection

from edge.config import Config

PATH = "etc/systemd/system/evenkeel.service.d/uses.conf"
"""Where the installer writes it, below the root folder."""

ARGUS_UNIT = "[Unit]\nWants=nvargus-daemon.service\nAfter=nvargus-daemon.service\nPartOf=nvargus-daemon.service"

ARGUS = (
    *(
        f"DeviceAllow={device} rw"
        for device in ("/dev/nvmap", "char-nvhost", "char-nvidia*", "char-nvgpu*", "char-nvsciipc", "char-drm")
    ),
    "# where the daemon that holds the camera listens; the bound file is the one of its last start, hence PartOf above",
    "BindPaths=-/tmp/argus_socket",
    "Environment=GST_REGISTRY=%S/evenkeel/gstreamer.bin",
)
"""What Argus and its buffers need, after the device names of JetPack 6; untried: no Jetson was at hand."""


def drop_in(config: Config, groups: Collection[str]) -> str:
    """The drop-in's text; empty where nothing more is used.

    Of the ``groups`` that the system has those are joined that own the devices: one that it lacks would keep the
    service from starting.
    """
    lines, owners, unit = list[str](), list[str](), ""
    if config.cab.sound.enabled:
        lines.append("DeviceAllow=char-alsa rw")
        owners.append("audio")
    if uses_pins(config):
        lines.append("DeviceAllow=char-gpiochip rw")
        owners.append("gpio")
    if uses_argus(config):
        unit, lines = ARGUS_UNIT, [*lines, *ARGUS]
    if known := [group for group in owners if group in groups]:
        lines.append(f"SupplementaryGroups={' '.join(known)}")
    if not lines:
        return ""
    head = "# What evenkeel.toml uses. Written at installation, again by install.sh --allow: change nothing here."
    return "\n".join([head, *filter(None, [unit]), "[Service]", *lines]) + "\n"


def uses_argus(config: Config) -> bool:
    """Whether the camera is a Jetson's own (CSI), which GStreamer reads through NVIDIA's Argus."""
    return config.camera.source.startswith("gst:") and "nvarguscamerasrc" in config.camera.source


def uses_pins(config: Config) -> bool:
    """Whether anything is on a pin of the board."""
    return bool(config.cab.gpio.pins) or config.cab.button.pin is not None or config.vehicle.gpio.configured
