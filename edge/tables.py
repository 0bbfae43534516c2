"""Tables on a terminal of any width: nothing in them is ever cut off."""

from __future__ import annotations

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table


def print_table(console: Console, table: Table) -> None:
    """Print ``table`` (of strings), or its rows as blocks of lines where the console is too narrow for it.

    A block is headed by the first cell; each further cell has a line with its column's name.
    """
    unbounded = console.options.update(max_width=10_000)
    if Measurement.get(console, unbounded, table).maximum <= console.width:
        console.print(table)
        return
    names = [str(column.header) for column in table.columns]
    longest = max(map(len, names))
    lines = [str(table.title)] if table.title else []
    for first, *others in zip(*(column.cells for column in table.columns), strict=True):
        lines.append(f"{names[0]}: {first}")
        lines += [f"  {name:{longest}}  {cell}" for name, cell in zip(names[1:], others, strict=True) if cell]
    console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
