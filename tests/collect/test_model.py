"""Whatever comes in whatever order, the store knows what a plain model with Python's sets knows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, make_url

from edge.collect.database import open_database, upgrade
from edge.collect.store import Store
from tests.collect.said import answer

if TYPE_CHECKING:
    from tests.collect.conftest import Desk

HIGHEST = 9
NUMBERS = st.integers(1, HIGHEST)
EPOCHS = st.integers(1, 3)
GONE = st.lists(st.tuples(NUMBERS, NUMBERS).map(sorted), max_size=3)

Step = tuple[str, int, object]
STEPS = st.lists(
    st.tuples(st.just("alerts"), EPOCHS, st.lists(NUMBERS, max_size=5))
    | st.tuples(st.just("state"), EPOCHS, st.integers(0, HIGHEST))
    | st.tuples(st.just("answer"), EPOCHS, st.tuples(NUMBERS, st.none() | st.integers(0, HIGHEST), GONE, st.booleans()))
    | st.tuples(st.just("look"), EPOCHS, st.none()),
    max_size=12,
)


@dataclass
class Epoch:
    """What a receiver may know of one epoch."""

    newest: int = 0
    stored: set[int] = field(default_factory=set)
    lost: set[int] = field(default_factory=set)
    ended: bool = False

    @property
    def missing(self) -> set[int]:
        return set(range(1, self.newest + 1)) - self.stored - self.lost

    def hear(self, newest: int) -> None:
        if newest > self.newest:
            self.newest, self.ended = newest, False

    def answered(self, first: int, newest: int | None, gone: list[list[int]], *, end: bool) -> None:
        self.newest = max(self.newest, newest or 0)
        told = {number for low, high in gone for number in range(low, high + 1)}
        if newest is None:
            told |= set(range(first, max(self.newest, first) + 1))
        self.lost |= self.missing & told
        self.ended = self.ended or end


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    engine = open_database(make_url(f"sqlite:///{tmp_path_factory.mktemp('model') / 'collect.db'}"))
    upgrade(engine)
    yield engine
    engine.dispose()


@pytest.fixture(scope="module")
def names() -> Iterator[str]:
    return (f"van-{number}" for number in count())


def test_the_store_knows_what_the_model_knows(engine: Engine, names: Iterator[str]) -> None:
    from tests.collect.conftest import Desk  # noqa: PLC0415 - not at import: pytest has its own copy

    desk = Desk(Store(engine))

    @settings(max_examples=100, deadline=None)
    @given(STEPS)
    def holds(steps: list[Step]) -> None:
        device = next(names)
        model: dict[int, Epoch] = {}
        for what, epoch, said in (*steps, ("look", 1, None)):
            _take(desk, device, model, what, epoch, said)
            if what == "look":  # which also notes what is settled
                assert _missing(desk, device) == _expected(model)

    holds()


def _take(desk: Desk, device: str, model: dict[int, Epoch], what: str, epoch: int, said: object) -> None:
    if what == "alerts" and isinstance(said, list) and said:
        desk.alerts(*said, epoch=epoch, device=device)
        known = model.setdefault(epoch, Epoch())
        known.stored |= set(said)
        known.hear(max(said))
    elif what == "state" and isinstance(said, int):
        desk.state(said, epoch=epoch, device=device)
        model.setdefault(epoch, Epoch()).hear(said)
    elif what == "answer" and isinstance(said, tuple):
        first, newest, gone, end = said
        ranges = tuple((low, high, "expired") for low, high in gone)
        desk.answers(answer(epoch, first, HIGHEST, newest=newest, gone=ranges, end=end), device)
        if epoch in model:
            model[epoch].answered(first, newest, gone, end=end)


def _missing(desk: Desk, device: str) -> dict[int, tuple[set[int], bool]]:
    return {
        stream.key.epoch: (
            {number for one in stream.missing for number in range(one.first, one.last + 1)},
            stream.tail,
        )
        for stream in desk.store.open_streams()
        if stream.key.device == device
    }


def _expected(model: dict[int, Epoch]) -> dict[int, tuple[set[int], bool]]:
    found = {epoch: (known.missing, not known.ended and epoch < max(model)) for epoch, known in model.items()}
    return {epoch: what for epoch, what in found.items() if what[0] or what[1]}
