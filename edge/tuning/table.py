"""Traces to one row for each fifth of a second, summed by a table engine.

The sums are Ibis expressions: DuckDB runs them in this process by default, streaming and on all cores, and Spark the
same ones on as many machines as its address names, where they all see the files.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.config import Config
from edge.decision.interval import MAX_STEP_S
from edge.domain import EXPRESSION, EXPRESSIONS, FAMILIAR, Kind
from edge.errors import UnavailableError
from edge.traces.trace import MOST_S, READABLE_VERSIONS, TOLD_GAP_S, read_trace

if TYPE_CHECKING:
    import ibis

STEP_S = 0.2
"""Length of a row. Alerts of a sweep come up to this much later than on the road."""

SPARK = "pyspark"
"""Ibis' name of the engine that is told of files and columns in another way than DuckDB."""

_COLUMNS = {
    "schema": "BIGINT",
    "t": "DOUBLE",
    "sight": "VARCHAR",
    "quality": "STRUCT(weight DOUBLE)",
    "expression": "MAP(VARCHAR, DOUBLE)",
    "readings": "MAP(VARCHAR, MAP(VARCHAR, DOUBLE))",
}
_SPARK_COLUMNS = (
    "schema BIGINT, t DOUBLE, sight STRING, quality STRUCT<weight: DOUBLE>, expression MAP<STRING, DOUBLE>, "
    "readings MAP<STRING, MAP<STRING, DOUBLE>>"
)

_TIME = re.compile(rb'"t": ?([0-9]+\.?[0-9]*)')

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Rows:
    """One drive: times (T,) in seconds, weights (T,) 0 to 1, the frames' own signals (K, T) of the expression kinds."""

    t: Floats
    weight: Floats
    read: Floats


def read_rows(traces: Sequence[Path], config: Config, engine: str, on_fault: Callable[[str], None]) -> dict[int, Rows]:
    """Sum each trace up into rows, by its place in ``traces``.

    Lines that cannot be used are left out and said with file and line; so is a trace without any, or without a face.

    Raises:
        UnavailableError: Ibis or the engine is missing, a trace is, or none of them can be used.
    """
    for path in traces:
        if not path.is_file():
            raise UnavailableError(f"{path}: no such trace; write one with `evenkeel run --trace {path.name}`")
        if str(path).encode(errors="replace").decode() != str(path):
            raise UnavailableError(f"{path}: its name is not UTF-8, which the table engine needs; rename it")
    connection = _connect(engine)
    addresses = {_address(connection, path): path for path in traces}
    lines = _read_lines(connection, [str(path.absolute()) for path in traces])
    _say_faults(lines, addresses, on_fault)
    of_trace = dict(iter(_sums(lines, config).to_pandas().groupby("filename", sort=False)))
    rows, faults = dict[int, Rows](), list[str]()
    for number, path in enumerate(traces):
        each = _rows(of_trace.get(_address(connection, path)), tuple(config.alerts.expressions))
        if isinstance(each, Rows):
            rows[number] = each
        else:
            faults.append(f"{path}: {each}; trace left out")
    if not rows:
        raise UnavailableError("\n".join([*faults, "no trace is left; write one with `evenkeel run --trace FILE`"]))
    for fault in faults:
        on_fault(fault)
    return rows


def _connect(engine: str) -> Any:
    try:
        import ibis  # noqa: PLC0415 - an extra; the board has none

        connection = ibis.connect(engine)
    except ImportError:
        raise UnavailableError("Ibis is missing: pip install 'evenkeel[calibration]'") from None
    except Exception as error:  # each engine has its own errors, and Ibis no common one
        raise UnavailableError(f"table engine {engine}: {error}") from error
    if connection.name not in {"duckdb", SPARK}:
        raise UnavailableError(f"table engine {engine}: traces are read by duckdb:// and pyspark://, not by this one")
    return connection


def _address(connection: Any, path: Path) -> str:
    """How the engine names a file that it has read."""
    return path.absolute().as_uri() if connection.name == SPARK else str(path.absolute())


def _read_lines(connection: Any, files: list[str]) -> ibis.Table:
    """The lines of all files, with the file's address as ``filename``; a line that is no JSON has no ``t``."""
    if connection.name != SPARK:
        options = {"ignore_errors": True, "format": "newline_delimited", "filename": True}
        return connection.read_json(files, columns=_COLUMNS, **options)
    import ibis  # noqa: PLC0415 - as above

    @ibis.udf.scalar.builtin  # type: ignore[untyped-decorator,unused-ignore]
    def input_file_name() -> str:  # type: ignore[empty-body,unused-ignore]
        """Spark's own: the address of the file that a row is from."""

    return connection.read_json(files, schema=_SPARK_COLUMNS).mutate(filename=input_file_name())


def _say_faults(lines: ibis.Table, traces: Mapping[str, Path], on_fault: Callable[[str], None]) -> None:
    """Let the trace's own reader name the lines that cannot be used and those whose time goes back or jumps.

    Only files that have any are read by it: those in which the engine found lines that it cannot use, and those in
    which a quick look at the times alone, whose order the engine does not keep, finds one that goes back or jumps. Rows
    come in the order of time whatever the order of the lines.
    """
    faulty = set(lines.filter(~_usable(lines)).select("filename").distinct().to_pandas()["filename"])
    for address, path in traces.items():
        if address in faulty or _is_out_of_step(path):
            with contextlib.suppress(UnavailableError):  # a file without any usable line is said by what it lacks
                for _ in read_trace(path, on_fault):
                    pass


def _expression(lines: ibis.Table) -> ibis.expr.types.MapValue:
    """The expression's probabilities by name, where each version of a trace has them."""
    return lines.readings[EXPRESSION].fill_null(lines.expression)


def _usable(lines: ibis.Table) -> ibis.expr.types.BooleanValue:
    """Whether a line can be read and its numbers, as far as they are used here, are those of a trace."""
    expression = _expression(lines)
    familiar = lines.readings[FAMILIAR][EXPRESSION]
    shares = [lines.quality.weight, familiar, *(expression[name] for name in EXPRESSIONS)]
    usable = lines["schema"].isin(READABLE_VERSIONS) & lines.t.between(0, MOST_S)
    for share in shares:
        usable &= share.isnull() | share.between(0, 1)
    return usable.fill_null(False)  # noqa: FBT003 - Ibis' own order of arguments


def _is_out_of_step(path: Path) -> bool:
    last_t: float | None = None
    with path.open("rb") as file:
        for line in file:
            found = _TIME.search(line)
            if found is None:
                continue
            t = float(found[1])
            if last_t is not None and not 0 <= t - last_t <= TOLD_GAP_S:
                return True
            last_t = t
    return False


def _sums(lines: ibis.Table, config: Config) -> ibis.Table:
    import ibis  # noqa: PLC0415 - as above

    used = lines.filter(_usable(lines))
    window = ibis.window(group_by=used.filename, order_by=used.t)
    used = used.mutate(spoken=ibis.least((used.t - used.t.lag().over(window)).fill_null(0.0), MAX_STEP_S))
    expression = _expression(used)
    familiar = used.readings[FAMILIAR][EXPRESSION].fill_null(1.0)
    seen = used.spoken * ibis.ifelse(expression.isnull(), 0.0, used.quality.weight * familiar).fill_null(0.0)
    signals = {
        kind: sum(
            (expression[name].fill_null(0.0) * weight for name, weight in settings.weights.items()),
            start=ibis.literal(0.0),
        )
        for kind, settings in config.alerts.expressions.items()
    }
    used = used.mutate(seen=seen, step=(used.t / STEP_S).floor().cast("int64"), **signals)
    return (
        used.group_by("filename", "step")
        .aggregate(
            t=used.t.max(),
            spoken=used.spoken.sum(),
            seen=used.seen.sum(),
            **{kind: (used[kind].fill_null(0.0) * used.seen).sum() for kind in signals},
        )
        .order_by("filename", "step")
    )


def _rows(table: Any, kinds: Sequence[Kind]) -> Rows | str:
    """The rows of one trace, or why it cannot be used."""
    if table is None:
        return "no usable line"
    seen, spoken = table["seen"].to_numpy(), table["spoken"].to_numpy()
    if not (seen > 0).any():
        return "no face was read in the whole trace"
    read = np.stack([table[kind].to_numpy() for kind in kinds]) / np.maximum(seen, 1e-9)
    return Rows(table["t"].to_numpy(), np.clip(seen / np.maximum(spoken, 1e-9), 0.0, 1.0), read * (seen > 0))
