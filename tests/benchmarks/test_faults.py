"""A plan of faults is the same for the same seed and strikes only what stands."""

from __future__ import annotations

import random

from benchmarks.faults import CUTS, KILLS, Fault, What, count_faults, draw_kinds, plan_faults


def plan(seed: int, kills: int = 300, cuts: int = 50) -> list[Fault]:
    chance = random.Random(seed)  # noqa: S311 - faults, not secrets
    return plan_faults(chance, draw_kinds(chance, kills=kills, cuts=cuts), devices=4, pace_s=(0.5, 5.0))


def test_the_same_seed_gives_the_same_faults_and_another_one_others() -> None:
    assert plan(7) == plan(7)
    assert plan(7) != plan(8)


def test_a_plan_has_the_kills_and_cuts_that_were_asked_for() -> None:
    faults = plan(7)
    assert sum(fault.what in KILLS for fault in faults) == 300
    assert sum(fault.what in CUTS for fault in faults) == 50
    assert sum(count_faults(faults).values()) == 350
    assert {fault.what for fault in faults} == set(What)


def test_nothing_that_is_down_is_struck_again() -> None:
    for seed in range(20):
        up_at: dict[tuple[bool, str, int], float] = {}
        for fault in plan(seed):
            struck = (fault.what in CUTS, "" if fault.what in CUTS else fault.what, fault.target)
            assert fault.at_s >= up_at.get(struck, 0.0)
            up_at[struck] = fault.at_s + fault.down_s


def test_faults_come_in_the_order_of_their_times() -> None:
    times = [fault.at_s for fault in plan(7)]
    assert times == sorted(times)
