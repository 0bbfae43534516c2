"""Evenkeel: reads a driver's displayed expression on a small board and publishes alerts over MQTT."""

from importlib.metadata import version

__version__ = version("evenkeel")
