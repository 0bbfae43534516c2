"""Every reason has its words in every language."""

from __future__ import annotations

import string

import pytest

from edge.config import CabConfig
from edge.decision.kinds import registered
from edge.domain import NO_REASON, Reason, ReasonCode
from edge.errors import ConfigError
from edge.words import Catalogue, catalogue, languages, say


@pytest.fixture(params=languages())
def words(request: pytest.FixtureRequest) -> Catalogue:
    return catalogue(request.param)


def test_each_language_has_words_for_each_reason_and_no_others(words: Catalogue) -> None:
    assert set(words.reasons) == set(ReasonCode) - {ReasonCode.NONE}


def test_each_language_names_the_same_kinds_and_none_that_is_not_there(words: Catalogue) -> None:
    assert set(words.kinds) == set(catalogue("en").kinds) <= set(registered())
    assert {"anger", "distress"} <= set(words.kinds)


def test_each_language_has_words_to_wake_a_driver_and_to_offer_a_break(words: Catalogue) -> None:
    assert set(words.spoken) == {"wake", "offer"}
    assert all(words.spoken.values())


def test_each_language_says_what_the_others_say(words: Catalogue) -> None:
    def fields(text: str) -> set[str]:
        return {name for _, name, _, _ in string.Formatter().parse(text) if name}

    english = catalogue("en").reasons
    assert {code: fields(text) for code, text in words.reasons.items()} == {
        code: fields(text) for code, text in english.items()
    }


def test_kinds_are_joined_and_one_without_words_goes_by_its_name() -> None:
    reason = Reason(ReasonCode.ALERT, kinds=("anger", "turned_away"))
    assert say(reason) == "anger and turned_away"
    assert catalogue("de").say(reason) == "Ärger und turned_away"


def test_a_part_s_own_words_stay_as_they_are_whatever_is_in_them() -> None:
    assert say(Reason(ReasonCode.CAMERA, text="no frame within {0.05} s")) == "no frame within {0.05} s"
    assert say(NO_REASON) == ""


def test_a_language_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(ConfigError, match=r"language 'xx': no such catalogue; there are de, en"):
        catalogue("xx")


def test_the_cab_speaks_every_language_that_there_are_words_of() -> None:
    for language in languages():
        assert CabConfig.model_validate({"language": language}).language == language
