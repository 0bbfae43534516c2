"""The disk of an emulated machine: Debian's packages, a camera that shows the clip, Evenkeel by its installer."""

from benchmarks.vehicle.image.build import DISK_GB, Image, make_image

__all__ = ["DISK_GB", "Image", "make_image"]
