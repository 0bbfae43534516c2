"""The simulated air behaves as its profile says, and what is counted on it is what would be given up."""

from __future__ import annotations

import random
from dataclasses import replace
from math import inf

import pytest

from benchmarks.cellular import PROFILES, Air, Link, Profile, false_disconnects

CLEAR = Profile("clear", 0.05, 0.0001, 0.0, 1e9, 1e9, (1.0, 1.0), gap_loses=False)


def link(profile: Profile) -> Link:
    return Link(profile, random.Random(1), 0.0)  # noqa: S311 - a link, not a secret


@pytest.mark.parametrize(
    ("waits_s", "answer_s", "count"),
    [
        ([0.1, 0.2, 0.1], 5.0, 0),
        ([0.1, 6.0, 0.1], 5.0, 1),
        ([0.1, 6.0, 0.1, 6.0], 5.0, 2),
        ([35.0, 25.0, 15.0, 5.5, 0.1], 5.0, 1),  # one outage holds up four heartbeats
        ([inf, inf, inf], 5.0, 1),
    ],
)
def test_heartbeats_that_wait_for_the_same_thing_are_one_disconnect(
    waits_s: list[float], answer_s: float, count: int
) -> None:
    assert false_disconnects(waits_s, answer_s) == count


def test_packets_arrive_in_order_after_their_delay_and_at_the_links_rate() -> None:
    for profile in PROFILES:
        way = Air(replace(profile, loss=0.0), random.Random(2))  # noqa: S311 - as above
        at = [way.arrival(0.0, 1000, 0.0) or 0.0 for _ in range(50)]
        assert at == sorted(at)
        assert at[0] >= profile.delay_s
        assert at[-1] >= 50 * 1000 / profile.rate


def test_a_share_of_the_packets_is_lost() -> None:
    way = Air(replace(CLEAR, loss=0.25), random.Random(3))  # noqa: S311 - as above
    lost = sum(way.arrival(float(second), 100, 0.0) is None for second in range(4000))
    assert 900 < lost < 1100


@pytest.mark.parametrize("loses", [True, False])
def test_in_a_gap_packets_are_lost_or_wait_for_its_end(*, loses: bool) -> None:
    gap = link(replace(CLEAR, gap_every_s=100.0, gap_s=(5.0, 5.0), gap_loses=loses))
    arrivals = [(now / 10, gap.arrival(now / 10, 100, 0)) for now in range(20_000)]
    late = [at - now for now, at in arrivals if at is not None and at - now > 0.1]
    lost = sum(at is None for _, at in arrivals)
    assert (lost > 0, bool(late)) == (loses, not loses)
    assert max(late, default=5.0) <= 5.1
