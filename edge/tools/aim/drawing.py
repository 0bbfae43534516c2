"""A coarse drawing in characters: the seat region, the face's box, its points. No pixel of the picture is in it."""

from __future__ import annotations

from edge.tools.aim.look import Look, Rect

_POINTS = "oo^--"
"""Eye, eye, nose, mouth corner, mouth corner."""

_CELL_ASPECT = 0.5
"""Width of a terminal's character, in heights."""


def draw(look: Look, columns: int) -> list[str]:
    """The picture's outline ``columns`` characters wide: '.' the seat region, '#' the face's box, then its points."""
    height, width = look.shape
    rows = max(3, round(columns * _CELL_ASPECT * height / width))
    cells = [[" "] * columns for _ in range(rows)]
    scale = (columns / width, rows / height)
    _outline(cells, look.seat, scale, ".")
    if look.face is not None:
        x, y, w, h = look.face.box
        _outline(cells, (x, y, x + w, y + h), scale, "#")
        for (px, py), mark in zip(look.face.points, _POINTS, strict=True):
            row, column = int(py * scale[1]), int(px * scale[0])
            if 0 <= row < rows and 0 <= column < columns:
                cells[row][column] = mark
    return ["".join(row) for row in cells]


def _outline(cells: list[list[str]], rect: Rect, scale: tuple[float, float], mark: str) -> None:
    """Draw the border of ``rect`` (left, top, right, bottom; pixels), as far as it lies in the picture."""
    rows, columns = len(cells), len(cells[0])
    left, right = (int(edge * scale[0] - share) for edge, share in ((rect[0], 0.0), (rect[2], 1e-6)))
    top, bottom = (int(edge * scale[1] - share) for edge, share in ((rect[1], 0.0), (rect[3], 1e-6)))
    for row in range(max(0, top), min(rows - 1, bottom) + 1):
        for column in range(max(0, left), min(columns - 1, right) + 1):
            if row in (top, bottom) or column in (left, right):
                cells[row][column] = mark
