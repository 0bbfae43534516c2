"""Episodes as a table to take along: CSV by the standard library, Parquet by pyarrow, an extra."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import datetime

from edge.compat import UTC
from edge.dashboard.history import Told
from edge.errors import UnavailableError

COLUMNS = (
    "prefix",
    "device",
    "episode",
    "kind",
    "level",
    "began",
    "clock_set",
    "ended",
    "duration_s",
    "peak",
    "expression",
    "cause",
    "reason_code",
    "acknowledged",
    "speed_kmh",
    "epoch",
    "sequence",
)
"""``began`` is in UTC; ``clock_set`` tells whether it is by the device's clock, else it is when the alert arrived."""
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")  # noqa: RUF001 - some take the wide ones too
"""With one of these a spreadsheet takes a text for a formula."""


def as_csv(episodes: Iterable[Told]) -> bytes:
    """RFC 4180 with a head, UTF-8; what is not known is empty."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for one in episodes:
        writer.writerow([_cell(_value(one, name)) for name in COLUMNS])
    return text.getvalue().encode()


def as_parquet(episodes: Iterable[Told]) -> bytes:
    """The same with types; what is not known is null.

    Raises:
        UnavailableError: pyarrow is missing.
    """
    try:
        import pyarrow as pa  # noqa: PLC0415 - an extra
        import pyarrow.parquet as pq  # noqa: PLC0415 - as above
    except ModuleNotFoundError:
        raise UnavailableError(
            "Parquet needs the package pyarrow; install it where the dashboard runs: pip install 'evenkeel[parquet]'"
        ) from None
    types = {name: pa.string() for name in COLUMNS}
    types |= {"began": pa.timestamp("ms", tz="UTC"), "epoch": pa.int64(), "sequence": pa.int64()}
    types |= dict.fromkeys(("clock_set", "ended", "acknowledged"), pa.bool_())
    types |= dict.fromkeys(("duration_s", "peak", "speed_kmh"), pa.float64())
    rows = [{name: _value(one, name) for name in COLUMNS} for one in episodes]
    table = pa.Table.from_pylist(rows, schema=pa.schema(list(types.items())))
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def _value(one: Told, name: str) -> object:
    return one.believed if name == "clock_set" else getattr(one, name)


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="milliseconds")
    text = str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULA) else text
