"""The count of a chaos run finds what is missing, out of order or doubled."""

from __future__ import annotations

import math
from pathlib import Path

from benchmarks.receiver import Arrival
from benchmarks.tally import Decisions, Stored, Tally, percentile, tally_device, tally_stored

LOG = Decisions(decided=("a", "b", "c"), stored=("a", "b", "c"))


def arrival(sequence: int, name: str, payload: bytes | None = None) -> Arrival:
    return Arrival("van-7", sequence, name, payload or name.encode(), 1.0)


ALL = [arrival(1, "a"), arrival(2, "b"), arrival(3, "c")]


def test_all_that_was_decided_came_once_and_in_order() -> None:
    assert tally_device(LOG, ALL) == Tally(decided=3, received=3)


def test_a_stored_alert_that_never_came_is_lost() -> None:
    assert tally_device(LOG, [ALL[0], ALL[2]]) == Tally(decided=3, received=2, lost=1)


def test_an_alert_of_a_process_killed_before_its_outbox_had_it_is_counted_apart() -> None:
    log = Decisions(decided=("a", "b", "c"), stored=("a", "c"))
    assert tally_device(log, [ALL[0], arrival(2, "c")]) == Tally(decided=3, received=2, killed_while_storing=1)
    assert tally_device(log, ALL) == Tally(decided=3, received=3)  # it was stored, but its log line was not written


def test_a_first_arrival_after_a_later_alert_breaks_the_order() -> None:
    assert tally_device(LOG, [ALL[1], ALL[0], ALL[2]]).order_broken > 0


def test_sequences_in_order_under_decisions_out_of_order_break_it_too() -> None:
    assert tally_device(LOG, [arrival(1, "b"), arrival(2, "a"), arrival(3, "c")]).order_broken > 0


def test_a_repeated_sequence_is_a_double_and_breaks_no_order() -> None:
    assert tally_device(LOG, [*ALL, ALL[0], ALL[1]]) == Tally(decided=3, received=3, doubles=2)


def test_a_double_that_looks_like_another_alert_is_not_to_be_told() -> None:
    assert tally_device(LOG, [*ALL, arrival(3, "c", b"other")]).unrecognisable == 1
    assert tally_device(LOG, [*ALL, arrival(4, "c")]).unrecognisable == 1


def test_the_database_is_counted_by_epoch_and_sequence() -> None:
    rows = [Stored((2, 1), "c"), Stored((1, 2), "b"), Stored((1, 1), "a")]
    assert tally_stored(LOG, rows) == Tally(decided=3, received=3)
    assert tally_stored(LOG, rows[1:]) == Tally(decided=3, received=2, lost=1)


def test_the_database_holds_no_decision_twice_and_none_before_an_earlier_one() -> None:
    twice = [Stored((1, 1), "a"), Stored((1, 2), "b"), Stored((1, 3), "c"), Stored((2, 1), "b")]
    assert tally_stored(LOG, twice) == Tally(decided=3, received=3, doubles=1)
    swapped = [Stored((1, 1), "b"), Stored((1, 2), "a"), Stored((1, 3), "c")]
    assert tally_stored(LOG, swapped).order_broken == 1


def test_a_log_is_read_back(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("decided 7-1\nstored 7-1 4.250\nproblem too large\ndecided 7-2\nproblem too large\n")
    assert Decisions.read(log) == Decisions(
        decided=("7-1", "7-2"), stored=("7-1",), storing_ms=(4.25,), problems=("too large",)
    )


def test_tallies_add_up_and_percentiles_are_of_the_values() -> None:
    assert Tally(decided=3, lost=1) + Tally(decided=2, doubles=4) == Tally(decided=5, lost=1, doubles=4)
    assert percentile([3.0, 1.0, 2.0, 4.0], 50) == 3.0
    assert percentile([1.0], 99) == 1.0
    assert math.isnan(percentile([], 50))
