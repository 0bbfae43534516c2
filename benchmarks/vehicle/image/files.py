"""What is written into the emulated system beside Debian's packages: network, broker, cameras, configuration."""

from __future__ import annotations

from collections.abc import Mapping

DEVICE_ID = "vehicle"
CAMERA = "/dev/video0"
SPARE_CAMERA = "/dev/video1"
CAMERA_FPS = 5
"""What an emulated processor can follow; the decision is the same from 5 frames a second on."""

CLIP = "/srv/clip.avi"
FEED = "cabin-camera"
"""The service that plays the clip into the camera."""

_NETWORK = """[Match]
Name=e*
[Network]
Address=10.0.2.15/24
Gateway=10.0.2.2
"""

_BROKER = """listener 1883 0.0.0.0
allow_anonymous true
"""

_FEED = f"""[Unit]
Description=What the camera in the cabin sees: the demo's clip, in a loop, as motion JPEG
[Service]
ExecStartPre=/bin/sh -c 'until [ -c {CAMERA} ]; do sleep 0.2; done'
ExecStart=/usr/bin/ffmpeg -nostdin -loglevel error -re -stream_loop -1 -i {CLIP} -c copy -f v4l2 {CAMERA}
Restart=always
RestartSec=1
[Install]
WantedBy=multi-user.target
"""

_EVENKEEL = f"""[device]
id = "{DEVICE_ID}"
[camera]
source = "v4l2:{CAMERA}"
fps = {CAMERA_FPS}.0
"""

FILES: Mapping[str, str] = {
    "etc/fstab": "/dev/vda / ext4 defaults,errors=remount-ro 0 1\n",
    "etc/hostname": f"{DEVICE_ID}\n",
    "etc/hosts": f"127.0.0.1 localhost {DEVICE_ID}\n",
    "etc/systemd/network/10-wired.network": _NETWORK,
    "etc/mosquitto/conf.d/vehicle.conf": _BROKER,
    "etc/modules-load.d/cameras.conf": "v4l2loopback\nvivid\n",
    "etc/modprobe.d/cameras.conf": (
        'options v4l2loopback video_nr=0 card_label="Cabin camera" exclusive_caps=1\n'
        "options vivid n_devs=1 node_types=0x1 vid_cap_nr=1\n"
    ),
    f"etc/systemd/system/{FEED}.service": _FEED,
    "etc/evenkeel/evenkeel.toml": _EVENKEEL,
    "etc/initramfs-tools/modules": "virtio_pci\nvirtio_blk\next4\ncrc32c\n",
    "etc/initramfs-tools/conf.d/small": "MODULES=list\n",
}
"""By path in the system. The configuration lies there before the installer comes, which keeps it."""
