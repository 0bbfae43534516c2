"""Boots whole machines in QEMU, with Debian's kernel, systemd and a V4L2 camera, and breaks what a vehicle breaks."""
