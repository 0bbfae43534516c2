"""Ranges of whole numbers, as sets: a gap of a thousand million is as small as one of one."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """The numbers from ``first`` to ``last``, both of them in it."""

    first: int
    last: int

    @property
    def count(self) -> int:
        """How many numbers these are."""
        return self.last - self.first + 1


def union(ranges: Iterable[Range], slack: int = 0) -> tuple[Range, ...]:
    """The same numbers as the fewest ranges, in order. Those with at most ``slack`` numbers between become one."""
    merged: list[Range] = []
    for one in sorted(ranges):
        if merged and one.first <= merged[-1].last + 1 + slack:
            merged[-1] = Range(merged[-1].first, max(merged[-1].last, one.last))
        else:
            merged.append(one)
    return tuple(merged)


def without(ranges: Iterable[Range], taken: Iterable[Range]) -> tuple[Range, ...]:
    """The numbers of ``ranges`` that are in none of ``taken``."""
    left: list[Range] = []
    holes = union(taken)
    for one in union(ranges):
        first = one.first
        for hole in holes:
            if hole.last < first:
                continue
            if hole.first > one.last:
                break
            if hole.first > first:
                left.append(Range(first, hole.first - 1))
            first = hole.last + 1
        if first <= one.last:
            left.append(Range(first, one.last))
    return tuple(left)


def common(ranges: Iterable[Range], others: Iterable[Range]) -> tuple[Range, ...]:
    """The numbers that are in both."""
    ones = union(ranges)
    return without(ones, without(ones, others))


def count(ranges: Iterable[Range]) -> int:
    """How many numbers these are."""
    return sum(one.count for one in union(ranges))
