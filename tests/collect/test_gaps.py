"""What is missing, when it is asked for, and that asking ends."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge.collect.gaps import SLACK, OpenStream, Patience, Question, StreamKey, questions, still_missing
from edge.collect.ranges import Range, union

KEY = StreamKey("evenkeel", "van-7", 7)
MANY = 100


def stream(
    *missing: Range, settled: int | None = None, newest: int | None = None, tail: bool = False, online: bool = True
) -> OpenStream:
    return OpenStream(
        KEY,
        settled if settled is not None else missing[0].first - 1,
        newest if newest is not None else missing[-1].last + 1,
        missing,
        tail,
        online,
    )


def ones(numbers: set[int]) -> list[Range]:
    return [Range(number, number) for number in numbers]


@given(st.integers(0, 30), st.sets(st.integers(1, 30)), st.sets(st.integers(1, 30)), st.integers(0, 30))
def test_what_is_neither_stored_nor_lost_is_missing(
    newest: int, stored: set[int], lost: set[int], settled: int
) -> None:
    reached, missing = still_missing(settled, newest, union(ones(stored)), union(ones(lost)))

    found = {number for one in missing for number in range(one.first, one.last + 1)}
    assert found == {n for n in range(settled + 1, newest + 1) if n not in stored and n not in lost}
    assert reached >= settled
    assert reached == (min(found) - 1 if found else max(settled, newest))


def test_what_may_be_on_its_way_is_not_asked_for() -> None:
    patience = Patience(wait_s=5, max_s=60)

    assert patience.due([stream(Range(3, 4))], 0, MANY) == []
    assert patience.due([stream(Range(3, 4))], 4.9, MANY) == []
    assert patience.due([stream(Range(4, 4))], 5.0, MANY) == []  # one came: the other may be behind it
    assert patience.due([stream(Range(4, 4))], 10.0, MANY) == [Question(KEY, 4, 4)]


def test_it_asks_more_and_more_seldom_and_never_stops() -> None:
    patience = Patience(wait_s=5, max_s=60)
    times = [now for now in range(1000) if patience.due([stream(Range(3, 4))], now, MANY)]

    pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
    assert pauses[:4] == [10, 20, 40, 60]
    assert set(pauses[4:]) == {60}


def test_a_device_that_is_away_is_not_asked_and_soon_when_it_is_back() -> None:
    patience = Patience(wait_s=5, max_s=60)
    away = [now for now in range(500) if patience.due([stream(Range(3, 4), online=False)], now, MANY)]

    assert away == []
    assert [now for now in range(500, 520) if patience.due([stream(Range(3, 4))], now, MANY)] == [504, 514]


def test_a_device_gets_one_question_at_a_time() -> None:
    patience = Patience(wait_s=1, max_s=60)
    far = 2 * SLACK
    two = stream(Range(3, 4), Range(far, far + 1))
    asked = [(now, question) for now in range(10) for question in patience.due([two], now, MANY)]

    assert asked[:2] == [(1, Question(KEY, 3, 4)), (4, Question(KEY, far, far + 1))]


def test_the_limit_leaves_the_rest_for_the_next_time() -> None:
    patience = Patience(wait_s=1, max_s=60)
    several = [
        OpenStream(StreamKey("evenkeel", f"van-{number}", 7), 0, 2, (Range(1, 1),), tail=False, online=True)
        for number in range(5)
    ]
    patience.due(several, 0, MANY)

    asked = [patience.due(several, now, 2) for now in (1, 2, 3)]
    assert [len(one) for one in asked] == [2, 2, 1]
    assert len({question.key for one in asked for question in one}) == 5


def test_near_gaps_are_one_question_and_the_end_of_an_epoch_is_open() -> None:
    assert questions(stream(Range(2, 3), Range(6, 6))) == (Question(KEY, 2, 6),)
    assert questions(stream(Range(2, 3), newest=10, tail=True)) == (Question(KEY, 2, None),)
    assert questions(stream(Range(2, 3), newest=10 * SLACK, tail=True)) == (
        Question(KEY, 2, 3),
        Question(KEY, 10 * SLACK + 1, None),
    )
    assert questions(stream(settled=4, newest=4, tail=True)) == (Question(KEY, 5, None),)


@given(
    st.integers(1, 40),
    st.sets(st.integers(1, 40)),
    st.sets(st.integers(1, 40)),
    st.lists(st.booleans(), max_size=80),
)
def test_all_gets_settled_whatever_gets_lost_on_the_way(
    newest: int, gone: set[int], stored: set[int], losses: list[bool]
) -> None:
    whole = set(range(1, newest + 1))
    gone, stored, lost = gone & whole, (stored & whole) - gone, set[int]()
    fates = iter(losses)  # after these everything arrives
    patience = Patience(wait_s=1, max_s=8)
    settled = 0
    for now in range(2000):
        settled, missing = still_missing(settled, newest, union(ones(stored)), union(ones(lost)))
        if not missing:
            break
        open_stream = OpenStream(KEY, settled, newest, missing, tail=False, online=True)
        for question in patience.due([open_stream], now, MANY):
            wanted = set(range(question.first, (question.last or newest) + 1))
            if not next(fates, False):
                lost |= wanted & gone
            stored |= {number for number in wanted - gone if not next(fates, False)}

    assert settled == newest
    assert stored | lost == whole


def asks(patience: Patience, one: OpenStream, now: float) -> Question:
    """What it asks next, waiting as long as it does."""
    while True:
        if found := patience.due([one], now, MANY):
            return found[0]
        now += 1


def test_where_not_all_comes_through_it_asks_for_less_and_for_more_again_where_all_does() -> None:
    patience = Patience(wait_s=5, max_s=60)
    settled, asked_for = 0, []
    for now in range(0, 10_000, 100):
        one = stream(Range(settled + 1, 200), settled=settled)
        question = asks(patience, one, now)
        asked_for.append(question.last - question.first + 1 if question.last else 0)
        # the broker drops whatever is more than 20 at once but the first
        settled += asked_for[-1] if asked_for[-1] <= 20 else 1
        if settled >= 200:
            break
    assert asked_for[:5] == [200, 100, 50, 25, 12]
    assert settled >= 200
    assert len(asked_for) < 40


def test_what_is_asked_for_again_is_bounded_even_where_nothing_at_all_came() -> None:
    patience = Patience(wait_s=5, max_s=10)
    asked = [question for now in range(400) for question in patience.due([stream(Range(3, 5000))], now, MANY)]
    spans = [question.last - question.first + 1 for question in asked if question.last]
    assert spans[:3] == [200, 100, 50]
    assert spans[-1] == 8


def test_what_was_cut_off_is_asked_for_as_soon_as_its_part_has_come() -> None:
    patience = Patience(wait_s=5, max_s=60)
    assert asks(patience, stream(Range(1, 1000), settled=0), 0) == Question(KEY, 1, 200)
    assert patience.due([stream(Range(151, 1000), settled=150)], 20, MANY) == []  # the rest is on its way
    assert patience.due([stream(Range(201, 1000), settled=200)], 21, MANY) == [Question(KEY, 201, 400)]


def test_a_tail_of_which_nothing_is_known_is_asked_for_whole() -> None:
    patience = Patience(wait_s=5, max_s=60)
    one = stream(Range(1, 3), settled=0, newest=3, tail=True)
    assert asks(patience, one, 0) == Question(KEY, 1, None)
