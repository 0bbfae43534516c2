"""What an expression model makes of ordinary faces at rest: it belongs to the model, whose manifest tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge.domain import Kind


@dataclass(frozen=True, slots=True)
class OrdinaryFace:
    """A face at rest that is nobody's in particular, as one expression model reads it.

    ``signal``, 0 to 1, is what it shows of any kind: assumed of a driver until the driver's own face is learned, and
    the least that it can be taken for. ``most`` is the most that a face at rest can be taken to show. ``usual`` tells
    for each kind the share of the time in which such a face is read as that kind at 0.5 or more.
    """

    signal: float = 0.12
    most: float = 0.3
    usual: Mapping[Kind, float] = field(default_factory=dict)
