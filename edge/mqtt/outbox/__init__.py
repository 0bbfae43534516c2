"""Alerts that wait until the broker has acknowledged them, and a history of those it has: a queue in SQLite."""

from edge.mqtt.outbox.files import outbox_path
from edge.mqtt.outbox.queue import DAY_S, Bounds, Outbox
from edge.mqtt.outbox.rows import Row, Waiting
from edge.mqtt.outbox.view import Contents, read_contents

__all__ = ["DAY_S", "Bounds", "Contents", "Outbox", "Row", "Waiting", "outbox_path", "read_contents"]
