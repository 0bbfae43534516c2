"""Ranges are sets of numbers: every operation is held against Python's own sets."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge.collect.ranges import Range, common, count, union, without

RANGES = st.lists(
    st.tuples(st.integers(1, 40), st.integers(0, 8)).map(lambda pair: Range(pair[0], pair[0] + pair[1])), max_size=8
)


def numbers(ranges: list[Range] | tuple[Range, ...]) -> set[int]:
    return {number for one in ranges for number in range(one.first, one.last + 1)}


@given(RANGES)
def test_a_union_holds_the_same_numbers_in_order_and_apart(ranges: list[Range]) -> None:
    joined = union(ranges)

    assert numbers(joined) == numbers(ranges)
    assert all(one.last + 1 < other.first for one, other in itertools.pairwise(joined))
    assert count(ranges) == len(numbers(ranges))


@given(RANGES, st.integers(0, 5))
def test_slack_joins_what_is_near_and_loses_nothing(ranges: list[Range], slack: int) -> None:
    joined = union(ranges, slack)

    assert numbers(joined) >= numbers(ranges)
    assert all(one.last + 1 + slack < other.first for one, other in itertools.pairwise(joined))


@given(RANGES, RANGES)
def test_without_and_common_part_the_numbers(ranges: list[Range], others: list[Range]) -> None:
    assert numbers(without(ranges, others)) == numbers(ranges) - numbers(others)
    assert numbers(common(ranges, others)) == numbers(ranges) & numbers(others)


def test_a_range_of_a_thousand_million_is_no_work() -> None:
    assert count(without([Range(1, 2**53)], [Range(5, 2**53 - 3)])) == 4 + 3
